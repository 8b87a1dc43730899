"""ORU^R01 and MDM^T02/T10/T04 of the volet, in the three dialects senders speak (hl7-input §1, §1.7)."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.simulators.sender.er7 import esc, segment
from router.simulators.sender.people import INS_NIR, PS_OID, STRUCTURE_OID, Patient, Professional, Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one generation of senders writes (hl7-input §1.7); the defaults are those of 2.1."""

    profile: str
    yes_no: str = "expandedYes-NoIndicator"
    metadata: str = "MetaDMPMSS"
    participation: str = "participation"
    person: str = "IDNPS"
    send_orc: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    acks: bool = True
    mails_first: bool = False
    txa17: str = "LA"


_SC: Final = dict.fromkeys(("initial", "replace", "delete"), "SC")
_ORC: Final = {"initial": "NW", "replace": "RO", "delete": "CA"}
_OLD_NAMES: Final = {
    "INVISIBLE_REP_LEGAUX": "INVISIBLE_REPRESENTANTS_LEGAUX",
    "MODIF_CONF_CODE": "MODIF_CONFIDENTIALITYCODE",
}
DIALECTS: Final = {
    "2.1": Dialect(profile="2.1^CISIS_CDA_HL7_V2", send_orc=_ORC, txa17="AU"),
    "2.0": Dialect(
        profile="2.0^CISIS_CDA_HL7_V2",
        send_orc=_SC,
        yes_no="HL70136",
        participation="HL70912",
        person="RPPS",
        mails_first=True,
    ),
    "1.2": Dialect(
        profile="1.2^CISIS_CDA_HL7_V1",
        send_orc=_SC,
        yes_no="",
        metadata="",
        participation="",
        person="RPPS",
        names=_OLD_NAMES,
        acks=False,
    ),
}
STATUS: Final = {"initial": "F", "replace": "C", "delete": "D"}
_LABELS: Final = {
    "MASQUE_PS": "Masqué aux professionnels de Santé",
    "INVISIBLE_PATIENT": "Document Non Visible par le patient",
    "INVISIBLE_REP_LEGAUX": "Non visible par les représentants Légaux du patient",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "Non visible par les représentants Légaux du patient",
    "CONNEXION_SECRETE": "Connexion Secrete",
    "MODIF_CONF_CODE": "Modification Confidentiality Code",
    "MODIF_CONFIDENTIALITYCODE": "Modification Confidentiality Code",
    "DESTDMP": "Destinataire DMP",
    "DESTMSSANTEPS": "Destinataire (Professionnel de Santé, organisation ou BAL applicative)",
    "DESTMSSANTEPAT": "Destinataire Patient",
    "ACK_RECEPTION": "Accusé de réception",
    "ACK_LECTURE_MSS": "Accusé de lecture",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One PRT `RCT`: a professional, an organisation, an application or the patient; or a bare address."""

    address: str = ""
    professional: Professional | None = None
    structure: Structure | None = None
    application: str = ""
    patient: Patient | None = None

    def __repr__(self) -> str:
        return "<Recipient>"


def name_of(event: str) -> str:
    """MSH-9 of an event."""
    return "ORU^R01^ORU_R01" if event == "R01" else f"MDM^{event}^MDM_T02"


def msh(sending: tuple[str, str], receiving: tuple[str, str], when: dt.datetime, message: str, **rest: str) -> str:
    """The MSH; `rest`: control, processing, version, charset, profile."""
    fields = {
        2: sending[0],
        3: sending[1],
        4: receiving[0],
        5: receiving[1],
        6: f"{when:%Y%m%d%H%M%S}",
        8: message,
        9: esc(rest["control"]),
        10: rest.get("processing", "P"),
        11: rest["version"],
        16: "FRA",
        17: rest.get("charset", "UNICODE UTF-8"),
    }
    if rest.get("profile"):
        fields[20] = rest["profile"]
    return segment("MSH", {1: "^~\\&", **fields})


def ins_cx(p: Patient) -> str:
    namespace = "ASIP-SANTE-INS-NIR"
    return f"{p.ins}^^^{namespace}&{p.ins_oid}&ISO^INS"


def ipp_cx(p: Patient) -> str:
    return f"{p.ipp}^^^{p.ipp_namespace}&{p.ipp_oid}&ISO^PI"


def pid(p: Patient, status: Sequence[str], *, ins: bool, billing_nir: str = "") -> str:
    """PID; `billing_nir` adds an NH under the NIR's OID, which is not an INS (hl7-input §5.1)."""
    ids = [ipp_cx(p)]
    if billing_nir:
        ids.append(f"{billing_nir}^^^ASSURANCE&{INS_NIR}&ISO^NH")
    if ins and p.ins:
        ids.insert(0, ins_cx(p))
    given, names = esc(p.given), esc(p.given_names)
    home = f"28 Avenue de Breteuil^^{esc(p.city[1])}^^{p.city[0]}^FRA^H"
    fields = {
        3: "~".join(ids),
        5: f"{esc(p.birth_family)}^{given}^{names}^^^^L~{esc(p.used_family)}^{given}^^^^^D",
        7: p.birth_date,
        8: p.sex,
        11: f"{home}~^^{esc(p.birthplace[1])}^^^^BDL^^{p.birthplace[0]}",
        18: f"4{p.ipp[-6:]}^^^{p.ipp_namespace}&{p.ipp_oid}&ISO^AN",
        31: "N",
        32: "~".join(status),
    }
    return segment("PID", fields)


def pv1(encounter: str, p: Patient) -> str:
    visit = f"8{p.ipp[-8:]}^^^{p.ipp_namespace}&{p.ipp_oid}&ISO^VN"
    return segment("PV1", {1: "1", 2: encounter, 3: "UFMED", 19: visit})


def _xcn(p: Professional, kind: str) -> str:
    number = p.id[1:] if kind == "RPPS" else p.id
    return f"{number}^{esc(p.family)}^{esc(p.given)}^^^^^^ASIP-SANTE-PS&{PS_OID}&ISO^D^^^{kind}"


def _xon(s: Structure) -> str:
    return f"{esc(s.name)}^^^^^ASIP-SANTE-ST&{STRUCTURE_OID}&ISO^FINEG^^^{s.finess}"


def _prt(d: Dialect, role: str, label: str, fields: dict[int, str], address: str = "") -> str:
    whole = {2: "UC", 4: f"{role}^{label}^{d.participation}" if d.participation else role, **fields}
    if address:
        whole[15] = f"^^X.400^{esc(address)}"
    return segment("PRT", whole)


def prt_sender(d: Dialect, author: Professional, structure: Structure, device: str) -> str:
    who = {10: f"{device}^Automate^Intermediation"} if device else {5: _xcn(author, d.person)}
    return _prt(d, "SB", "Send by", {**who, 8: _xon(structure)})


def prt_recipient(d: Dialect, r: Recipient) -> str:
    fields: dict[int, str] = {}
    if r.professional:
        fields[5] = _xcn(r.professional, d.person)
    if r.patient and r.patient.ins:
        p = r.patient
        authority = f"ASIP-SANTE-INS-NIR&{p.ins_oid}&ISO"
        fields[5] = f"{p.ins}^{esc(p.birth_family)}^{esc(p.given)}^^^^^^{authority}^L^^^INS"
    if r.structure:
        fields[8] = _xon(r.structure)
    if r.application:
        fields[10] = esc(r.application)
    return _prt(d, "RCT", "Result Copies To", fields, r.address)


def prt_reply(d: Dialect, address: str) -> str:
    return _prt(d, "REPLY", "Reply To", {}, address)


def metadata(
    d: Dialect,
    *,
    rank: int,
    mdm: bool,
    values: Mapping[str, bool],
    bodies: Mapping[str, str],
    fin: bool,
) -> list[str]:
    """The metadata OBX in the dialect's order, numbered from `rank`; `values` in the order of hl7-input §1.6."""
    acks = [flag for flag in values.items() if flag[0].startswith("ACK_")]
    lines: list[tuple[str, bool | str]] = [flag for flag in values.items() if flag not in acks]
    lines += [*bodies.items(), *acks] if d.mails_first else [*acks, *bodies.items()]
    out: list[str] = []
    for number, (name, value) in enumerate(lines, rank):
        out.append(_metadata_obx(d, number, mdm, name, value))
        if name == "DESTMSSANTEPAT" and fin:
            out.append("NTE|1|||FIN")
    return out


def _metadata_obx(d: Dialect, rank: int, mdm: bool, name: str, value: bool | str) -> str:
    named = f"{name}^{_LABELS.get(name, 'Corps du mail')}" + (f"^{d.metadata}" if d.metadata else "")
    if isinstance(value, str):
        data = base64.b64encode(value.encode()).decode()
        return segment("OBX", {1: str(rank), 2: "ED", 3: named, 5: f"^TEXT^^Base64^{data}", 11: "F"})
    flag = "Y" if value else "N"
    coded = f"{flag}^^{d.yes_no}" if d.yes_no else flag
    return segment("OBX", {1: str(rank), 2: "CWE" if mdm else "CE", 3: named, 5: coded, 11: "F"})
