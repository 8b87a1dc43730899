"""The pipeline stage: claims events in batches, decides, writes all they became in one transaction with their offsets.

The way of an event, in `_turn` and `_batch`: poll → claim → decide → write.

Synchronous, on one thread: its work is CPU. While a feed must wait (a pipeline stopped), or one of its partitions (a
directory is away), they are paused and polling goes on, so that the others do and the group keeps this member.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice, takewhile
from typing import Final, TypeVar

from router.contracts import (
    Alert,
    Bus,
    Clock,
    Consumer,
    Header,
    Ledger,
    Observer,
    Partition,
    Record,
    Settle,
    SystemClock,
    Unobserved,
    in_topic,
    no_alert,
    rewind,
)
from router.engine.dead_letters.remediation import Advice, next_step
from router.engine.pipeline.compiled import (
    BugLimit,
    CompiledPipeline,
    Describe,
    Earlier,
    Pipelines,
    Unmatched,
    Unserved,
    all_served,
    always_a_dead_letter,
    no_description,
    nobody_earlier,
)
from router.engine.pipeline.decider import Decider, Work
from router.engine.pipeline.event_reader import claim, readable
from router.engine.pipeline.pauses import TELL_AGAIN, Pauses
from router.engine.retry_policy import backoff
from router.errors import Fenced, Malformed, MessageFault, OperatorFault, Unavailable
from router.exchange import Event, Origin
from router.wire import damaged

T = TypeVar("T")

GROUP: Final = "pipelines"
MAX_RECORDS: Final = 200
MAX_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of one batch, and of one transaction (architecture §budgets). One oversize event goes alone."""
POLL: Final = 0.2
APART: Final = 8
"""After so many tries (some seconds) the events of a transaction are written one by one."""


class _Halt(Exception):
    """`stop` was called in the middle of a wait: leave without committing."""


class PipelineWorker:
    """Runs the events of `feeds` through their pipelines until `stop`.

    `member` is stable over restarts (`pipelines-0`). `run` raises `Fenced` when another process took our name.
    The ledger is used from the thread of `run` alone.
    """

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        feeds: Sequence[str],
        pipelines: Pipelines,
        *,
        member: str,
        describe: Describe = no_description,
        unserved: Unserved = all_served,
        unmatched: Unmatched = always_a_dead_letter,
        earlier: Earlier = nobody_earlier,
        clock: Clock | None = None,
        observer: Observer | None = None,
        alert: Alert = no_alert,
        advice: Advice = next_step,
        bugs: BugLimit | None = None,
    ) -> None:
        self._bus = bus
        self._ledger = ledger
        self._feeds = {in_topic(feed): feed for feed in feeds}
        self._pipelines = pipelines
        self._member = member
        self._clock = clock or SystemClock()
        self._observer = observer or Unobserved()
        self._alert = alert
        self._decider = Decider(
            describe=describe,
            unserved=unserved,
            unmatched=unmatched,
            earlier=earlier,
            limit=bugs or BugLimit(),
            clock=self._clock,
            observer=self._observer,
            alert=alert,
            advice=advice,
        )
        self._producer = bus.producer(member)
        self._stop = threading.Event()
        self._pauses = Pauses(self._feeds, clock=self._clock, observer=self._observer, alert=alert)
        self._stash: list[Record] = []
        self._gone: set[Partition] = set()
        """Partitions that left since the batch in hand was read. Back again or not, somebody else had them."""

    def stop(self) -> None:
        """Finish the transaction under way and return from `run`. Any thread, or a signal handler."""
        self._stop.set()

    @property
    def waiting(self) -> dict[str, float]:
        """Feeds of which something waits, and the monotonic time of its next try."""
        return self._pauses.until

    def run(self) -> None:
        """Work until `stop`."""
        try:
            consumer = self._insist(
                None, lambda: self._bus.consumer(GROUP, list(self._feeds), member=self._member, revoked=self._revoked)
            )
            with closing(consumer):
                while not self._stop.is_set():
                    self._turn(consumer)
        except _Halt:
            return
        finally:
            self._producer.close()

    # --------------------------------------------------------------------------------------- one batch

    def _turn(self, consumer: Consumer) -> None:
        self._gate(consumer)
        records, self._stash = self._stash, []
        if not records:
            try:
                records = list(consumer.poll(max_records=MAX_RECORDS, max_bytes=MAX_BYTES, timeout=POLL))
            except Unavailable:
                self._stop.wait(0.5)
                return
        if records:
            self._observer.set("bytes_held", sum(len(r.value) for r in records), stage="pipeline")
            self._batch(consumer, records)
            self._observer.set("bytes_held", 0, stage="pipeline")

    def _batch(self, consumer: Consumer, records: Sequence[Record]) -> None:
        """claim → decide → write; what could not be decided, or not be written, is read again."""
        self._gone = set()
        again: dict[Partition, int] = {}
        records, events, newer = readable(records, self._feeds)
        for record, _ in newer.values():
            _read_again(again, record)
        for works in _transactions(self._decided(consumer, records, events, again)):
            written = self._write(consumer, works)
            if written < len(works):  # what came after it may not be written before it
                for record in records[records.index(works[written][0]) :]:
                    _read_again(again, record)
                break
        for place, (_, fault) in newer.items():
            if not self._pauses.holds(place):
                self._pause(consumer, place, fault)
        self._rewind(consumer, again)

    def _decided(
        self, consumer: Consumer, records: Sequence[Record], events: Sequence[Event], again: dict[Partition, int]
    ) -> Iterator[tuple[Record, Work]]:
        """Claim all these events, then decide one after the other. `again` learns of those whose feed must wait."""
        claims = [claim(event, self._clock.now()) for event in events if event.id]
        seen = {Partition(record.topic, record.partition): record.offset + 1 for record in records}
        owners = iter(self._insist(consumer, lambda: self._ledger.claim(claims, seen)))
        pipelines = {feed: self._pipelines(feed) for feed in {event.feed for event in events}}
        for number, (record, event) in enumerate(zip(records, events, strict=True), 1):
            feed, owner = event.feed, next(owners) if event.id else None
            place = Partition(record.topic, record.partition)
            if self._pauses.holds(place):
                _read_again(again, record)
                continue
            try:
                later = (one for one in islice(events, number, None) if one.id and one.feed == feed)
                work = self._decide(event, owner, pipelines[feed], later)
            except (Unavailable, OperatorFault) as fault:
                self._pause(consumer, place, fault)
                _read_again(again, record)
                continue
            self._pauses.decided(place)
            yield record, work

    def _decide(
        self, event: Event, owner: Origin | None, pipelines: Sequence[CompiledPipeline], later: Iterable[Event]
    ) -> Work:
        if owner is None:
            return self._decider.refuse(event, Malformed("EVENT", in_topic(event.feed), "a header is missing"))
        if owner != event.origin:
            return self._decider.duplicate(event)
        if event.damaged:
            return self._decider.refuse(event, damaged(in_topic(event.feed)))
        return self._decider.decide(event, pipelines, later)

    def _rewind(self, consumer: Consumer, offsets: dict[Partition, int]) -> None:
        """Read again from these offsets what could not be decided."""
        offsets = {partition: offset for partition, offset in offsets.items() if partition not in self._gone}
        self._stash = [r for r in self._stash if Partition(r.topic, r.partition) not in offsets]
        rewind(consumer, offsets)

    def _write(self, consumer: Consumer, works: Sequence[tuple[Record, Work]]) -> int:
        """What the events became and their offsets, in one transaction; returns how many, from the first, it wrote."""
        offsets = {Partition(record.topic, record.partition): record.offset + 1 for record, _ in works}
        records = [record for _, work in works for record in work.records]

        def publish() -> None:
            if not self._gone.isdisjoint(offsets):
                raise Fenced("PIPELINE-PARTITION", "", "a partition left while its events were in our hands")
            self._producer.publish(records, settle=Settle(consumer, offsets))

        try:
            self._insist(consumer, publish, tries=APART if len(works) > 1 else 0)
        except Fenced:
            if self._gone.isdisjoint(offsets) and all(consumer.owns(partition) for partition in offsets):
                raise  # another process took our name
            return 0
        except (Unavailable, MessageFault) as fault:  # a disk that is almost full may take them one by one
            if len(works) > 1 or isinstance(fault, Unavailable):
                return sum(1 for _ in takewhile(lambda one: self._write(consumer, [one]), works))
            return self._refuse(consumer, *works[0], fault)
        return len(works)

    def _refuse(self, consumer: Consumer, record: Record, work: Work, fault: MessageFault) -> int:
        """The bus takes no part of what this event became: the event itself is a dead letter."""
        if work.records and work.records[0].headers.get(Header.STAGE) == "pipeline":
            raise OperatorFault(fault.code, work.records[0].topic, "the topic of dead letters takes no dead letter")
        return self._write(consumer, [(record, self._decider.refuse(work.event, fault))])

    # ------------------------------------------------------------------------------------------ waiting

    def _pause(self, consumer: Consumer, place: Partition, fault: Unavailable | OperatorFault) -> None:
        """Nothing of this partition, or of its feed, is decided before a while: nothing is lost, the others go on."""
        self._pauses.add(place, fault)
        consumer.pause(self._held(consumer))

    def _gate(self, consumer: Consumer) -> None:
        """Resume what has waited long enough; keep the rest paused, new partitions included."""
        before = self._held(consumer)
        self._pauses.end(consumer.assignment(), self._pipelines)
        held = self._held(consumer)
        consumer.resume([partition for partition in before if partition not in held])
        consumer.pause(held)

    def _held(self, consumer: Consumer) -> list[Partition]:
        return [partition for partition in consumer.assignment() if self._pauses.holds(partition)]

    def _insist(self, consumer: Consumer | None, work: Callable[[], T], tries: int = 0) -> T:
        """Until it succeeds: the database or the bus is away, the batch waits, polling goes on.

        tries: raises `Unavailable` after so many; 0: never
        """
        attempts = 0
        while True:
            try:
                return work()
            except Unavailable as fault:
                attempts += 1
                if attempts == tries:
                    raise
                if attempts == 1 or attempts % TELL_AGAIN == 0:
                    self._alert("stage-waits", {"stage": "pipeline", "code": fault.code})
                self._idle(consumer, backoff(attempts, 0.05, 2.0, 5.0, 0.05))

    def _idle(self, consumer: Consumer | None, seconds: float) -> None:
        """Wait while polling with everything paused. Raises `_Halt` when `stop` was called."""
        if self._stop.wait(min(seconds, 0.05)):
            raise _Halt
        if consumer is None:
            return
        consumer.pause(consumer.assignment())
        try:
            self._stash += consumer.poll(max_records=MAX_RECORDS, max_bytes=MAX_BYTES, timeout=seconds)
        except Unavailable:
            if self._stop.wait(seconds):
                raise _Halt from None
        consumer.resume([partition for partition in consumer.assignment() if not self._pauses.holds(partition)])

    def _revoked(self, partitions: frozenset[Partition]) -> None:
        """What was read of them and not yet written belongs to the next owner."""
        self._gone |= partitions
        self._stash = [r for r in self._stash if Partition(r.topic, r.partition) not in partitions]


def _transactions(decided: Iterable[tuple[Record, Work]]) -> Iterator[list[tuple[Record, Work]]]:
    """What is written together: in order, at most `MAX_BYTES` unless one work alone is larger."""
    works: list[tuple[Record, Work]] = []
    weight = 0
    for record, work in decided:
        if works and weight + work.weight > MAX_BYTES:
            yield works
            works, weight = [], 0
        works.append((record, work))
        weight += work.weight
    if works:
        yield works


def _read_again(again: dict[Partition, int], record: Record) -> None:
    """Remember the first offset of each partition that must be read again."""
    place = Partition(record.topic, record.partition)
    again[place] = min(record.offset, again.get(place, record.offset))
