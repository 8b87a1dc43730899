"""The national profile as one function: a message in, a verdict and one canonical request out.

The gateway calls it because the ACK must carry every fault; the pipeline's `parse` calls it again to have the same
request from the same bytes. It looks at nothing but the message, the feed's options and the value sets: what needs
an outside party (liste blanche, directory, DMP) is told later, in a ZAM.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.cda.document import Document
from router.cisis import (
    check_document,
    check_envelope,
    check_metadata,
    check_patient,
    check_recipients,
    identity,
    participants,
)
from router.cisis.check_document import SchemaCheck, TypeCodes
from router.cisis.dialects import DESTINATIONS, MASKS
from router.cisis.findings import Finding, Findings, Verdict, conclude, outage
from router.cisis.participants import REPLY
from router.cisis.raw_cda import CDA_HEADERS, check_cda
from router.cisis.reading import Reading, read
from router.cisis.settings import ProfileRules
from router.hl7.header import Unreadable
from router.hl7.message import Message
from router.hl7.segment import Segment
from router.request import Action, Dialect, TransmissionRequest

__all__ = ["CDA_HEADERS", "Finding", "Verdict", "check", "check_cda", "outage"]

_Found = Sequence[tuple[Document, Segment]]


def check(
    message: Message,
    rules: ProfileRules,
    valuesets: TypeCodes,
    *,
    schema: SchemaCheck | None = None,
    keep: bool = False,
    at: float | None = None,
) -> Verdict:
    """Check a message that could be read.

    schema: the XSD of the CDA, when the site provides it (R36)
    at:     Unix time at which it was received, None = now: dates of the message are compared with it (R38, D6)
    keep:   give request and documents beside the faults too, where they can be made: for a message that was
            accepted under other options and is read again
    """
    if len(message) > rules.max_message and not keep:
        findings = Findings(rules, Dialect.V2_1)
        findings.add("R35", "message", limit=rules.max_message)
        return findings.refusal(message)
    return _check(message, rules, valuesets, schema, at=at, keep=keep)


def _check(
    message: Message,
    rules: ProfileRules,
    valuesets: TypeCodes,
    schema: SchemaCheck | None,
    *,
    at: float | None,
    keep: bool,
) -> Verdict:
    try:
        return _checked(message, rules, valuesets, schema, at=at, keep=keep)
    except Unreadable as fault:  # a field that nobody will cut into pieces
        findings = Findings(rules, Dialect.V2_1)
        findings.add_read(fault, fault.place)
        return findings.refusal(message)


def _checked(
    message: Message,
    rules: ProfileRules,
    valuesets: TypeCodes,
    schema: SchemaCheck | None,
    *,
    at: float | None,
    keep: bool,
) -> Verdict:
    findings = Findings(rules, Dialect.V2_1)
    if not check_envelope.reasonable(message, findings):
        return findings.refusal(message)
    if not keep and not check_envelope.few_parts(message, rules, findings):
        return findings.refusal(message)
    reading = read(message)
    findings = Findings(rules, reading.dialect, at)
    if message.rejoined:
        findings.add("R01", "joined")
    if message.holds_nul:
        findings.add("R01", "nul")
    if not check_envelope.supported(reading, findings):
        return findings.refusal(message)
    check_envelope.check_header(reading, rules, findings)
    if not reading.known:
        return findings.refusal(message)  # no generation to judge the rest by
    check_envelope.check_structure(reading, findings)
    action = check_envelope.check_action(reading, findings)
    findings.deletion = action is Action.DELETE
    found = check_document.documents_of(reading, rules, findings, schema)
    _check_documents(reading, found, action, rules=rules, valuesets=valuesets, findings=findings)
    check_metadata.check_metadata(reading, rules, findings)
    request = _request(reading, found, action, rules, findings, keep=keep)
    request = check_document.labelled(request, valuesets) if request is not None else None
    documents, places = [one for one, _ in found], [segment.index for _, segment in found]
    return conclude(findings, request, documents, message, places=places, keep=keep)


def _check_documents(
    reading: Reading,
    found: _Found,
    action: Action | None,
    *,
    rules: ProfileRules,
    valuesets: TypeCodes,
    findings: Findings,
) -> None:
    """R23, R50 to R53, R60 to R64."""
    dmp = reading.yes("DESTDMP")
    documents = [document for document, _ in found]
    check_document.check_pair(found, findings)
    for document, segment in found:
        check_document.check_type(document, segment, reading, valuesets, findings, dmp=dmp)
        if dmp:
            check_document.check_extension(document, rules, findings, n=segment.index, mdm=reading.is_mdm)
    if documents:
        check_document.check_txa(documents[0], reading, action, findings)
    places = [(document, segment.index) for document, segment in found]
    check_document.check_versions(places, action, findings, lenient=not reading.table.action_in_orc)


def _request(
    reading: Reading, found: _Found, action: Action | None, rules: ProfileRules, findings: Findings, *, keep: bool
) -> TransmissionRequest | None:
    """R40 to R49, R65, R75, R80 to R98; and the request, unless a document or the action is missing (see `check`)."""
    message = reading.message
    documents = [document for document, _ in found]
    who = _patient(reading, found, rules, findings)
    values = {name: reading.yes(name) for name in (*MASKS, *DESTINATIONS)}
    places = {name: reading.at(name) for name in DESTINATIONS}
    check_metadata.check_combination(values, places, rules, findings)
    masks = check_metadata.masks_of(reading)
    candidates = check_recipients.of_message(reading, documents, rules)
    if not check_recipients.bounded(candidates, rules, findings) and not keep:
        return None
    # Whom an old sender names stands in his CDA: when it could not be read, nothing is known of them, and that is told.
    unknown = reading.table.recipients_in_cda and not candidates and len(documents) < len(reading.documents)
    unknown = unknown or (not candidates and participants.RECIPIENT in reading.misplaced_kinds)
    professionals, patient = (values[name] and not unknown for name in ("DESTMSSANTEPS", "DESTMSSANTEPAT"))
    wanted = check_recipients.Wanted(professionals, patient, masks)
    recipients = check_recipients.admit(
        candidates,
        wanted,
        who,
        [document.header for document in documents],
        rules=rules,
        findings=findings,
    )
    sender, own = check_recipients.sender_of(reading, documents, rules, findings, dmp=values["DESTDMP"])
    if values["DESTDMP"]:
        for document, segment in found:
            check_document.check_confidentiality(document, rules, findings, n=segment.index)
    stopped = findings.settle(other_leg=any(one.refusal is None for one in recipients))
    bodies = {name: check_metadata.body(reading, name, findings) for name in ("CORPSMAIL_PS", "CORPSMAIL_PATIENT")}
    if not documents or action is None:
        return None
    principal = next((one for one in documents if one.header.level == 3), documents[0])
    replies, head = reading.parts(REPLY), reading.head
    return TransmissionRequest(
        dialect=reading.dialect,
        action=action,
        feed=rules.feed,
        control_id=head.text("10"),
        sending=(head.text("3"), head.text("4")),
        receiving=(head.text("5"), head.text("6")),
        charset=_charset(message),
        processing_id=head.text("11").upper(),
        patient=who.effective,
        encounter_class=message.text("PV1-2").upper(),
        sender=sender,
        speaks_for=own,
        reply_to=check_recipients.reply_to(replies[0], findings) if replies else "",
        recipients=recipients,
        dmp=values["DESTDMP"],
        mss_professionals=values["DESTMSSANTEPS"],
        mss_patient=values["DESTMSSANTEPAT"],
        masks=masks,
        ack_reception=reading.yes("ACK_RECEPTION"),
        ack_lecture=reading.yes("ACK_LECTURE_MSS"),
        no_reply=reading.no_reply,
        body_professionals=bodies["CORPSMAIL_PS"],
        body_patient=bodies["CORPSMAIL_PATIENT"],
        documents=tuple(document.header for document in documents),
        replaces=check_document.replaced(principal, reading) if action is Action.REPLACE else "",
        dmp_inadmissible=stopped,
        warnings=tuple(f"{finding.rule}: {finding.text}" for finding in findings.warnings),
    )


def _patient(reading: Reading, found: _Found, rules: ProfileRules, findings: Findings) -> identity.Identity:
    pids = reading.message.segments("PID")
    who = identity.of_message(pids[0] if pids else None, rules.autorites)
    if pids:
        check_patient.check_pid(pids[0], findings)
        documents = [document for document, _ in found]
        check_patient.check_same_patient(who, documents, rules, findings)
        places = [(document, segment.index) for document, segment in found]
        check_patient.check_ins(who, places, rules, findings, dmp=reading.yes("DESTDMP"))
    return who


def _charset(message: Message) -> str:
    """MSH-18 to answer with: the sender's own, or the name of what his bytes are in."""
    return message.charset or {"utf-8": "UNICODE UTF-8"}.get(message.codec, "8859/15")
