"""From the bus into the journal, while the database comes and goes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.bus.wrapped import WrappedBus
from router.contracts import JOURNAL, RECEIPTS, Bus, Outgoing, Partition, SystemClock
from router.errors import Unavailable
from router.exchange import JournalEntry, Receipt, Spoken
from router.journal.lateness import behind
from router.journal.store import Journal
from router.journal.worker import GROUP, JournalWorker, rebuild
from router.wire import journal_record, receipt_record
from tests.journal.journal_samples import received, whole


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db")
    yield bus
    bus.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    yield journal
    journal.close()


@pytest.fixture
def working(bus: SqliteBus, journal: Journal) -> Iterator[JournalWorker]:
    worker = JournalWorker(bus, journal, member="journal-0")
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()


def publish(bus: SqliteBus) -> None:
    entries, receipts = whole()
    bus.producer("test").publish([*map(journal_record, entries), *map(receipt_record, receipts)])


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_the_worker_writes_what_stands_on_the_bus(bus: SqliteBus, journal: Journal, working: JournalWorker) -> None:
    """Entries and receipts become a story, and the group's offsets move behind them."""
    publish(bus)
    until(lambda: bool(journal.story("MSG0001")) and len(journal.story("MSG0001")[0].timeline) == 9)
    until(lambda: sum(bus.lag(GROUP).values()) == 0)
    assert journal.written_up_to() is not None


def test_an_unreadable_record_stops_nothing(bus: SqliteBus, journal: Journal, working: JournalWorker) -> None:
    """What is no entry and no receipt is passed over, and what follows is written."""
    bus.producer("test").publish([Outgoing(JOURNAL, "k", b"{not json"), Outgoing(RECEIPTS, "k", b'{"x": 1}')])
    publish(bus)
    until(lambda: len(journal.story("MSG0001")) == 1)
    until(lambda: sum(bus.lag(GROUP).values()) == 0)


def test_a_database_that_is_away_loses_nothing(tmp_path: Path, bus: SqliteBus, journal: Journal) -> None:
    """While another process holds the database the worker waits with its offsets; then everything is written."""
    with journal._database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=20")
    holder = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    worker = JournalWorker(bus, journal, member="journal-0")
    thread = threading.Thread(target=worker.run)
    thread.start()
    publish(bus)
    time.sleep(0.5)
    assert thread.is_alive()
    assert sum(bus.lag(GROUP).values()) > 0
    holder.execute("ROLLBACK")
    holder.close()
    until(lambda: sum(bus.lag(GROUP).values()) == 0)
    worker.stop()
    thread.join(10)
    assert len(journal.story("MSG0001")[0].timeline) == 9


def test_what_is_kept_elsewhere_is_there_before_the_offsets_move(bus: SqliteBus, journal: Journal) -> None:
    """Traces go to their own table and to no story; while that is away the worker waits, and loses nothing."""
    said = Spoken(at=1.0, protocol="imap", server="imap:993", author="labo@chu.fr", action="MOVE")
    entry = JournalEntry(event_id="traces", kind="traces", at=1.0, spoken=(said,))
    refusals, kept, told = [1, 2], list[Spoken](), list[JournalEntry]()

    def keep(entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> None:
        if refusals:
            refusals.pop()
            assert sum(bus.lag(GROUP).values()) > 0
            raise Unavailable("TRACES-AWAY")
        kept.extend(one for entry in entries for one in entry.spoken)
        kept.extend(one for receipt in receipts for one in receipt.spoken)

    entries, receipts = whole()
    spoken = replace(said, protocol="smtp", action="RCPT")
    receipts[0] = replace(receipts[0], spoken=(spoken,))
    records = [journal_record(one) for one in (entry, *entries)] + list(map(receipt_record, receipts))
    bus.producer("test").publish(records)
    worker = JournalWorker(bus, journal, member="j", keep=keep, told=lambda entries, _: told.extend(entries))
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: len(kept) == 2 and sum(bus.lag(GROUP).values()) == 0)
    worker.stop()
    thread.join(10)
    assert kept == [said, spoken] and [one.kind for one in told] == [one.kind for one in entries]
    (story,) = journal.story("MSG0001")
    assert len(story.timeline) == 9 and journal.story("traces") == []


def test_the_journal_is_rebuilt_from_the_bus(bus: SqliteBus, journal: Journal) -> None:
    """After a rebuild the stories are those that the worker had written, and nothing that was not on the bus."""
    publish(bus)
    journal.write([received("z" * 64, control_id="GHOST")], [])
    counted: list[int] = []
    assert rebuild(bus, journal, counted.append) == 7
    assert counted[-1] == 7
    assert len(journal.story("MSG0001")[0].timeline) == 9
    assert journal.story("GHOST") == []


class EndMarkers(WrappedBus):
    """Kafka's way to count: behind each transaction stands a marker that no consumer gets."""

    def lag(self, group: str) -> Mapping[Partition, int]:
        return {partition: count + 1 for partition, count in self._bus.lag(group).items()}


def test_lateness_is_the_age_of_what_was_not_read(bus: SqliteBus, journal: Journal) -> None:
    """A journal that has read everything is never late, also where the bus counts the ends of transactions."""
    counting = cast(Bus, EndMarkers(bus))
    publish(bus)
    consumer = bus.consumer(GROUP, [JOURNAL, RECEIPTS], member="journal-0")
    while records := consumer.poll(max_records=100, max_bytes=1 << 20, timeout=0.2):
        consumer.commit({Partition(one.topic, one.partition): one.offset + 1 for one in records})
    assert behind(counting, journal, time.time() + 60) == behind(bus, journal, time.time() + 60) == 0
    entry = received(at=time.time())
    bus.producer("test").publish([journal_record(entry)])
    for one in (counting, bus):
        assert behind(one, journal, time.time() + 60) == pytest.approx(60, abs=5)
    consumer.close()
