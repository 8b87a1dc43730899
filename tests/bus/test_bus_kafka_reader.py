"""A topic is read for an operator in slices that are bounded in bytes too, without a broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from router.bus.kafka.record_reader import KafkaRecordReader

KIB = 1024
SIZES = [3 * KIB] * 100 + [600 * KIB] * 100 + [5000 * KIB] + [3 * KIB] * 19


class Value(bytes):
    """Counts the bytes of those that are held by anybody."""

    held = most = 0

    def __init__(self, _: bytes) -> None:
        Value.held += len(self)
        Value.most = max(Value.most, Value.held)

    def __del__(self) -> None:
        Value.held -= len(self)


class Log:
    """A client that reads partitions whose records all have these sizes."""

    def __init__(self) -> None:
        self.place, self.at = TopicPartition("", 0), 0

    def assign(self, places: list[TopicPartition]) -> None:
        (self.place,) = places

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    def poll(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        if self.at == len(SIZES):
            return {}
        value, self.at = Value(b"x" * SIZES[self.at]), self.at + 1
        found = SimpleNamespace(
            topic=self.place.topic,
            partition=self.place.partition,
            offset=self.at - 1,
            key=b"k",
            value=value,
            headers=[],
            timestamp=1000 * self.at,
        )
        return {self.place: [found]}

    def position(self, _: TopicPartition, timeout_ms: int) -> int:
        return self.at

    def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, len(SIZES))


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_scan_holds_little_of_each_partition(newest_first: bool) -> None:
    """Dead letters are documents: 64 of them, of each partition, are gigabytes; all are read all the same, in order."""
    raw, partitions = Log(), 8
    topics: Any = SimpleNamespace(
        existing=lambda names: dict.fromkeys(names, partitions),
        firsts=lambda wanted: dict.fromkeys(wanted, 0),
        ends=lambda wanted: dict.fromkeys(wanted, len(SIZES)),
    )
    reader = KafkaRecordReader(lambda: raw, topics, 5.0)
    Value.most = 0
    seen: dict[int, list[int]] = {}
    for record in reader.scan("dlq.x", newest_first=newest_first, limit=None):
        seen.setdefault(record.partition, []).append(record.offset)
    whole = list(range(len(SIZES)))
    assert seen == dict.fromkeys(range(partitions), whole[::-1] if newest_first else whole)
    assert Value.most <= partitions * 8 * 1024 * KIB, f"{Value.most / 1024 / KIB:.0f} MB were held"
