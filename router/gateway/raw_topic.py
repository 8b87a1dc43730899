"""`raw.<feed>`: what other systems write on the bus is checked like a listener's message.

Events, dead letters, journal lines, answers and the input's offsets move in one transaction: each record has
exactly one outcome, whatever is killed when. Nobody waits for an answer, so there is no AR: an outage waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from router.cisis.raw_cda import CDA_HEADERS
from router.contracts import Consumer, Header, Outgoing, Partition, Producer, Record, Settle, raw_topic
from router.errors import Bug, Fenced, MessageFault, OperatorFault, RouterError, Unavailable
from router.gateway.intake import Intake
from router.gateway.received import Feed, Kind, Received, ValidatedMessage
from router.gateway.writer import BATCH_BYTES

_MAX_RECORDS: Final = 500
_ASKED: Final = frozenset(header.name for header in CDA_HEADERS)
"""Headers that are a raw CDA's request: what else its producer adds (a trace, a time) is no part of its identity."""
_BACKOFF: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_MOST_FENCED: Final = 3
"""So many refused commits in a row mean that another gateway has our name. One alone means that a partition moved."""


class RawTopic:
    """The consumer of one feed's raw topic, in a thread of its own. `ack_topic`: where answers go, or None."""

    def __init__(self, feed: Feed, intake: Intake, ack_topic: str | None = None) -> None:
        self._feed, self._intake, self._ack_topic = feed, intake, ack_topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"raw-{feed.name}", daemon=True)
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        self.fatal: RouterError | None = None

    async def start(self) -> None:
        self._thread.start()

    async def tick(self) -> None:
        """Raises what made the thread stop."""
        if self.fatal is not None:
            raise self.fatal

    async def close(self, timeout: float) -> None:
        """Finish the batch in hand."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, timeout)

    # -------------------------------------------------------------------------------------------- inside

    def _run(self) -> None:
        failures = fenced = taken = 0
        while not self._stop.is_set():
            try:
                self._step()
                failures = fenced = 0
            except (Unavailable, Fenced) as error:
                self._forget()
                fenced += isinstance(error, Fenced)
                taken += error.code == "KAFKA-MEMBER"  # said by the group itself, between two polls that succeed
                if max(fenced, taken) > _MOST_FENCED:
                    self.fatal = error
                    break
                self._stop.wait(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1
            except OperatorFault as error:
                self.fatal = error
                break
            except Exception as error:
                self.fatal = Bug.of(error, "raw")  # a thread that ends must be known; its batch was not committed
                break
        self._forget()

    def _step(self) -> None:
        """One batch. After an outage the consumer is made anew and reads from the committed offsets."""
        name = f"{self._intake.name}-raw-{self._feed.name}"
        if self._consumer is None:
            topic = raw_topic(self._feed.name)
            self._consumer = self._intake.bus.consumer(f"raw-{self._feed.name}", [topic], member=name)
            self._producer = self._intake.bus.producer(name)
        found = self._consumer.poll(max_records=_MAX_RECORDS, max_bytes=BATCH_BYTES, timeout=0.5)
        if found:
            self._take(found)

    def _forget(self) -> None:
        parts = (self._consumer, self._producer)
        self._consumer = self._producer = None
        for part in parts:
            if part is not None:
                with suppress(RouterError):  # what it has not committed is read again
                    part.close()

    def _take(self, records: Sequence[Record]) -> None:
        validated = [self._validator(record) for record in records]
        try:
            self._publish(records, validated)
        except MessageFault:
            # One of them is more than the bus can carry: each alone, so that only that one is refused.
            for record, one in zip(records, validated, strict=True):
                self._alone(record, one)

    def _alone(self, record: Record, validated: ValidatedMessage) -> None:
        try:
            self._publish([record], [validated])
        except MessageFault as fault:
            refused = self._intake.validator.refuse(validated, fault)
            output = [self._intake.validator.records(refused)[-1], *self._told(record, refused, refused.ack)]
            self._commit([record], output)

    def _validator(self, record: Record) -> ValidatedMessage:
        kind: Kind = (
            "cda" if record.headers.get(Header.KIND) == "cda" or record.value[:64].lstrip()[:1] == b"<" else "hl7"
        )
        lower = [(name.lower(), value) for name, value in record.headers.items()] if kind == "cda" else []
        headers = {name: value for name, value in lower if name in _ASKED}
        received = Received(
            data=record.value,
            source="raw",
            at=self._intake.clock.now(),
            kind=kind,
            headers=headers,
            repeated=_repeated(record) if kind == "cda" else "",
        )
        self._intake.observer.count("messages_received_total", feed=self._feed.name, source="raw")
        return self._intake.validator.validate(self._feed, received)

    def _publish(self, records: Sequence[Record], validated: Sequence[ValidatedMessage]) -> None:
        """Write what became of each, once per id, with the offsets."""
        known = dict(self._intake.known.acks([one.event_id for one in validated]))
        output: list[Outgoing] = []
        for record, one in zip(records, validated, strict=True):
            stored = known.get(one.event_id)
            if stored is not None or one.repeat:
                output.append(self._intake.validator.note(one))
            else:
                output += self._intake.validator.records(one)
                if one.code == "AA":
                    known[one.event_id] = one.ack
            output += self._told(record, one, stored or one.ack)
        self._commit(records, output)
        for one in validated:
            self._intake.observer.count("acks_total", feed=self._feed.name, ack=one.code)

    def _commit(self, records: Sequence[Record], output: Sequence[Outgoing]) -> None:
        assert self._producer is not None and self._consumer is not None  # noqa: S101  # made by `_step`
        offsets: dict[Partition, int] = {}
        for record in records:
            offsets[Partition(record.topic, record.partition)] = record.offset + 1
        self._producer.publish(output, settle=Settle(self._consumer, offsets))

    def _told(self, record: Record, validated: ValidatedMessage, ack: bytes) -> list[Outgoing]:
        """The answer, for who asked for a topic of answers; under the key and origin of what it answers."""
        if self._ack_topic is None:
            return []
        headers = {Header.ID: validated.event_id, Header.ACK: validated.code, Header.ORIGIN: str(record.origin)}
        return [Outgoing(self._ack_topic, record.key, ack, headers)]


def _repeated(record: Record) -> str:
    """The first header of a raw CDA's request that the record has twice, in whatever case; "" when there is none."""
    names = Counter(name.lower() for name in record.headers)
    names.update(name.lower() for name in record.repeated)
    return min((name for name in names if names[name] > 1 and name in _ASKED), default="")
