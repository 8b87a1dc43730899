"""The one thread of a sink worker that uses its consumer: it polls, pauses, commits, and is told of rebalances.

It never stops polling: when the worker has no room for more records, the partitions are paused.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.contracts import Bus, Consumer, Partition, Record
from router.engine.retry_policy import backoff
from router.errors import Fenced, Unavailable
from router.wire import weight

POLL: Final = 0.25
"""Seconds one poll may wait for a record; records that are there come at once."""
PAUSED_POLL: Final = 0.1
"""The same while something is paused: for so long the worker may wait until it is read on."""
PAUSE: Final = 0.05
"""The worker has so many seconds to say that it can take more. Then its partitions are paused."""
COMMIT_EVERY: Final = 0.2
"""Seconds between two commits while records flow. The offset may lag, because the rows say what is done."""
MAX_RECORDS: Final = 500
MAX_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Assigned:
    """These partitions are ours from here on."""

    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Revoked:
    """These partitions are about to leave us; `drained` is set when nothing of theirs is under way."""

    partitions: frozenset[int]
    drained: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Polled:
    """Records in the order of their partitions."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Broke:
    """The thread ended on an error nobody expects."""

    error: BaseException


News = Assigned | Revoked | Polled | Broke


class PartitionReader:
    """See the module. The worker says by `allow` how much it can take."""

    def __init__(self, bus: Bus, topic: str, group: str, member: str, *, patience: float) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._member = member
        self._patience = patience
        self._consumer: Consumer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tell: Callable[[News], None] = lambda _: None
        self._lock = threading.Lock()
        self._offsets: dict[Partition, int] = {}
        self._retake: dict[int, int | None] = {}
        self._committed_at = 0.0
        self._paused: frozenset[Partition] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{member}-reader", daemon=True)
        self._room = MAX_RECORDS
        self._space = MAX_BYTES
        self._allowed = threading.Event()
        self.assigned: frozenset[int] = frozenset()
        """What the group gives us, as far as this thread knows."""

    def start(self, loop: asyncio.AbstractEventLoop, tell: Callable[[News], None]) -> None:
        self._loop, self._tell = loop, tell
        self._thread.start()

    def owns(self, partition: int) -> bool:
        """Whether the partition of our topic is ours now. Any thread."""
        consumer = self._consumer
        return consumer is not None and consumer.owns(Partition(self._topic, partition))

    def settle(self, offsets: dict[int, int]) -> None:
        """The rows below these offsets are durable: the group's offsets may move, soon."""
        with self._lock:
            for number, offset in offsets.items():
                self._offsets[Partition(self._topic, number)] = offset

    def allow(self, room: int, space: int) -> None:
        """At most so many records and bytes may be read from now on. With zero or less the partitions are paused."""
        self._room, self._space = room, space
        self._allowed.set()

    def retake(self, partitions: dict[int, int | None]) -> None:
        """Tell once more that these partitions are assigned, if they are; read them from the offset if one is given."""
        with self._lock:
            self._retake.update(partitions)

    def close(self) -> None:
        """Commit what is settled, leave the group, end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    # -------------------------------------------------------------------------------------- on the thread

    def _run(self) -> None:
        try:
            self._join()
            if self._consumer is None:
                return
            try:
                while not self._stopping.is_set():
                    self._turn(self._consumer)
                self._commit(self._consumer)
            finally:
                self._consumer.close()
        except BaseException as error:
            self._post(Broke(error))

    def _join(self) -> None:
        attempts = 0
        while not self._stopping.is_set():
            try:
                self._consumer = self._bus.consumer(
                    self._group, [self._topic], member=self._member, assigned=self._assigned, revoked=self._revoked
                )
                return
            except Unavailable:
                attempts += 1
                self._stopping.wait(backoff(attempts, 0.2, 2.0, 5.0, 0.1))

    def _turn(self, consumer: Consumer) -> None:
        try:
            self._pause_or_resume(consumer)
            self._tell_again(consumer)
            room, space = self._room, self._space
            most, bytes_ = max(1, min(room, MAX_RECORDS)), max(1, min(space, MAX_BYTES))
            records = consumer.poll(max_records=most, max_bytes=bytes_, timeout=PAUSED_POLL if self._paused else POLL)
            if records:
                self._room, self._space = room - len(records), space - weight(records)
                self._allowed.clear()
                self._post(Polled(records))
                if self._room <= 0 or self._space <= 0:
                    self._allowed.wait(PAUSE)
            if self._offsets and (not records or time.monotonic() - self._committed_at >= COMMIT_EVERY):
                self._commit(consumer)
        except Unavailable:
            self._stopping.wait(0.5)

    def _pause_or_resume(self, consumer: Consumer) -> None:
        mine = consumer.assignment()
        wanted = mine if self._room <= 0 or self._space <= 0 else frozenset()
        if pause := wanted - self._paused:
            consumer.pause(pause)
        if resume := (self._paused & mine) - wanted:
            consumer.resume(resume)
        self._paused = wanted
        self.assigned = self._numbers(mine)

    def _tell_again(self, consumer: Consumer) -> None:
        with self._lock:
            asked, self._retake = self._retake, {}
        for number in sorted(asked.keys() & self.assigned):
            offset = asked[number]
            if offset is not None:
                consumer.seek(Partition(self._topic, number), offset)
            self._post(Assigned(frozenset({number})))

    def _commit(self, consumer: Consumer) -> None:
        mine = consumer.assignment()
        with self._lock:
            offsets = {partition: offset for partition, offset in self._offsets.items() if partition in mine}
            self._offsets.clear()
        self._committed_at = time.monotonic()
        if not offsets:
            return
        try:
            consumer.commit(offsets)
        except Fenced:
            return  # the next owner reads these records again and finds their rows
        except Unavailable:
            with self._lock:
                self._offsets = {**offsets, **self._offsets}
            raise

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        if numbers := self._numbers(partitions):
            self._post(Assigned(numbers))

    def _revoked(self, partitions: frozenset[Partition]) -> None:
        numbers = self._numbers(partitions)
        if not numbers or self._stopping.is_set():
            return
        news = Revoked(numbers)
        self._post(news)
        deadline = time.monotonic() + self._patience
        while not news.drained.wait(0.05):
            if self._stopping.is_set() or time.monotonic() > deadline:
                break
        if self._consumer is not None:
            try:
                self._commit(self._consumer)
            except Unavailable:
                return

    def _numbers(self, partitions: frozenset[Partition]) -> frozenset[int]:
        return frozenset(partition.number for partition in partitions if partition.topic == self._topic)

    def _post(self, news: News) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, news)
