"""A member of a Kafka group: static membership, cooperative rebalances, explicit first position."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from typing import Any, Final

from kafka import KafkaConsumer as RawConsumer
from kafka import OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError, UnknownTopicOrPartitionError
from kafka.future import Future

from router.bus.kafka.client_thread import ClientThread, Late
from router.bus.kafka.errors import mapped
from router.bus.kafka.patches.heartbeat import watch
from router.bus.kafka.patches.kept_join import keep_join
from router.bus.kafka.patches.wait_callbacks import leave_nothing
from router.bus.kafka.position import begin, go_on
from router.contracts import Offsets, Partition, Record
from router.errors import Fenced, Unavailable

Callback = Callable[[frozenset[Partition]], None]

_SAFETY: Final = 0.8
"""After this part of the session time-out we take our partitions as lost, a little before the broker does."""
_BREATH: Final = 0.5
"""After so many seconds the group is asked again, while records that were read before are still handed out."""
_SHORTEST_POLL: Final = 0.02


class KafkaConsumer:
    """`contracts.Consumer`. Callbacks run in the thread that polls."""

    def __init__(
        self,
        raw: RawConsumer,
        *,
        group: str,
        session: float,
        give_up: float,
        assigned: Callback | None,
        revoked: Callback | None,
        leave: Callable[[str], None],
    ) -> None:
        self.group = group
        self._raw = raw
        self._beat = watch(raw)
        leave_nothing(raw)
        self._session = session
        self._give_up = give_up
        self._assigned = assigned
        self._revoked = revoked
        self._leave = leave
        self._client_thread = ClientThread(f"kafka-{group}")
        self._late: object | None = None
        self._sought: dict[Partition, int] = {}
        self._owned: frozenset[Partition] = frozenset()
        self._owned_lock = threading.Lock()
        self._unplaced: frozenset[Partition] = frozenset()
        """Partitions given to us whose first position is not known yet. We do not own or read them for now."""
        self._buffers: dict[Partition, deque[Record]] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._asked_at = 0.0
        self._failure: BaseException | None = None
        self._closed = False

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join when first polled. Topics made a moment ago are waited for: who joins before the client knows
        them gets nothing of them until its metadata grow old."""
        self._raw.subscribe(topics=list(topics), listener=_Listener(self))
        deadline = time.monotonic() + self._give_up
        for topic in topics:
            while not self._raw.partitions_for_topic(topic):
                if time.monotonic() > deadline:
                    raise UnknownTopicOrPartitionError
                time.sleep(0.05)

    # ------------------------------------------------------------------------------------------ reading

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        if self._closed:
            return []
        deadline = time.monotonic() + timeout
        while True:
            held = any(self._deliverable())
            if not held:
                self._fetch(max(deadline - time.monotonic(), _SHORTEST_POLL), max_records)
            elif time.monotonic() - self._asked_at > _BREATH:
                self._fetch(_SHORTEST_POLL, 1)
            records = self._take(max_records, max_bytes)
            if records or time.monotonic() >= deadline:
                return records

    def _deliverable(self) -> Iterable[Partition]:
        return (partition for partition, buffer in self._buffers.items() if buffer and partition not in self._paused)

    def _fetch(self, seconds: float, count: int) -> None:
        """One call to the client: heart-beats, rebalances, and records into our buffers."""
        if self._beat.fenced:  # the client would go on reading for ever
            raise Fenced("KAFKA-MEMBER", self.group, "another process has our name in the group")
        self._place()
        keep_join(self._raw, fresh=time.monotonic() - self._asked_at < self._session * _SAFETY)
        with mapped():
            try:
                found = self._polled(seconds, count)
            except (OffsetOutOfRangeError, NoOffsetForPartitionError):
                found = {}
                go_on(self._raw, [_raw(p) for p in self._owned if not self._buffers.get(p)])
        self._asked_at = time.monotonic()
        for topic_partition, records in found.items():
            partition = Partition(topic_partition.topic, topic_partition.partition)
            if partition in self._owned:
                self._buffers.setdefault(partition, deque()).extend(map(record_of, records))
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _polled(self, seconds: float, count: int) -> dict[TopicPartition, Any]:
        """What the client's poll returns, or the one that was too late before: the client has gone past its records."""
        token = self._late or self._client_thread.begin(
            lambda: self._raw.poll(timeout_ms=int(seconds * 1000), max_records=count)
        )
        self._late = None
        try:
            found: dict[TopicPartition, Any] = self._client_thread.result(token, seconds + self._give_up)
        except Late:
            self._late = token
            raise
        for partition in list(self._sought):  # meanwhile, so that nobody knows which came first
            place, offset = _raw(partition), self._sought.pop(partition)
            if partition in self._owned and place in self._raw.assignment():
                found.pop(place, None)
                self._raw.seek(place, offset)
        return found

    def _take(self, max_records: int, max_bytes: int) -> list[Record]:
        """From the buffers, another partition first each time, within both budgets; one oversize record alone."""
        ready = list(self._deliverable())
        if not ready:
            return []
        self._turn += 1
        at = self._turn % len(ready)
        taken: list[Record] = []
        left = max_bytes
        for partition in ready[at:] + ready[:at]:
            buffer = self._buffers[partition]
            while buffer and len(taken) < max_records and (len(buffer[0].value) <= left or not taken):
                record = buffer.popleft()
                taken.append(record)
                left -= len(record.value)
        return taken

    # ------------------------------------------------------------------------------------------ the group

    def on_assigned(self, partitions: frozenset[Partition]) -> None:
        """In the thread that polls, before the first record of these partitions."""
        self._unplaced |= partitions
        self._place()

    def _place(self) -> None:
        """Take over what was given to us. While the broker is away it stays unread; the next poll tries again."""
        partitions = self._unplaced
        places = [_raw(partition) for partition in sorted(partitions)]
        if not places:
            return
        try:
            with mapped():
                begin(self._raw, places)
        except Unavailable:
            self._raw.pause(*places)
            return
        self._raw.resume(*places)
        self._unplaced = frozenset()
        with self._owned_lock:
            self._owned |= partitions
        if self._assigned is not None:
            self._assigned(partitions)

    def on_revoked(self, partitions: frozenset[Partition]) -> None:
        """In the thread that polls, while they are still ours."""
        ours = partitions & self._owned
        try:
            if self._revoked is not None and ours:
                self._revoked(ours)
        finally:
            self._forget(partitions)

    def on_lost(self, partitions: frozenset[Partition]) -> None:
        """In the thread that polls, when others may already have them."""
        ours = partitions & self._owned
        self._forget(partitions)
        if self._revoked is not None and ours:
            self._revoked(ours)

    def hand_over(self, callback: Callback, places: Iterable[TopicPartition]) -> Future:
        """From the client's loop: a future that is done when the thread that polls has run the callback."""
        done, partitions = Future(), frozenset(Partition(place.topic, place.partition) for place in places)

        def run() -> None:
            try:
                callback(partitions)
            except BaseException as error:
                self._failure = error
            finally:
                self._raw._net.call_soon_threadsafe(lambda: done.success(None))

        self._client_thread.ask(run)
        return done

    def _forget(self, partitions: frozenset[Partition]) -> None:
        self._unplaced -= partitions
        with self._owned_lock:
            self._owned -= partitions
        for partition in partitions:
            self._buffers.pop(partition, None)
            self._sought.pop(partition, None)
            self._paused.discard(partition)

    def assignment(self) -> frozenset[Partition]:
        return self._owned

    def owns(self, partition: Partition) -> bool:
        """Ours, and the broker heard from us so lately that it can't have given it to another.

        After a freeze (SIGSTOP, a suspended machine) the second condition says no, before the client knows.
        """
        if partition not in self._owned or self._beat.fenced:
            return False
        if self._raw._coordinator._generation.is_lost():
            return False
        return bool(time.monotonic() - self._beat.proven < self._session * _SAFETY)

    @property
    def silence(self) -> float:
        """Seconds since the broker certainly held us for a member; infinite before it did, and once we are fenced."""
        return inf if self._beat.fenced else time.monotonic() - self._beat.proven

    def group_metadata(self) -> Any:
        """What a transaction shows the broker, so that it refuses one who is no longer a member."""
        return self._raw.group_metadata()

    # ------------------------------------------------------------------------------------------ positions

    def pause(self, partitions: Collection[Partition]) -> None:
        ours = self._owned & set(partitions)
        self._paused |= ours
        self._raw.pause(*(_raw(partition) for partition in ours))

    def resume(self, partitions: Collection[Partition]) -> None:
        ours = self._owned & set(partitions)
        self._paused -= set(partitions)
        self._raw.resume(*(_raw(partition) for partition in ours))

    def seek(self, partition: Partition, offset: int) -> None:
        self._must_own([partition])
        self._buffers.pop(partition, None)
        if self._late is not None:
            self._sought[partition] = offset
        place = _raw(partition)
        if place not in self._raw.assignment():  # taken from us; we are told at the next poll
            raise Fenced("KAFKA-PARTITION", str(partition), "this partition is not ours")
        with mapped():
            self._raw.seek(place, offset)

    def commit(self, offsets: Offsets) -> None:
        if not offsets:
            return
        self._must_own(offsets)
        with mapped():
            self._raw.commit(raw_offsets(offsets), timeout_ms=int(self._give_up * 1000))

    def committed(self, partition: Partition) -> int | None:
        with mapped():
            found: int | None = self._raw.committed(_raw(partition))
            return found

    def close(self) -> None:
        """Leave the group: `revoked` runs first, then the others take over at once."""
        if self._closed:
            return
        self._closed = True
        member = self._raw.group_metadata().member_id
        try:
            with mapped():
                self._client_thread.call(lambda: self._raw.close(autocommit=False, timeout_ms=5000), self._give_up)
        finally:
            self._forget(self._owned)
            self._client_thread.drop()
            if member:
                self._leave(member)

    def _must_own(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            if partition not in self._owned:
                raise Fenced("KAFKA-PARTITION", str(partition), "this partition is not ours")


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the client's loop: hands every event over to the thread that polls, and waits for it."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._consumer.hand_over(self._consumer.on_assigned, assigned)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._consumer.hand_over(self._consumer.on_revoked, revoked)

    async def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        await self._consumer.hand_over(self._consumer.on_lost, lost)


def raw_offsets(offsets: Offsets) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets as the client wants them. No metadata: its size is limited, and no state goes there."""
    return {_raw(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}


def record_of(found: Any) -> Record:
    """A record of the client as ours; what outside producers leave out is empty."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in found.headers}
    key = (found.key or b"").decode("utf-8", "replace")
    at, value = found.timestamp / 1000, found.value or b""
    if len(headers) == len(found.headers):
        return Record(found.topic, found.partition, found.offset, key, value, headers, at)
    lines = Counter(name for name, _ in found.headers)
    twice = frozenset(name for name in lines if lines[name] > 1)
    return Record(found.topic, found.partition, found.offset, key, value, headers, at, twice)


def _raw(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
