"""From the bus into the journal: batches, one SQL transaction each, offsets afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from router.contracts import (
    JOURNAL,
    RECEIPTS,
    Bus,
    Clock,
    Consumer,
    Observer,
    Partition,
    Record,
    SystemClock,
    Unobserved,
)
from router.errors import Fenced, Unavailable
from router.exchange import JournalEntry, Receipt
from router.journal.store import Journal
from router.wire import read_journal, read_receipt

Lines = tuple[Sequence[JournalEntry], Sequence[Receipt]]
Keep = Callable[[Sequence[JournalEntry], Sequence[Receipt]], None]
"""Keeps the lines of a batch elsewhere too; again when it is called again. Raises `Unavailable`: then all waits."""
Proofs = Callable[[Sequence[Receipt]], None]
Told = Callable[[Sequence[JournalEntry], Sequence[Receipt]], None]

GROUP: Final = "journal"
TRACES: Final = "traces"
"""Kind of the entries that are no part of any story: see `router.audit.traces`."""
_RECORDS: Final = 1000
_BYTES: Final = 8 * 1024 * 1024
_POLL_SECONDS: Final = 0.5
_GATHER_SECONDS: Final = 0.25
"""Between two batches: people look at the journal, nothing waits for it, and a batch of ten costs hardly more than
one line."""
_WAIT_FIRST: Final = 0.2
_WAIT_MOST: Final = 10.0


class JournalWorker:
    """Reads `journal` and `receipts` until stopped. While SQL or the bus is away it waits, and loses nothing."""

    def __init__(
        self,
        bus: Bus,
        journal: Journal,
        *,
        member: str,
        clock: Clock | None = None,
        observer: Observer | None = None,
        told: Told | None = None,
        keep: Keep | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        """`told` hears of the lines of each batch that was written; it must not raise.

        keep: has the lines of each batch before its offsets move;  proofs: keeps its receipts; both may raise
        `Unavailable`
        """
        self._keep = keep
        self._told = told
        self._proofs = proofs
        self._bus = bus
        self._journal = journal
        self._member = member
        self._clock = clock or SystemClock()
        self._observer = observer or Unobserved()
        self._stop = threading.Event()

    def run(self) -> None:
        """Until `stop`. Raises only what a person must mend (`OperatorFault`)."""
        wait = _WAIT_FIRST
        while not self._stop.is_set():
            try:
                consumer = self._bus.consumer(GROUP, [JOURNAL, RECEIPTS], member=self._member)
                wait = _WAIT_FIRST
                try:
                    self._consume(consumer)
                finally:
                    consumer.close()
            except (Unavailable, Fenced):
                self._stop.wait(wait)
                wait = min(wait * 2, _WAIT_MOST)

    def stop(self) -> None:
        """Finish the batch at hand, then return from `run`."""
        self._stop.set()

    def _consume(self, consumer: Consumer) -> None:
        while not self._stop.is_set():
            records = consumer.poll(max_records=_RECORDS, max_bytes=_BYTES, timeout=_POLL_SECONDS)
            if not records:
                self._observer.set("journal_timestamp_seconds", self._clock.now())
                self._tidy()
                continue
            self._write(consumer, list(records))
            self._tidy()
            if len(records) < _RECORDS:
                self._stop.wait(_GATHER_SECONDS)

    def _tidy(self) -> None:
        """A little of what has time: lines of an earlier version."""
        with suppress(Unavailable):
            self._journal.old_lines.move()

    def _write(self, consumer: Consumer, records: list[Record]) -> None:
        """Write a batch, however long SQL is away; meanwhile keep polling, or the group takes us for dead."""
        wait = _WAIT_FIRST
        while True:
            self._lag(records)
            try:
                lines = store(self._journal, records, self._observer)
                if self._keep is not None:
                    self._keep(*lines)
                if self._proofs is not None:
                    self._proofs(lines[1])
                break
            except Unavailable:
                if self._stop.is_set():
                    return
            consumer.pause(consumer.assignment())
            records += consumer.poll(max_records=1, max_bytes=1, timeout=wait)
            wait = min(wait * 2, _WAIT_MOST)
        if self._told is not None:
            entries, receipts = lines
            self._told([entry for entry in entries if entry.kind != TRACES], receipts)
        consumer.resume(consumer.assignment())
        ends = {Partition(record.topic, record.partition): record.offset + 1 for record in records}
        consumer.commit({partition: end for partition, end in ends.items() if consumer.owns(partition)})

    def _lag(self, records: Sequence[Record]) -> None:
        oldest = min(record.timestamp for record in records)
        self._observer.set("journal_timestamp_seconds", min(oldest, self._clock.now()))


def store(journal: Journal, records: Sequence[Record], observer: Observer) -> Lines:
    """Write records of both topics in one transaction; returns them. What can't be read is counted and passed over."""
    entries: list[JournalEntry] = []
    receipts: list[Receipt] = []
    for record in records:
        try:
            if record.topic == RECEIPTS:
                receipts.append(read_receipt(record))
            else:
                entries.append(read_journal(record))
        except ValueError as error:
            observer.count("dead_letters_total", stage="journal", feed="", sink="", code=f"BUG-{type(error).__name__}")
    told = [entry for entry in entries if entry.kind != TRACES]
    journal.write(told, receipts, seen=max((record.timestamp for record in records), default=None))
    return entries, receipts


def rebuild(bus: Bus, journal: Journal, progress: Callable[[int], None] | None = None) -> int:
    """Forget the journal and read both topics again from their first record; returns how many were read.

    The group's offsets stay: a worker that runs meanwhile writes the same lines, which adds nothing.
    """
    journal.clear()
    count = 0
    for topic in (JOURNAL, RECEIPTS):
        batch: list[Record] = []
        for record in bus.scan(topic):
            batch.append(record)
            if len(batch) >= _RECORDS:
                count += _flush(journal, batch, progress, count)
        count += _flush(journal, batch, progress, count)
    return count


def _flush(journal: Journal, batch: list[Record], progress: Callable[[int], None] | None, before: int) -> int:
    written = len(batch)
    if batch:
        store(journal, batch, Unobserved())
        batch.clear()
        if progress is not None:
            progress(before + written)
    return written
