"""What the gateway writes of a message it does not accept: the dead letter, and its line in the journal."""

from __future__ import annotations

from typing import Final

from router.cisis.findings import Finding
from router.contracts import Header, Outgoing, cause, dlq_topic
from router.engine.dead_letters.remediation import advice
from router.exchange import JournalEntry, Pseudonyms
from router.gateway import identity
from router.gateway.received import Received, ValidatedMessage
from router.hl7.ack import CONTROL_ID
from router.hl7.lengths import LONGEST
from router.language import N_
from router.payload import pack_request
from router.wire import journal_record

STAGE: Final = "intake"
_PARTY: Final = LONGEST[3]

_ADVICE: Final = advice((("*", N_("Faire corriger l'émetteur : il renverra le message. Rien n'est parti.")),))


def body(received: Received) -> bytes:
    """What stands on the bus: the bytes as received; a raw CDA with its request's headers before it."""
    return pack_request(received.headers, received.data) if received.kind == "cda" else received.data


def refusal(validated: ValidatedMessage, pseudonyms: Pseudonyms) -> list[Outgoing]:
    """The records of a refused message: its bytes untouched in `dlq.intake`, and `refused` in the journal."""
    received, first = validated.received, validated.verdict.faults[0]
    moment = f"{received.at:.3f}"
    headers = {
        Header.ID: validated.event_id,
        Header.FEED: validated.feed,
        Header.KIND: received.kind,
        Header.RECEIVED: moment,
        Header.SOURCE: received.source,
        Header.ACK: validated.code,
        Header.STAGE: STAGE,
        Header.CODE: first.rule,
        Header.PLACE: first.err.location,
        Header.TEXT: first.err.text,
        Header.ATTEMPTS: "1",
        Header.FIRST: moment,
        Header.LAST: moment,
        Header.CAUSE: cause(STAGE, validated.feed, first.rule, first.err.location),
        Header.NEXT: _ADVICE(first.rule),
    }
    if number := control(validated):
        headers[Header.CONTROL] = number
    if belongs := str(validated.verdict.facts.get("speaks_for", "")):
        headers[Header.STRUCTURE] = belongs
    dead_letter = Outgoing(dlq_topic(STAGE), validated.event_id, body(received), headers)
    return [dead_letter, journal_record(entry("refused", validated, pseudonyms))]


def entry(kind: str, validated: ValidatedMessage, pseudonyms: Pseudonyms) -> JournalEntry:
    """A line of the story. It names no patient: identities are pseudonyms."""
    verdict, message, received = validated.verdict, validated.message, validated.received
    fault: Finding | None = verdict.faults[0] if verdict.faults else None
    facts = dict(verdict.facts)
    if message is not None and "patients" not in facts:
        facts["patients"] = identity.patients(message, pseudonyms)
    return JournalEntry(
        event_id=validated.event_id,
        kind=kind,
        at=received.at,
        feed=validated.feed,
        control_id=control(validated),
        sender=_sender(validated),
        source=received.source,
        ack=validated.code,
        code=fault.rule if fault else "",
        place=fault.err.location if fault else "",
        text=fault.err.text if fault else "",
        size=len(received.data),
        warnings=verdict.warnings,
        **facts,  # type: ignore[arg-type]  # the check fills fields of the entry by their names
    )


def control(validated: ValidatedMessage) -> str:
    """MSH-10, or the request id of a raw CDA; of one that is too long (R14), its beginning."""
    if validated.message is not None:
        return validated.message.control_id[:CONTROL_ID]
    return validated.received.headers.get("request-id", "")[:CONTROL_ID]


def _sender(validated: ValidatedMessage) -> str:
    if validated.message is None:
        return validated.received.headers.get("sending-application", "")[:_PARTY]
    return "|".join(validated.message.text(field)[:_PARTY] for field in ("MSH-3", "MSH-4")).strip("|")
