"""A reader of the embedded bus that has nothing to do does little, and misses nothing by that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.bus.sqlite.group import Membership
from router.bus.sqlite.notifier import Notifier
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Outgoing, Partition, Record, TopicPlan

SOON = 1.0
"""Seconds; who is alone looks at its group more rarely."""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db")
    bus.create([TopicPlan("in.a", 2, None, 1000)])
    yield bus
    bus.close()


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Callable[[str], Membership]]:
    notifier, joined = Notifier(tmp_path / "bell"), []

    def join(name: str) -> Membership:
        joined.append(Membership(tmp_path, "g", name, {"in.a": 2}, notifier.sign("group g")))
        return joined[-1]

    yield join
    for one in joined:
        one.leave()
    notifier.close()


def look(member: Membership) -> None:
    quotas, surplus = member.surplus()
    for partition in surplus:
        member.release(partition)
    member.take(quotas)


def texts(records: object) -> list[bytes]:
    return [record.value for record in records if isinstance(record, Record)]  # type: ignore[attr-defined]


def test_who_is_alone_in_its_group_looks_rarely_and_hears_of_who_joins(member: Callable[[str], Membership]) -> None:
    """It need not look for seconds; once another has taken its seat it must, and both look for each other's death."""
    first, second = member("m-0"), member("m-1")
    look(first)
    assert len(first.partitions) == 2
    assert not first.due()
    assert first.next_look() > SOON
    look(second)
    assert first.due()
    look(first)
    look(second)
    assert (len(first.partitions), len(second.partitions)) == (1, 1)
    assert max(first.next_look(), second.next_look()) < SOON / 2
    second.leave()
    look(first)
    assert len(first.partitions) == 2
    assert first.next_look() > SOON


def test_a_member_that_wants_more_looks_often_though_it_is_alone(member: Callable[[str], Membership]) -> None:
    """Partitions that a frozen or a leaving process still holds are taken as soon as they are free."""
    first, second = member("m-0"), member("m-1")
    look(first)
    second.take({"in.a": 2})
    second._seat.release()
    look(first)
    for partition in first.partitions:
        first.release(partition)
    second.take({"in.a": 1})
    look(first)
    assert len(first.partitions) == 1
    assert first.next_look() < SOON / 2


def test_what_was_written_without_a_notification_is_found_soon(bus: SqliteBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may die between its commit and the notification."""
    consumer = bus.consumer("g", ["in.a"], member="m-0")
    assert not consumer.poll(max_records=10, max_bytes=1000, timeout=0)
    monkeypatch.setattr(Notifier, "ring", lambda *_: None)
    bus.producer("p").publish([Outgoing("in.a", "k", b"unheard of")])
    assert texts(consumer.poll(max_records=10, max_bytes=1000, timeout=20 * SOON)) == [b"unheard of"]
    consumer.close()


def test_a_reader_that_has_all_reads_again_what_it_is_told_to(bus: SqliteBus) -> None:
    """By `seek`, by `resume`, and when a poll took only a part of what was there; at once, without waiting."""
    (origin, *_) = bus.producer("p").publish([Outgoing("in.a", "k", b"%d" % number) for number in range(3)])
    mine = Partition("in.a", origin.partition)
    consumer = bus.consumer("g", ["in.a"], member="m-0")

    def polled(most: int = 10) -> list[bytes]:
        return texts(consumer.poll(max_records=most, max_bytes=1000, timeout=0))

    assert polled(most=2) == [b"0", b"1"]
    assert polled() == [b"2"]
    assert polled() == []
    consumer.seek(mine, 1)
    assert polled(most=1) == [b"1"]
    consumer.pause([mine])
    assert polled() == []
    consumer.resume([mine])
    assert polled() == [b"2"]
    assert polled() == []
    consumer.close()


def test_a_record_wakes_a_reader_that_has_all(bus: SqliteBus) -> None:
    """It comes at the next poll, also one that may not wait."""
    consumer = bus.consumer("g", ["in.a"], member="m-0")
    producer = bus.producer("p")
    for number in range(50):
        producer.publish([Outgoing("in.a", f"k{number}", b"%d" % number)])
        begun = time.monotonic()
        assert texts(consumer.poll(max_records=10, max_bytes=1000, timeout=0)) == [b"%d" % number]
        assert time.monotonic() - begun < SOON
    consumer.close()
