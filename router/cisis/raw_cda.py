"""A CDA that comes without HL7: what is asked stands in headers, and the same rules apply (decisions D2).

`CDA_HEADERS` is the whole interface. Names are those of HTTP headers without their prefix, in lower case; on
`raw.<feed>` they are record headers. Lists are separated by commas.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Final, NamedTuple

import pybase64

from router.cda.document import Document
from router.cisis import check_document, check_metadata, check_patient, check_recipients, identity, participants
from router.cisis.check_document import SchemaCheck, TypeCodes
from router.cisis.check_recipients import Candidate, Wanted, of_address
from router.cisis.dialects import MASKS
from router.cisis.findings import Findings, Verdict, conclude
from router.cisis.participants import finess_of, ps_id_nat
from router.cisis.settings import ProfileRules
from router.request import (
    Action,
    Author,
    Dialect,
    Masks,
    Professional,
    Recipient,
    RecipientKind,
    Structure,
    TransmissionRequest,
)


class CdaHeader(NamedTuple):
    """One header of a raw CDA's request. `stands_for`: its place in a message of the volet."""

    name: str
    form: str
    default: str
    stands_for: str
    meaning: str


#: Every header that is read; others are ignored. Defaults ask for nothing.
CDA_HEADERS: Final = (
    CdaHeader("request-id", "text", "required", "MSH-10", "Identifier of the request: unique per sender."),
    CdaHeader("action", "initial | replace | delete", "initial", "ORC-1, OBX-11", "What to do with the document."),
    CdaHeader("dmp", "Y | N", "N", "DESTDMP", "Send it to the DMP."),
    CdaHeader("mssante-ps", "addresses", "", "DESTMSSANTEPS, PRT RCT", "Mailboxes of professionals to write to."),
    CdaHeader(
        "mssante-patient",
        "address | Y | N",
        "N",
        "DESTMSSANTEPAT, PRT RCT",
        "The patient's mailbox; Y: the one of his INS.",
    ),
    CdaHeader("masque-ps", "Y | N", "N", "MASQUE_PS", "Hidden from professionals."),
    CdaHeader("invisible-patient", "Y | N", "N", "INVISIBLE_PATIENT", "Hidden from the patient."),
    CdaHeader("invisible-rep-legaux", "Y | N", "N", "INVISIBLE_REP_LEGAUX", "Hidden from legal representatives."),
    CdaHeader("connexion-secrete", "Y | N", "N", "CONNEXION_SECRETE", "Fed to the DMP in secret connection."),
    CdaHeader("modif-conf-code", "Y | N", "N", "MODIF_CONF_CODE", "The replacement changes visibility only."),
    CdaHeader("ack-reception", "Y | N", "N", "ACK_RECEPTION", "Tell what became of every copy."),
    CdaHeader("ack-lecture", "Y | N", "N", "ACK_LECTURE_MSS", "Tell when a mail was read."),
    CdaHeader("no-reply", "Y | N", "N", "NTE-4", "The patient can't answer the mail."),
    CdaHeader("ins-status", "code of PID-32", "", "PID-32", "VALI when the identity is validated; else no INS leaves."),
    CdaHeader("encounter-class", "code of PV1-2", "", "PV1-2", "E, I, N, O, R."),
    CdaHeader("sender-id", "RPPS or PS_IdNat", "signer of the CDA", "PRT SB, PRT-5.1", "The professional who sends."),
    CdaHeader("sender-family", "text", "", "PRT SB, PRT-5.2", "Family name of the professional who sends."),
    CdaHeader("sender-given", "text", "", "PRT SB, PRT-5.3", "Given name of the professional who sends."),
    CdaHeader("structure-finess", "FINESS", "structure of the CDA", "PRT SB, PRT-8.10", "The structure that sends."),
    CdaHeader("structure-name", "text", "", "PRT SB, PRT-8.1", "Name of the structure that sends."),
    CdaHeader("reply-to", "address", "", "PRT REPLY", "Where answers to the mail go."),
    CdaHeader("body-ps", "base64 of UTF-8", "", "CORPSMAIL_PS", "Text of the mail to professionals."),
    CdaHeader("body-patient", "base64 of UTF-8", "", "CORPSMAIL_PATIENT", "Text of the mail to the patient."),
    CdaHeader("processing-id", "P | T | D", "P", "MSH-11", "Production, training or debugging."),
    CdaHeader("sending-application", "text", "", "MSH-3", "Name of the sending software."),
    CdaHeader("sending-facility", "text", "", "MSH-4", "Name of the sending facility."),
)

_ACTIONS: Final = {str(action): action for action in Action}
_MASKS: Final = {name: name.lower().replace("_", "-") for name in MASKS}
_YES_NO: Final = (*_MASKS.values(), "dmp", "ack-reception", "ack-lecture", "no-reply")


def check_cda(
    document: bytes,
    headers: Mapping[str, str],
    rules: ProfileRules,
    valuesets: TypeCodes,
    *,
    schema: SchemaCheck | None = None,
    keep: bool = False,
    at: float | None = None,
) -> Verdict:
    """Check a CDA and the request in its headers. Never raises. ERR-2 is the name of the header, or `CDA`.

    `schema`, `keep` and `at`: as for a message, see `router.cisis.profile.check`.
    """
    findings = Findings(rules, Dialect.CDA, at)
    # A file of headers or a record may hold a NUL, which no text that leaves may (as `router.hl7.segment.plain`).
    asked = _Asked({name.lower(): value.replace("\x00", "").strip() for name, value in headers.items()}, findings)
    action = _ACTIONS.get(asked.text("action", "initial").lower())
    findings.deletion = action is Action.DELETE
    if action is None:
        findings.add("R32")
    _check_envelope(asked, rules, findings)
    found = check_document.document_of(document, rules, findings, schema, raw=True)
    if found is None:
        return findings.refusal()
    request = _request(asked, found, action, rules=rules, valuesets=valuesets, findings=findings, keep=keep)
    request = check_document.labelled(request, valuesets) if request is not None else None
    return conclude(findings, request, [found], keep=keep)


class _Asked:
    """The headers of one request, read by name; a wrong Y or N is told once (R72)."""

    def __init__(self, headers: Mapping[str, str], findings: Findings) -> None:
        self._headers = headers
        for name in _YES_NO:
            value = headers.get(name, "N").upper()
            if value not in ("Y", "N", ""):
                findings.add("R72", what=name)
            elif headers.get(name, "N") not in ("Y", "N", ""):
                findings.add("R72", "tolerated", what=name)

    def text(self, name: str, default: str = "") -> str:
        return self._headers.get(name) or default

    def yes(self, name: str) -> bool:
        return self.text(name).upper() == "Y"

    def addresses(self, name: str) -> list[str]:
        return [one for part in self.text(name).split(",") if (one := part.strip())]

    def body(self, name: str, findings: Findings) -> str | None:
        """R75: a mail body."""
        if not self.text(name):
            return None
        try:
            raw = pybase64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            findings.add("R75", "unreadable", what=name)
            return None
        if not check_metadata.is_utf8(raw):
            findings.add("R75", "charset", what=name)
        return check_metadata.plain(check_metadata.text_of(raw)) or None


def _check_envelope(asked: _Asked, rules: ProfileRules, findings: Findings) -> None:
    """R06, R07, R08."""
    if asked.text("processing-id", "P").upper() not in rules.accepted_processing_ids:
        findings.add("R06")
    if not asked.text("request-id"):
        findings.add("R07")
    sender = asked.text("sending-application")
    if rules.senders and not {sender, f"{sender}|{asked.text('sending-facility')}"} & set(rules.senders):
        findings.add("R08", "sender")


def _request(
    asked: _Asked,
    document: Document,
    action: Action | None,
    *,
    rules: ProfileRules,
    valuesets: TypeCodes,
    findings: Findings,
    keep: bool,
) -> TransmissionRequest | None:
    header, dmp = document.header, asked.yes("dmp")
    who = identity.of_document(header, asked.text("ins-status").upper())
    check_patient.check_ins(who, [(document, 1)], rules, findings, dmp=dmp)
    check_document.check_code(header.code.code, valuesets, findings, dmp=dmp)
    check_document.check_versions([(document, 1)], action, findings, lenient=False)
    if dmp:
        check_document.check_extension(document, rules, findings, n=1, mdm=False)
        check_document.check_confidentiality(document, rules, findings)
    candidates = _candidates(asked, rules)
    if not check_recipients.bounded(candidates, rules, findings) and not keep:
        return None
    masks = Masks(**{name.lower(): asked.yes(header_name) for name, header_name in _MASKS.items()})
    wanted = Wanted(bool(asked.addresses("mssante-ps")), _wants_patient(asked), masks)
    values = {name: asked.yes(header_name) for name, header_name in _MASKS.items()}
    values |= {"DESTDMP": dmp, "DESTMSSANTEPS": wanted.professionals, "DESTMSSANTEPAT": wanted.patient}
    check_metadata.check_combination(values, {}, rules, findings)
    recipients = check_recipients.admit(candidates, wanted, who, [header], rules=rules, findings=findings)
    sender = _sender(asked, document, findings, dmp=dmp)
    facility, said = asked.text("sending-facility"), bool(asked.text("structure-finess"))
    own = participants.speaks_for(sender, rules, findings, facility=facility, said=said, dmp=dmp)
    stopped = findings.settle(other_leg=any(one.refusal is None for one in recipients))
    bodies = {name: asked.body(name, findings) for name in ("body-ps", "body-patient")}
    reply = asked.addresses("reply-to")
    if action is None:
        return None
    return TransmissionRequest(
        dialect=Dialect.CDA,
        action=action,
        feed=rules.feed,
        control_id=asked.text("request-id"),
        sending=(asked.text("sending-application"), asked.text("sending-facility")),
        processing_id=asked.text("processing-id", "P").upper(),
        patient=who.effective,
        encounter_class=asked.text("encounter-class").upper(),
        sender=sender,
        speaks_for=own,
        reply_to=check_recipients.clean_reply(reply[0] if len(reply) == 1 else "", bool(reply), findings),
        recipients=recipients,
        dmp=dmp,
        mss_professionals=wanted.professionals,
        mss_patient=wanted.patient,
        masks=masks,
        ack_reception=asked.yes("ack-reception"),
        ack_lecture=asked.yes("ack-lecture"),
        no_reply=asked.yes("no-reply"),
        body_professionals=bodies["body-ps"],
        body_patient=bodies["body-patient"],
        documents=(header,),
        replaces=header.replaces if action is Action.REPLACE else "",
        dmp_inadmissible=stopped,
        warnings=tuple(f"{finding.rule}: {finding.text}" for finding in findings.warnings),
    )


def _wants_patient(asked: _Asked) -> bool:
    return asked.text("mssante-patient", "N").upper() != "N"


def _candidates(asked: _Asked, rules: ProfileRules) -> list[Candidate]:
    """Ranks count the addresses in the order they are written, the patient's last."""
    named = [
        of_address(one, rank, rules, header="mssante-ps") for rank, one in enumerate(asked.addresses("mssante-ps"), 1)
    ]
    patient = asked.text("mssante-patient", "N")
    rank = len(named) + 1
    if patient.upper() == "Y":
        named.append(Candidate(Recipient(rank=rank, kind=RecipientKind.PATIENT), to_build=True))
        return named
    if patient.upper() != "N":
        named.append(of_address(patient, rank, rules, header="mssante-patient"))
    return named


def _sender(asked: _Asked, document: Document, findings: Findings, *, dmp: bool) -> Author | None:
    """R80: the sender of the headers, completed by who signed the CDA."""
    signer = check_recipients.signer_of([document]) or Author()
    person, structure = signer.person, signer.structure
    if number := asked.text("sender-id"):
        national, kind = ps_id_nat(number, "")
        person = Professional(
            id=national, kind=kind, family=asked.text("sender-family"), given=asked.text("sender-given")
        )
    if number := asked.text("structure-finess"):
        finess = finess_of(number)
        name = asked.text("structure-name") or (structure.name if structure and structure.finess == finess else "")
        structure = Structure(id=f"1{finess}" if finess else number, name=name, kind="FINEG", finess=finess)
    if dmp and person is None:
        findings.add("R80", "who")
    if dmp and (structure is None or not structure.id):
        findings.add("R80", "structure")
    return Author(person=person, structure=structure) if person or structure else None
