"""Base messages for the profile's tests: fictitious patients in the shapes of the volet, edited by HL7 address.

edit(oru(), {"MSH-11": "T", "OBX[DESTDMP]-5.1": "N"})     a few values changed
without(oru(), "PV1")   before(oru(), "OBX", "ZZZ|1")     segments removed or added
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from router.cda.schema import SchemaGate
from router.cisis.findings import Findings, Verdict
from router.cisis.profile import check as check_message
from router.cisis.settings import ProfileRules
from router.errors import Malformed
from router.hl7.message import Message
from router.request import Dialect

INS = "279035121518989"
"""A fictitious patient's matricule, of test, with the right key."""
OTHER_INS = "277076322082910"
INS_TEST = "1.2.250.1.213.1.4.10"
INS_NIR = "1.2.250.1.213.1.4.8"
IPP_OID = "1.2.250.1.999.9"
DOCUMENT = "1.2.250.1.999.7.81"
PARENT = "1.2.250.1.999.7.80"
DOCTOR = "adam.hoda@test-ci-sis.mssante.fr"
PATIENT = f"{INS}@patient.mssante.fr"
FINESS = "300017985"
J07 = {"11502-2", "18748-4", "11490-0", "34112-3"}
J66 = {"11502-2", "18748-4", "11490-0"}


class Codes:
    """Value sets of a test: a set that isn't given is not loaded."""

    def __init__(self, **sets: set[str]) -> None:
        self._sets = sets

    def contains(self, name: str, code: str) -> bool | None:
        found = self._sets.get(name)
        return None if found is None else code in found

    def label(self, name: str, code: str) -> str | None:
        return f"libellé de {code}" if self.contains(name, code) else None


CODES = Codes(JDV_J07=J07, JDV_J66=J66)


def cda(
    *,
    uid: str = DOCUMENT,
    extension: str = "",
    set_id: str = "",
    parents: tuple[str, ...] = (),
    ids: tuple[tuple[str, str], ...] = ((INS_TEST, INS), (IPP_OID, "IPP1")),
    family: str = "PAT-TROIS",
    given: str = "DOMINIQUE",
    birth: str = "19790328",
    sex: str = "F",
    county: str = "63220",
    code: str = "11502-2",
    system: str = "2.16.840.1.113883.6.1",
    level: int = 1,
    confidentiality: str = "N",
    act: str = "20260105101500+0100",
    recipients: tuple[str, ...] = (),
    drop: str = "",
    head: str = '<?xml version="1.0" encoding="UTF-8"?>',
    body: str = "JVBERi0xLjQK",
) -> bytes:
    """A CDA with everything the profile wants. `drop` leaves out the line that contains this text."""
    extra = f' extension="{extension}"' if extension else ""
    body_xml = (
        f'<component><nonXMLBody><text mediaType="application/pdf" representation="B64">{body}</text>'
        "</nonXMLBody></component>"
        if level == 1
        else "<component><structuredBody/></component>"
    )
    lines = [
        f'<id root="{uid}"{extra}/>',
        f'<code code="{code}" codeSystem="{system}" displayName="Compte rendu"/>',
        "<title>Compte rendu</title>",
        '<effectiveTime value="20260105101530+0100"/>',
        f'<confidentialityCode code="{confidentiality}" codeSystem="2.16.840.1.113883.5.25" displayName="x"/>',
        '<languageCode code="fr-FR"/>',
        f'<setId root="{set_id}"/>' if set_id else "",
        '<versionNumber value="1"/>',
        "<recordTarget><patientRole>",
        *(f'<id root="{root}" extension="{value}"/>' for root, value in ids),
        "<patient><name>",
        f'<family qualifier="BR">{family}</family>',
        f'<given qualifier="BR">{given}</given>',
        f"<given>{given}</given>",
        "</name>",
        f'<administrativeGenderCode code="{sex}"/>',
        f'<birthTime value="{birth}"/>',
        f"<birthplace><place><addr><county>{county}</county></addr></place></birthplace>",
        "</patient></patientRole></recordTarget>",
        '<author><time value="20260105101500+0100"/><assignedAuthor>'
        '<id root="1.2.250.1.71.4.2.1" extension="801234534765"/>'
        "<assignedPerson><name><given>Marcel</given><family>CAMPARINI</family></name></assignedPerson>"
        f'<representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1{FINESS}"/><name>CHU X</name>'
        "</representedOrganization></assignedAuthor></author>",
        "<custodian><assignedCustodian><representedCustodianOrganization>"
        f'<id root="1.2.250.1.71.4.2.2" extension="1{FINESS}"/><name>CHU X</name>'
        "</representedCustodianOrganization></assignedCustodian></custodian>",
        *(
            f'<informationRecipient><intendedRecipient><id root="1.2.250.1.71.4.2.1" extension="801234567897"/>'
            f'<telecom value="mailto:{one}"/></intendedRecipient></informationRecipient>'
            for one in recipients
        ),
        '<legalAuthenticator><time value="20260105"/><signatureCode code="S"/><assignedEntity>'
        '<id root="1.2.250.1.71.4.2.1" extension="801234534765"/>'
        "<assignedPerson><name><given>Marcel</given><family>CAMPARINI</family></name></assignedPerson>"
        "</assignedEntity></legalAuthenticator>",
        "<documentationOf><serviceEvent>"
        f'<code code="18719-5"/><effectiveTime><low value="{act}"/></effectiveTime><performer><assignedEntity>'
        '<representedOrganization><standardIndustryClassCode code="ETABLISSEMENT" codeSystem="1.2.250.1.213.1.1.4.9"/>'
        "</representedOrganization></assignedEntity></performer></serviceEvent></documentationOf>",
        *(
            f'<relatedDocument typeCode="RPLC"><parentDocument><id root="{root}"/></parentDocument></relatedDocument>'
            for root in parents
        ),
        "<componentOf><encompassingEncounter><location><healthCareFacility>"
        '<code code="SA25" codeSystem="1.2.250.1.71.4.2.4"/></healthCareFacility></location>'
        "</encompassingEncounter></componentOf>",
        body_xml,
    ]
    kept = [line for line in lines if not drop or drop not in line]
    return f'{head}\n<ClinicalDocument xmlns="urn:hl7-org:v3">\n{chr(10).join(kept)}\n</ClinicalDocument>'.encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


#: Names, and the letters of oru(): masks all N, three destinations Y, ACK N, as the everyday message.
METADATA = {
    "MASQUE_PS": "N",
    "INVISIBLE_PATIENT": "N",
    "INVISIBLE_REP_LEGAUX": "N",
    "CONNEXION_SECRETE": "N",
    "MODIF_CONF_CODE": "N",
    "DESTDMP": "Y",
    "DESTMSSANTEPS": "Y",
    "DESTMSSANTEPAT": "Y",
    "ACK_RECEPTION": "Y",
    "ACK_LECTURE_MSS": "N",
}

PID = (
    f"PID|||{INS}^^^ASIP-SANTE-INS-NIR&{INS_TEST}&ISO^INS~IPP1^^^CHU-X&{IPP_OID}&ISO^PI||PAT-TROIS^DOMINIQUE^DOMINIQUE"
    "^^^^L||19790328|F|||1 rue du Test^^PARIS^^75007^FRA^H~^^^^^^BDL^^63220" + "|" * 20 + "N|VALI"
)
SB = (
    "PRT||UC||SB^^participation|801234564895^Eric^Thomas^^^^^^ASIP-SANTE- PS&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS|||"
    f"CHU X^^^^^ASIP-SANTE-ST&1.2.250.1.71.4.2.2&ISO^FINEG^^^{FINESS}"
)
RCT = (
    "PRT||UC||RCT^^participation|801234567897^Hoda^Adam^^^^^^ASIP-SANTE- PS&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    f"||||||||||^^X.400^{DOCTOR}"
)
RCT_PATIENT = (
    f"PRT||UC||RCT^^participation|{INS}^PAT-TROIS^DOMINIQUE^^^^^^{INS_TEST}^L^^^INS||||||||||^^X.400^{PATIENT}"
)


def oru(
    *documents: bytes,
    status: str = "F",
    order: str = "NW",
    version: str = "2.1^CISIS_CDA_HL7_V2",
    metadata: Mapping[str, str] | None = None,
    parts: tuple[str, ...] = (SB, RCT, RCT_PATIENT),
    yes_no: str = "expandedYes-NoIndicator",
    pid: str = PID,
) -> bytes:
    """An ORU^R01 of 2.1 whose every destination is asked for; `documents` default to one N1."""
    head = [
        f"MSH|^~\\&|SIL-Y|labo|PFI-X|CHU X|202601051016||ORU^R01^ORU_R01|015|P|2.5|||||FRA|UNICODE UTF-8|||{version}",
        pid,
        "PV1|1|I|UF1||||||||||||||||V1^^^CHU-X&1.2.250.1.999.8&ISO^VN",
        f"ORC|{order}",
        "OBR|1|||11502-2^CR d'examens biologiques^LN",
    ]
    return _message(
        head,
        documents or (cda(),),
        status=status,
        code="11502-2",
        metadata=metadata,
        parts=parts,
        kind="CE",
        yes_no=yes_no,
    )


def mdm(
    *documents: bytes,
    event: str = "T02",
    status: str = "F",
    order: str = "NW",
    txa: str = DOCUMENT,
    parent: str = "",
    version: str = "2.1^CISIS_CDA_HL7_V2",
    metadata: Mapping[str, str] | None = None,
    parts: tuple[str, ...] = (SB, RCT),
    pid: str = PID,
) -> bytes:
    """An MDM of 2.1 for DMP and professionals."""
    head = [
        "MSH|^~\\&|RIS-Y|CHU X|PFI-Y|CHU X|202601051016||"
        f"MDM^{event}^MDM_T02|015|P|2.6|||||FRA|UNICODE UTF-8|||{version}",
        "EVN||20260105101600",
        pid,
        "PV1|1|I|UF1||||||||||||||||V1^^^CHU-X&1.2.250.1.999.8&ISO^VN",
        f"ORC|{order}",
        "OBR|1|||18748-4^CR d'imagerie médicale^LN",
        f"TXA|1|18748-4|TEXT|202601051000||||||||{txa}|{parent}||||AU",
    ]
    asked = {**METADATA, "DESTMSSANTEPAT": "N", **(metadata or {})}
    return _message(
        head,
        documents or (cda(code="18748-4"),),
        status=status,
        code="18748-4",
        metadata=asked,
        parts=parts,
        kind="CWE",
        yes_no="expandedYes-NoIndicator",
    )


def _message(
    head: list[str],
    documents: tuple[bytes, ...],
    *,
    status: str,
    code: str,
    metadata: Mapping[str, str] | None,
    parts: tuple[str, ...],
    kind: str,
    yes_no: str,
) -> bytes:
    lines = list(head)
    for rank, document in enumerate(documents, 1):
        lines.append(f"OBX|{rank}|ED|{code}^CR^LN||^TEXT^XML^Base64^{b64(document)}||||||{status}")
        lines += parts if rank == 1 else ()
    asked = {**METADATA, **(metadata or {})}
    for rank, (name, value) in enumerate(asked.items(), len(documents) + 1):
        lines.append(f"OBX|{rank}|{kind}|{name}^{name}^MetaDMPMSS||{value}^^{yes_no}||||||F|")
    return ("\r".join(lines) + "\r").encode()


def pair(status: str = "F", order: str = "NW", **changes: Any) -> bytes:
    """An ORU with an N1 and an N3 of the same content."""
    return oru(cda(level=1), cda(level=3, uid="1.2.250.1.999.7.82"), status=status, order=order, **changes)


#: A replacement and a deletion, consistent throughout.
def replacement(**changes: Any) -> bytes:
    document = cda(code="18748-4", parents=(PARENT,))
    return mdm(document, event="T10", status="C", order="RO", parent=PARENT, **changes)


def deletion(*documents: bytes, **changes: Any) -> bytes:
    return mdm(*documents, event="T04", status="D", order="CA", **changes)


#: A schema that no CDA is valid against, for R36.
STRICT_SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:hl7-org:v3"
 elementFormDefault="qualified"><xs:element name="ClinicalDocument"><xs:complexType><xs:sequence>
 <xs:element name="nothing"/></xs:sequence></xs:complexType></xs:element></xs:schema>"""


def schema_gate(folder: Path, mode: Literal["off", "warn", "error"]) -> SchemaGate:
    """A gate for that schema, in one of its modes."""
    path = folder / "CDA.xsd"
    path.write_text(STRICT_SCHEMA)
    return SchemaGate(path, mode)


# -------------------------------------------------------------------------------------------------- editing


def edit(data: bytes, changes: Mapping[str, str]) -> bytes:
    """Values replaced by address; a value may hold components (`a^b`), it is written as it stands."""
    message = Message.parse(data)
    for path, value in changes.items():
        message = message.with_raw(path, value.encode())
    return message.to_bytes()


def without(data: bytes, name: str, occurrence: int = 0) -> bytes:
    """Segments of that name removed, or only the given one (from 1)."""
    kept, seen = [], 0
    for line in data.split(b"\r"):
        if line.startswith(name.encode()):
            seen += 1
            if occurrence in (0, seen):
                continue
        kept.append(line)
    return b"\r".join(kept)


def before(data: bytes, name: str, line: str, occurrence: int = 1) -> bytes:
    """A segment put before the given occurrence of another."""
    lines, seen = [], 0
    for one in data.split(b"\r"):
        if one.startswith(name.encode()):
            seen += 1
            if seen == occurrence:
                lines.append(line.encode())
        lines.append(one)
    return b"\r".join(lines)


def asked(data: bytes, **values: str) -> bytes:
    """Metadata given other values: `asked(oru(), DESTDMP="N")`."""
    return edit(data, {f"OBX[{name}]-5.1": value for name, value in values.items()})


# ------------------------------------------------------------------------------------------------- checking


def check(data: bytes, codes: Any = CODES, **options: Any) -> Verdict:
    """The verdict under the options of a qualification site. `at`: Unix time of reception, None = now."""
    at = options.pop("at", None)
    return check_bytes(data, ProfileRules(**{"environment": "qualification", **options}), codes, at=at)


def check_bytes(data: bytes, rules: ProfileRules, codes: Any, *, at: float | None = None) -> Verdict:
    """Read a message as it came out of its frame, and check it: never raises, whatever the bytes are.

    `Verdict.message` is what could be read of it (its MSH at least), None when not even that.
    """
    try:
        message = Message.parse(data, charset_fallback=rules.charset_fallback or None, rejoin=rules.rejoin_base64)
    except Malformed as fault:
        findings = Findings(rules, Dialect.V2_1)
        findings.add_read(fault, fault.place)
        return findings.refusal(Message.glimpse(data))
    return check_message(message, rules, codes, at=at)


def told(verdict: Verdict) -> list[tuple[str, str, str, str]]:
    """(rule, ERR-3, ERR-2, ERR-5) of every fault."""
    return [(one.rule, one.err.code, one.err.location, (one.err.application or ("",))[0]) for one in verdict.faults]


def warned(verdict: Verdict) -> set[str]:
    return {one.rule for one in verdict.warnings}
