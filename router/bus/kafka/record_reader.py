"""Reading without a group: one record by its place, or a whole topic for an operator's command."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer as RawConsumer
from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from router.bus.kafka.consumer import record_of
from router.bus.kafka.errors import mapped
from router.bus.kafka.topics import Topics, places
from router.bus.merge import merged
from router.contracts import Offsets, Record
from router.errors import Unavailable
from router.exchange import Origin

_SLICE: Final = 64
_SLICE_BYTES: Final = 1024 * 1024
"""The most records, and bytes, of one partition held while a topic is scanned. One oversize record is held alone."""
_POLL_MS: Final = 200


class KafkaRecordReader:
    """Shares one client among all threads. Committed records only."""

    def __init__(self, open_raw: Callable[[], RawConsumer], topics: Topics, give_up: float) -> None:
        self._open = open_raw
        self._topics = topics
        self._give_up = give_up
        self._raw: RawConsumer | None = None
        self._lock = threading.Lock()

    def read(self, origin: Origin) -> Record | None:
        if origin.partition not in range(self._topics.existing([origin.topic]).get(origin.topic, 0)):
            return None
        place = TopicPartition(origin.topic, origin.partition)
        with self._lock, mapped(), self._client() as raw:
            for found in self._between(raw, place, origin.offset, origin.offset + 1):
                return record_of(found)
        return None

    def scan(
        self, topic: str, *, newest_first: bool = False, limit: int | None = None, begin: Offsets | None = None
    ) -> Iterator[Record]:
        """By time, over all partitions; read in small slices. begin: the first offset of a partition, where not all."""
        count = self._topics.existing([topic]).get(topic, 0)
        if not count:
            return iter(())
        wanted = places(topic, count)
        lows, highs = self._topics.firsts(wanted), self._topics.ends(wanted)
        if not lows.keys() == highs.keys() == set(wanted):
            raise Unavailable("KAFKA-OFFSETS", topic, "a partition has no leader just now")
        for partition, first in (begin or {}).items():
            place = TopicPartition(partition.topic, partition.number)
            if place in lows:
                lows[place] = max(lows[place], first)
        parts = [self._partition(place, lows[place], highs[place], newest_first) for place in wanted]
        return merged(parts, newest_first=newest_first, limit=limit)

    def holds(self, place: TopicPartition, low: int, high: int) -> bool:
        """Whether there is a committed record from `low` up to `high`."""
        with self._lock, mapped(), self._client() as raw:
            return any(True for _ in self._between(raw, place, low, high))

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _partition(self, place: TopicPartition, low: int, high: int, newest_first: bool) -> Iterator[Record]:
        count = _SLICE  # fewer where they are large: what does not fit of the older ones is read again
        while low < high:
            start, end = (max(low, high - count), high) if newest_first else (low, min(low + _SLICE, high))
            with self._lock, mapped(), self._client() as raw:
                found = map(record_of, self._between(raw, place, start, end))
                records, whole = _last(found) if newest_first else _first(found)
            if newest_first:
                high = start if whole else records[0].offset
                count = min(2 * count, _SLICE) if whole else len(records)
            else:
                low = end if whole else records[-1].offset + 1
            yield from reversed(records) if newest_first else records

    def _between(self, raw: RawConsumer, place: TopicPartition, low: int, high: int) -> Iterator[Any]:
        """Records of a partition from `low` up to `high`; what is trimmed or is no record is passed over."""
        raw.assign([place])
        raw.seek(place, low)
        deadline = time.monotonic() + self._give_up
        while True:
            try:
                batch = raw.poll(timeout_ms=_POLL_MS, max_records=max(1, high - low)).get(place, [])
            except OffsetOutOfRangeError:
                first = raw.beginning_offsets([place])[place]
                if not low < first < high:
                    return
                raw.seek(place, first)
                continue
            for found in batch:
                if found.offset >= high:
                    return
                yield found
            position = raw.position(place, timeout_ms=1000)
            if position is not None and position >= min(high, raw.end_offsets([place])[place]):
                return
            if time.monotonic() > deadline:
                raise Unavailable("KAFKA-Slow", place.topic, "a partition does not answer")

    def _client(self) -> _Client:
        return _Client(self)

    def opened(self) -> RawConsumer:
        self._raw = self._raw or self._open()
        return self._raw

    def _drop(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(KafkaError, OSError, RuntimeError):
                raw.close(autocommit=False, timeout_ms=1000)

    def drop(self) -> None:
        self._drop()


def _first(found: Iterator[Record]) -> tuple[list[Record], bool]:
    """The first of these records, as many as may be held; and whether those are all."""
    records: list[Record] = []
    size = 0
    for record in found:
        records.append(record)
        size += len(record.value)
        if size >= _SLICE_BYTES:
            return records, False
    return records, True


def _last(found: Iterator[Record]) -> tuple[list[Record], bool]:
    """The last of these records, as many as may be held; and whether those are all."""
    records: deque[Record] = deque()
    size, whole = 0, True
    for record in found:
        records.append(record)
        size += len(record.value)
        while size > _SLICE_BYTES and len(records) > 1:
            size -= len(records.popleft().value)
            whole = False
    return list(records), whole


class _Client:
    """The shared client for one reading; closed when the reading fails."""

    def __init__(self, reader: KafkaRecordReader) -> None:
        self._reader = reader

    def __enter__(self) -> RawConsumer:
        return self._reader.opened()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None and issubclass(kind, (KafkaError, OSError, Unavailable)):
            self._reader.drop()
