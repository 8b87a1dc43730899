"""A bus that is measured keeps the contract, and says how its groups fare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.bus.observed import observed
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Bus, Outgoing, Partition, Settle, Unobserved
from router.errors import Fenced
from tests.contracts.bus_contract import BusContract


class Seen(Unobserved):
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []
        self.timed: list[tuple[str, str]] = []

    def count(self, measure: str, amount: float = 1, **labels: str) -> None:
        self.counted.append((measure, labels["group"]))

    def time(self, measure: str, seconds: float, **labels: str) -> None:
        self.timed.append((measure, labels["group"]))


class TestObservedBus(BusContract):
    """The contract, with measures between."""

    @pytest.fixture
    def bus(self, tmp_path: Path) -> Iterator[Bus]:
        bus = SqliteBus(tmp_path / "bus.db")
        yield observed(bus, Unobserved())
        bus.close()

    @pytest.fixture
    def again(self, tmp_path: Path, bus: Bus) -> Iterator[Callable[[], Bus]]:
        opened: list[SqliteBus] = []

        def open_again() -> Bus:
            opened.append(SqliteBus(tmp_path / "bus.db"))
            return observed(opened[-1], Unobserved())

        yield open_again
        for other in opened:
            other.close()


def test_groups_are_measured(tmp_path: Path) -> None:
    """A rebalance, a commit alone, a commit in a transaction, and a fence."""
    seen, inner = Seen(), SqliteBus(tmp_path / "bus.db")
    bus = observed(inner, seen)
    producer, consumer = bus.producer("p"), bus.consumer("readers", ["in.sil"], member="pipelines-0")
    producer.publish([Outgoing("in.sil", "k", b"x")])
    (record,) = consumer.poll(max_records=1, max_bytes=100, timeout=5)
    assert seen.counted == [("rebalances_total", "readers")]
    place = Partition(record.topic, record.partition)
    consumer.commit({place: 0})
    consumer.commit({})
    producer.publish([], settle=Settle(consumer, {place: record.offset + 1}))
    assert seen.timed == [("commit_seconds", "readers")] * 2
    assert consumer.committed(place) == 1
    with pytest.raises(Fenced):
        consumer.seek(Partition("in.sil", 99), 0)
    assert seen.counted[-1] == ("fences_total", "readers")
    assert callable(getattr(bus, "checkpoint", None)), "what the embedded bus offers more is reached"
    inner.close()
