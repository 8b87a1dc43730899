"""A consumer of the embedded bus: positions, budgets, and the waiting for new records."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from router.bus.sqlite.group import Callback, Membership
from router.bus.sqlite.notifier import Notifier
from router.bus.sqlite.store import SHIFT, Store, Topic, mapped
from router.bus.sqlite.writer import Batch, SqliteWriter
from router.contracts import Offsets, Partition, Record
from router.errors import Fenced

_LOOK_ANYWAY: Final = 0.25


class SqliteConsumer:
    """`contracts.Consumer` on a `Store`."""

    def __init__(
        self,
        store: Store,
        writer: SqliteWriter,
        *,
        notifier: Notifier,
        group: str,
        topics: Mapping[str, Topic],
        membership: Membership,
        assigned: Callback | None,
        revoked: Callback | None,
    ) -> None:
        self.group = group
        self.guard = threading.Lock()
        self._store = store
        self._writer = writer
        self._listener = notifier.listener(list(topics))
        self._topics = topics
        self._membership = membership
        self._assigned = assigned
        self._revoked = revoked
        self._connection: sqlite3.Connection | None = None
        self._owned: frozenset[Partition] = frozenset()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._closed = False
        self._nothing_since: tuple[tuple[int, ...], float] | None = None
        """What had been told when we had read all there was, and until when nothing else need be looked for."""

    # ------------------------------------------------------------------------------------------ reading

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """See the contract. Nothing new comes by a file that was replaced: `OperatorFault` (`BUS-REPLACED`)."""
        end = time.monotonic() + timeout
        while True:
            heard = self._listener.listen()
            self._rebalance()
            records = [] if self._has_all(heard) else self._look(heard, max_records, max_bytes)
            left = end - time.monotonic()
            if records or left <= 0 or self._closed:
                return records
            self._listener.wait(heard, min(left, _LOOK_ANYWAY, self._membership.next_look()))

    def _has_all(self, heard: tuple[int, ...]) -> bool:
        """Whether we read all there was, and nothing was told since. Now and then we look anyway."""
        last = self._nothing_since
        return last is not None and last[0] == heard and time.monotonic() < last[1]

    def _look(self, heard: tuple[int, ...], max_records: int, max_bytes: int) -> list[Record]:
        """heard: what had been told before"""
        self._store.verify()
        with mapped():
            ready = self._ready()
            records = self._fetch(ready, max_records, max_bytes) if ready else []
        all_read = all(self._positions.get(partition, 0) >= upper for partition, upper in ready)
        self._nothing_since = (heard, time.monotonic() + _LOOK_ANYWAY) if all_read else None
        return records

    def _fetch(self, ready: list[tuple[Partition, int]], max_records: int, max_bytes: int) -> list[Record]:
        """Records of the partitions that have some, a different one first each time."""
        records: list[Record] = []
        self._turn += 1
        at = self._turn % len(ready)
        left = max_bytes
        for partition, upper in ready[at:] + ready[:at]:
            if len(records) >= max_records or (records and left <= 0):
                break
            got = self._read(partition, upper, max_records - len(records), left, alone=not records)
            records += got
            left -= sum(len(record.value) for record in got)
        return records

    def _ready(self) -> list[tuple[Partition, int]]:
        """Partitions with something beyond our position, and the offset where their records end."""
        wanted = {self._id(partition): partition for partition in self._positions if partition not in self._paused}
        if not wanted:
            return []
        marks = ",".join("?" * len(wanted))
        rows = self._open().execute(
            f"SELECT id, first, next FROM partitions WHERE id IN ({marks})",  # noqa: S608 (question marks only)
            list(wanted),
        )
        ready = []
        for number, first, upper in rows.fetchall():
            partition = wanted[number]
            self._positions[partition] = max(self._positions[partition], first)
            if upper > self._positions[partition]:
                ready.append((partition, upper))
        return ready

    def _read(self, partition: Partition, upper: int, count: int, budget: int, *, alone: bool) -> list[Record]:
        """Records of one partition within both budgets; one oversize record if it would be `alone`."""
        base = self._id(partition) << SHIFT
        low = base + self._positions[partition]
        sizes = self._open().execute(
            "SELECT id, length(value) FROM records WHERE id>=? AND id<? ORDER BY id LIMIT ?", (low, base + upper, count)
        )
        end = low
        for number, size in sizes.fetchall():
            if size > budget and not (alone and end == low):
                break
            budget -= size
            end = number + 1
        else:
            if end == low:
                self._positions[partition] = upper
        if end == low:
            return []
        rows = self._open().execute(
            "SELECT id, key, headers, timestamp, value FROM records WHERE id>=? AND id<? ORDER BY id", (low, end)
        )
        records = list(records_of(partition, rows))
        self._positions[partition] = end - base
        return records

    # ------------------------------------------------------------------------------------------ the group

    def _rebalance(self) -> None:
        if self._closed or not self._membership.due():
            return
        with mapped():
            quotas, surplus = self._membership.surplus()
        if surplus:
            self._let_go(frozenset(surplus))
        with mapped():
            self._membership.take(quotas)
            taken = self._membership.partitions - self._owned
            starts = {partition: self._start(partition) for partition in taken}
        if not taken:
            return
        self._nothing_since = None
        self._positions.update(starts)
        self._owned |= taken
        if self._assigned is not None:
            self._assigned(taken)

    def _let_go(self, partitions: frozenset[Partition]) -> None:
        """Drain, then release: while `revoked` runs they are still ours."""
        if self._revoked is not None and partitions & self._owned:
            self._revoked(partitions & self._owned)
        with self.guard:
            self._owned -= partitions
            for partition in partitions:
                self._positions.pop(partition, None)
                self._paused.discard(partition)
                self._membership.release(partition)

    def _start(self, partition: Partition) -> int:
        """The group's committed offset, else the first record there is."""
        committed = self.committed(partition)
        if committed is not None:
            return committed
        row = self._open().execute("SELECT first FROM partitions WHERE id=?", (self._id(partition),)).fetchone()
        return int(row[0])

    def assignment(self) -> frozenset[Partition]:
        return self._owned

    def owns(self, partition: Partition) -> bool:
        """The lock can't be taken from a living process: what we know is how it is."""
        return partition in self._owned

    # ------------------------------------------------------------------------------------------ positions

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused |= self._owned & set(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        if not self._paused.isdisjoint(partitions):
            self._paused -= set(partitions)
            self._nothing_since = None

    def seek(self, partition: Partition, offset: int) -> None:
        if partition not in self._owned:
            raise Fenced("BUS-PARTITION", str(partition), "this partition is not ours")
        self._positions[partition] = offset
        self._nothing_since = None

    def commit(self, offsets: Offsets) -> None:
        if offsets:
            self._writer.commit(Batch(owner=self, offsets=tuple(offsets.items())))

    def committed(self, partition: Partition) -> int | None:
        with mapped():
            row = (
                self._open()
                .execute(
                    "SELECT next FROM offsets WHERE groupname=? AND partition=?", (self.group, self._id(partition))
                )
                .fetchone()
            )
        return None if row is None else row[0]

    def close(self) -> None:
        """Leave the group: `revoked` runs first, then the others may take over."""
        if self._closed:
            return
        try:
            if self._owned:
                self._let_go(self._owned)
        finally:
            self._closed = True
            with self.guard:
                self._owned = frozenset()
                self._positions.clear()
                self._membership.leave()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _id(self, partition: Partition) -> int:
        return self._topics[partition.topic].ids[partition.number]

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._store.connect()
        return self._connection


def records_of(partition: Partition, rows: sqlite3.Cursor) -> Iterator[Record]:
    """Rows `(id, key, headers, timestamp, value)` of one partition as records."""
    mask = (1 << SHIFT) - 1
    for number, key, headers, timestamp, value in rows:
        known = json.loads(headers) if headers else {}
        yield Record(partition.topic, partition.number, number & mask, key, value, known, timestamp)
