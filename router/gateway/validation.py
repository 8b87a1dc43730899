"""Reading, recognising and checking one message: all that needs no I/O, so any thread may do it."""

from __future__ import annotations

import binascii
import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from router.cisis.findings import Finding, answer, outage
from router.cisis.rule import in_order
from router.contracts import Clock, Header, Outgoing
from router.errors import Bug, MessageFault
from router.exchange import Event, Pseudonyms
from router.french_time import in_france
from router.gateway import dead_letters, identity, lengths
from router.gateway.received import Feed, FeedVerdict, Received, ValidatedMessage
from router.hl7 import ack, write
from router.hl7.ack import Code, Err
from router.hl7.header import Unreadable
from router.hl7.message import Message
from router.language import translated
from router.wire import event_record, journal_record

_OUTAGE: Final = outage().err
_REUSED: Final = answer("R13")


class MessageValidator:
    """Turns what was received into a verdict with its answer and its records. Holds no state, writes nothing.

    `recent(event id)`: the ACK given to this very message a short while ago, or None.
    `last(control id)`: the event id that lately came under this MSH-10, or None.
    """

    def __init__(
        self,
        clock: Clock,
        pseudonyms: Pseudonyms,
        recent: Callable[[str], bytes | None],
        last: Callable[[str], bytes | None],
    ) -> None:
        self._clock, self._pseudonyms, self._recent, self._last = clock, pseudonyms, recent, last
        # MSH-10 of our answers, 20 characters at most: a new random start for each process, then a count.
        self._start, self._count = secrets.token_hex(6).upper(), itertools.count()

    def validate(self, feed: Feed, received: Received) -> ValidatedMessage:
        """Never raises: what can't be read or checked is refused, with its reason. A bug of ours is one too."""
        try:
            return self._validated(feed, received)
        except Exception as error:
            event_id = identity.unreadable_id(feed.name, received.data)
            return self._refused(feed, received, event_id, None, _fault(Bug.of(error, "intake")))

    def oversize(self, feed: Feed, received: Received, limit: int) -> ValidatedMessage:
        """The refusal of a frame of which `received` holds the beginning only (E15)."""
        fault = answer("R35", "message", limit=limit)
        event_id = identity.unreadable_id(feed.name, received.data)
        return self._refused(feed, received, event_id, Message.glimpse(received.data), fault)

    def outage(self, validated: ValidatedMessage, err: Err = _OUTAGE) -> bytes:
        """The AR of a message that can't be kept now (R99)."""
        return self._ack("AR", validated.received, validated.message, [err])

    def records(self, validated: ValidatedMessage) -> Sequence[Outgoing]:
        """What must be durable before this verdict may be told."""
        if validated.code != "AA":
            return dead_letters.refusal(validated, self._pseudonyms)
        received, verdict = validated.received, validated.verdict
        headers = {
            **verdict.headers,
            Header.KIND: received.kind,
            Header.RECEIVED: f"{received.at:.3f}",
            Header.CHECKED: verdict.checked,
            Header.ACK: validated.code,
            Header.ACK_BYTES: binascii.b2a_base64(validated.ack, newline=False).decode(),
            Header.SOURCE: received.source,
        }
        if number := dead_letters.control(validated):
            headers[Header.CONTROL] = number
        if verdict.warnings:
            headers[Header.WARNINGS] = "\n".join(verdict.warnings)
        body = dead_letters.body(received)
        event = Event(validated.event_id, validated.feed, verdict.key, body, headers, verdict=verdict.packed)
        return [event_record(event)]

    def note(self, validated: ValidatedMessage) -> Outgoing:
        """The journal's line of a repeat."""
        return journal_record(dead_letters.entry("duplicate", validated, self._pseudonyms))

    def refuse(self, validated: ValidatedMessage, fault: MessageFault) -> ValidatedMessage:
        """The same message, refused after all (the bus can't carry it)."""
        feed = Feed(name=validated.feed, check=lambda *_: FeedVerdict())
        return self._refused(feed, validated.received, validated.event_id, validated.message, _fault(fault))

    # -------------------------------------------------------------------------------------------- inside

    def _validated(self, feed: Feed, received: Received) -> ValidatedMessage:
        if received.kind == "cda":
            event_id = identity.request_id(feed.name, received.headers, received.data)
            if received.repeated:  # under an id of its own: the same request with this header once is another one
                event_id = identity.request_id(feed.name, {**received.headers, "": received.repeated}, received.data)
                found = answer("R15", what=received.repeated)
                return self._refused(feed, received, event_id, None, found)
            if long := lengths.of_request(received.headers):
                return self._refused(feed, received, event_id, None, *long)
            return self._known(feed, received, event_id, None) or self._check(feed, received, event_id, None)
        try:
            message = Message.parse(received.data, charset_fallback=feed.charset_fallback or None, rejoin=feed.rejoin)
        except Unreadable as fault:
            event_id = identity.unreadable_id(feed.name, received.data)
            seen = Message.glimpse(received.data) if fault.condition != "200" else None
            return self._refused(feed, received, event_id, seen, _fault(fault))
        event_id = identity.message_id(feed.name, message)
        if long := lengths.of_message(message):
            return self._refused(feed, received, event_id, message, *long)
        return self._known(feed, received, event_id, message) or self._check(feed, received, event_id, message)

    def _known(self, feed: Feed, received: Received, event_id: str, message: Message | None) -> ValidatedMessage | None:
        stored = self._recent(event_id)
        if stored is None:
            return None
        return ValidatedMessage(
            feed=feed.name,
            event_id=event_id,
            received=received,
            message=message,
            verdict=FeedVerdict(),
            code="AA",
            ack=stored,
            repeat=True,
        )

    def _check(self, feed: Feed, received: Received, event_id: str, message: Message | None) -> ValidatedMessage:
        try:
            verdict = feed.check(received, message)
        except MessageFault as fault:
            return self._refused(feed, received, event_id, message, _fault(fault))
        except Exception as error:
            # The reason is kept, its text (which may quote a value) is not; the bytes are in the dead letter.
            return self._refused(feed, received, event_id, message, _fault(Bug.of(error, "intake")))
        if message is not None and self._last(identity.control_id(feed.name, message)) not in (None, event_id.encode()):
            if feed.refuse_reused:
                faults = (*verdict.faults, _REUSED)
                verdict = replace(verdict, faults=tuple(sorted(faults, key=lambda fault: in_order(fault.rule))))
            else:
                verdict = replace(verdict, warnings=(*verdict.warnings, f"{_REUSED.rule}: {_REUSED.text}"))
        if message is not None and (unusual := lengths.unusual(message)):
            verdict = replace(verdict, warnings=(*verdict.warnings, unusual))
        code: Code = "AE" if verdict.faults else "AA"
        answer = self._ack(code, received, message, [fault.err for fault in verdict.faults])
        return ValidatedMessage(
            feed=feed.name,
            event_id=event_id,
            received=received,
            message=message,
            verdict=verdict,
            code=code,
            ack=answer,
        )

    def _refused(
        self, feed: Feed, received: Received, event_id: str, message: Message | None, *faults: Finding
    ) -> ValidatedMessage:
        answer = self._ack("AE", received, message, [fault.err for fault in faults])
        return ValidatedMessage(
            feed=feed.name,
            event_id=event_id,
            received=received,
            message=message,
            verdict=FeedVerdict(faults=faults),
            code="AE",
            ack=answer,
        )

    def _ack(self, code: Code, received: Received, message: Message | None, errors: Sequence[Err]) -> bytes:
        if message is None and received.kind == "cda":
            message = _as_message(received)
        now = _local(int(self._clock.now()))
        return ack.build(code, message, errors, now=now, control_id=f"{self._start}{next(self._count):08X}")


@lru_cache(maxsize=4)
def _local(second: int) -> datetime:
    """Local time of France (hl7-input §4), made once a second."""
    return in_france(second)


def _fault(fault: MessageFault) -> Finding:
    text = translated(fault.text, "fr")  # what senders read is French, whatever the operator's language
    if isinstance(fault, Unreadable):
        return Finding(fault.code, Err(fault.condition, fault.place, text=text))
    return Finding(fault.code, Err("207", fault.place, application=ack.application("906"), text=text))


def _as_message(received: Received) -> Message | None:
    """A header to answer a raw CDA with: its request id is what MSA-2 acknowledges."""
    head = received.headers
    parties = (head.get("sending-application", ""), head.get("sending-facility", ""))
    line = write.segment("MSH", *parties, "", "", "", "", "", head.get("request-id", ""), "P", "2.5")
    return Message.glimpse(write.message([line]))
