"""What the gateway writes of a message it does not accept: the dead letter, and its line in the journal."""

from __future__ import annotations

from typing import Final

from router.contracts import Header, Outgoing, dlq_topic
from router.exchange import JournalEntry, Pseudonyms
from router.gateway import identity
from router.gateway.received import Fault, Judged, Received
from router.payload import pack_request
from router.wire import journal_record

STAGE: Final = "intake"

#: Beginning of the code -> what a person should do (header `next`).
_NEXT: Final = {
    "BUG": "Signaler l'erreur ; une fois le routeur corrigé, rejouer : segur-router dlq replay.",
    "": "Faire corriger l'émetteur : il renverra le message. Rien n'est parti.",
}


def body(received: Received) -> bytes:
    """What stands on the bus: the bytes as received; a raw CDA with its request's headers before it."""
    return pack_request(received.headers, received.data) if received.kind == "cda" else received.data


def refusal(judged: Judged, pseudonyms: Pseudonyms) -> list[Outgoing]:
    """The records of a refused message: its bytes untouched in `dlq.intake`, and `refused` in the journal."""
    received, first = judged.received, judged.checked.faults[0]
    moment = f"{received.at:.3f}"
    headers = {
        Header.ID: judged.event_id,
        Header.FEED: judged.feed,
        Header.KIND: received.kind,
        Header.RECEIVED: moment,
        Header.SOURCE: received.source,
        Header.ACK: judged.code,
        Header.STAGE: STAGE,
        Header.CODE: first.rule,
        Header.PLACE: first.err.location,
        Header.TEXT: first.err.text,
        Header.ATTEMPTS: "1",
        Header.FIRST: moment,
        Header.LAST: moment,
        Header.CAUSE: identity.cause(STAGE, first.rule, first.err.location, judged.feed),
        Header.NEXT: next(text for start, text in _NEXT.items() if first.rule.startswith(start)),
    }
    if number := control(judged):
        headers[Header.CONTROL] = number
    letter = Outgoing(dlq_topic(STAGE), judged.event_id, body(received), headers)
    return [letter, journal_record(entry("refused", judged, pseudonyms))]


def entry(kind: str, judged: Judged, pseudonyms: Pseudonyms) -> JournalEntry:
    """A line of the story. It names no patient: identities are pseudonyms."""
    checked, message, received = judged.checked, judged.message, judged.received
    fault: Fault | None = checked.faults[0] if checked.faults else None
    facts = dict(checked.facts)
    if message is not None and "patients" not in facts:
        facts["patients"] = identity.patients(message, pseudonyms)
    return JournalEntry(
        event_id=judged.event_id,
        kind=kind,
        at=received.at,
        feed=judged.feed,
        control_id=control(judged),
        sender=_sender(judged),
        source=received.source,
        ack=judged.code,
        code=fault.rule if fault else "",
        place=fault.err.location if fault else "",
        text=fault.err.text if fault else "",
        size=len(received.data),
        warnings=checked.warnings,
        **facts,  # type: ignore[arg-type]  # the check fills fields of the entry by their names
    )


def control(judged: Judged) -> str:
    """MSH-10, or the request id of a raw CDA."""
    if judged.message is not None:
        return judged.message.control_id
    return judged.received.headers.get("request-id", "")


def _sender(judged: Judged) -> str:
    if judged.message is None:
        return judged.received.headers.get("sending-application", "")
    return f"{judged.message.text('MSH-3')}|{judged.message.text('MSH-4')}".strip("|")
