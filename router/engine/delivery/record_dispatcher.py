"""From records to rows: takes partitions over, opens ledger rows in batches, obeys commands.

Everything here runs one thing at a time, in the order in which the reader told it, so that rows which are not
in flight have a single writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from router.contracts import Header, Record, Row
from router.engine.delivery import row_transitions
from router.engine.delivery.admission import Admission
from router.engine.delivery.attempt import Attempts
from router.engine.delivery.circuit import Circuit
from router.engine.delivery.command_handler import CommandHandler
from router.engine.delivery.lanes import in_order
from router.engine.delivery.partition_reader import MAX_RECORDS, Assigned, Broke, News, Polled, Revoked, Sweep
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.spill import Spill
from router.engine.delivery.supersession_rules import FINAL, overtaker
from router.engine.delivery.worker_context import WorkerContext
from router.errors import Fenced, Malformed
from router.exchange import State
from router.wire import read_delivery, weight

GRACE: Final = 0.2
"""Seconds in which a worker that takes over reads its topic before it repeats anything: a deletion that came
meanwhile must find the document still here (D1)."""


class RecordDispatcher:
    """Handles the news of one sink worker's reader, in order."""

    def __init__(self, parts: WorkerContext, attempts: Attempts) -> None:
        self._parts = parts
        self._attempts = attempts
        self._commands = CommandHandler(parts)
        self._spill = Spill(parts)
        self._remote_in_flight = RemoteInFlight(parts)
        self._admission = Admission(parts, attempts, self._remote_in_flight)
        self._news: deque[News] = deque()
        self._heard = asyncio.Event()
        self._skipped: dict[int, int] = {}
        """The first offset that was passed over in a partition that is not ours, or no longer."""
        self._ending = False
        self._strays: dict[int, float] = {}
        """Partitions that the group gives us and we do not work on, since when (monotonic)."""
        self.outstanding = 0
        """Records told and not yet in their lanes."""
        self.outstanding_bytes = 0

    def tell(self, news: News) -> None:
        """Called on the loop, in the order of the reader."""
        if isinstance(news, Polled):
            self.outstanding += len(news.records)
            self.outstanding_bytes += weight(news.records)
        self._news.append(news)
        self._heard.set()

    def end(self) -> None:
        """Let `run` return after what it is at: rows that it opens as begun are to start."""
        self._ending = True
        self._heard.set()

    async def run(self) -> None:
        """Until cancelled, or ended. Raises what the reader broke on, and what nobody expects."""
        while True:
            while self._news and not self._ending:
                await self._handle(self._next())
                self._parts.pump()
            if self._ending:
                return
            self._heard.clear()
            await self._heard.wait()

    def _next(self) -> News:
        """The next news; records that came in several polls while we were busy are handled as one batch."""
        news = self._news.popleft()
        if not isinstance(news, Polled):
            return news
        records = list(news.records)
        while self._news and isinstance(more := self._news[0], Polled) and len(records) < MAX_RECORDS:
            records += more.records
            self._news.popleft()
        return Polled(records)

    async def _handle(self, news: News) -> None:
        match news:
            case Polled(records):
                try:
                    await self._polled(records)
                finally:
                    self.outstanding -= len(records)
                    self.outstanding_bytes -= weight(records)
            case Assigned(partitions):
                await self._assigned(partitions)
            case Revoked(partitions, drained):
                await self._clear(partitions)
                drained.set()
            case Broke(error):
                raise error
            case Sweep():
                self._reclaim()
                self._remote_in_flight.look()
                await self._attempts.look_again()
                try:
                    await self._spill.sweep()
                except Fenced as fenced:
                    self._lost(fenced)

    def _lost(self, fenced: Fenced) -> None:
        """A write was refused: forget what is no longer ours; its owner reads the same rows."""
        if not fenced.partitions:
            raise fenced
        self._forget(fenced.partitions, in_flight=False)

    # -------------------------------------------------------------------------------------- partitions

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Take partitions over; those that are lost again meanwhile are left out."""
        for number in partitions:
            self._skipped.pop(number, None)
        while partitions:
            await self._clear(partitions)
            try:
                await self._take_over(partitions)
                return
            except Fenced as fenced:
                self._lost(fenced)
                partitions &= self._parts.mine

    async def _take_over(self, partitions: frozenset[int]) -> None:
        """What a predecessor left unfinished: what it had begun has an unknown outcome."""
        parts, sink = self._parts, self._parts.sink.name
        ours = await parts.writer.take(partitions)
        rows = in_order(await parts.writer.ask(lambda ledger: ledger.unfinished(sink, ours)))
        for row in await parts.writer.ask(lambda ledger: ledger.dead(sink)):
            if row.delivery.strict and row.partition in ours:
                parts.lanes.block(row)
        parts.mine |= ours
        begun = [row for row in rows if row.state is State.BEGUN]
        rows = [row_transitions.restarted(row) for row in rows]
        if begun:  # others must not take it for one that is in flight
            await parts.writer.write(sorted(ours), rows=list(map(row_transitions.restarted, begun)))
        await self._admission.enter([(row, None) for row in rows], not_before=parts.clock.monotonic() + GRACE)

    async def _clear(self, partitions: frozenset[int]) -> None:
        """Start nothing more, wait for what is in flight, forget the rest: the ledger has it."""
        self._forget(partitions, in_flight=False)
        await self._attempts.drain(partitions, self._parts.limits.patience)
        self._forget(partitions, in_flight=True)

    def _reclaim(self) -> None:
        """Ask for partitions that the group still gives us although we gave them up.

        The group may have been silent for a while and then go on as if nothing had been; or a predecessor that woke
        late took the epoch of what is ours. Not at once: who was frozen must hear first what it lost.
        """
        parts, now = self._parts, self._parts.clock.monotonic()
        strays = [n for n in parts.reader.assigned - parts.mine if parts.reader.owns(n)]
        self._strays = {number: self._strays.get(number, now) for number in strays}
        ripe = [number for number, since in self._strays.items() if now - since >= parts.limits.patience]
        if ripe:
            self._strays = {}
            parts.reader.retake({number: self._skipped.get(number) for number in ripe})

    def _forget(self, partitions: Iterable[int], *, in_flight: bool) -> None:
        parts = self._parts
        parts.mine.difference_update(partitions)
        for pending in parts.lanes.drop(partitions, in_flight=in_flight):
            parts.release(pending)
        self._remote_in_flight.look()

    # ----------------------------------------------------------------------------------------- records

    async def _polled(self, records: Sequence[Record]) -> None:
        """Deliveries in batches; a command between two of them is obeyed between them."""
        run: list[Record] = []
        for record in records:
            if Header.COMMAND in record.headers:
                await self._ours(run, self._open)
                run = []
                await self._ours([record], self._obey)
            else:
                run.append(record)
        await self._ours(run, self._open)
        done: dict[int, int] = {}
        for record in records:
            if record.partition in self._parts.mine:
                done[record.partition] = record.offset + 1
            else:
                self._skipped.setdefault(record.partition, record.offset)
        self._parts.reader.settle(done)  # now the rows say what is left to do

    async def _ours(self, records: Sequence[Record], work: Callable[[Sequence[Record]], Awaitable[None]]) -> None:
        """Do this for the records of partitions that are ours: a write that is refused says which are not."""
        mine = self._parts.mine
        while records := [record for record in records if record.partition in mine]:
            before = frozenset(mine)
            try:
                await work(records)
                return
            except Fenced as fenced:
                self._lost(fenced)
                if mine == before:
                    raise

    async def _obey(self, records: Sequence[Record]) -> None:
        for record in records:
            await self._commands.obey(record)

    async def _open(self, records: Sequence[Record]) -> None:
        parts = self._parts
        rows: dict[str, Row] = {}
        payloads: dict[str, bytes] = {}
        for record in records:
            row = await self._read(record)
            if row is None:
                continue
            if row.delivery.id in rows:
                parts.observer.count("duplicates_avoided_total", stage=parts.sink.name)
                continue
            rows[row.delivery.id] = row
            payloads[row.delivery.id] = record.value
        if not rows:
            return
        rows = self._anticipate(rows)
        self._attempts.reserved = sum(row.state is State.BEGUN for row in rows.values())
        try:
            await self._open_rows(rows, payloads)
        finally:
            self._attempts.reserved = 0

    async def _open_rows(self, rows: dict[str, Row], payloads: dict[str, bytes]) -> None:
        parts = self._parts
        known, passing = await parts.writer.open(list(rows.values()))
        # First those that ask nobody: what the ledger said of a row that is in flight holds for this moment only.
        again = {id_: self._again(row, known[id_]) for id_, row in rows.items() if id_ in known}
        fresh: list[tuple[Row, bytes | None]] = []
        for id_, row in rows.items():
            if id_ not in known:
                fresh.append((row, payloads[id_]))
                continue
            old = again[id_]
            if row.delivery.replay > known[id_].delivery.replay:
                old = await self._commands.decided_again(row, known[id_])
            if old is not None:
                fresh.append((old, payloads[id_] if old.bytes_at == row.bytes_at else None))
        await self._admission.enter(fresh, passing=passing)

    async def _read(self, record: Record) -> Row | None:
        """The ledger row of a delivery record; one that can't be read is a dead letter, its bytes untouched."""
        bare = Record(record.topic, record.partition, record.offset, record.key, b"", record.headers, record.timestamp)
        try:
            delivery = read_delivery(bare)
        except Malformed as fault:
            await self._unreadable(record, fault)
            return None
        return Row(
            delivery=delivery,
            partition=record.partition,
            sequence=record.offset,
            bytes_at=record.origin,
            updated=self._parts.clock.now(),
        )

    async def _unreadable(self, record: Record, fault: Malformed) -> None:
        parts = self._parts
        dead_letter = row_transitions.unreadable(record, fault, parts.sink.name, parts.advice, parts.clock.now())
        await parts.writer.write([record.partition], records=[dead_letter])
        parts.observer.count("dead_letters_total", stage="sink", code=fault.code)

    def _anticipate(self, rows: dict[str, Row]) -> dict[str, Row]:
        """Rows that will start at once are opened as `begun`: one write instead of two.

        Only heads of idle lanes, as far as the circuit, the rate and the limit of the wire admit them.
        """
        parts = self._parts
        free = min(self._attempts.admitted(), parts.limits.capacity - len(parts.lanes))
        if parts.breaker.state is not Circuit.CLOSED or any(overtaker(row.delivery) for row in rows.values()):
            return rows
        now, seen = parts.clock.now(), set[str]()
        opened: dict[str, Row] = {}
        for id_, row in rows.items():
            lane = row.delivery.lane
            if free > 0 and lane not in seen and not row.delivery.replay and parts.lanes.idle(lane):
                opened[id_] = row_transitions.begun(row, now)
                free -= 1
            else:
                opened[id_] = row
            seen.add(lane)
        return opened

    def _again(self, row: Row, known: Row) -> Row | None:
        """A row that was there already, after a restart or by a repeat: what is to be done of it."""
        parts = self._parts
        if row.delivery.replay > known.delivery.replay:
            return None  # a deliberate new decision
        if (known.partition, known.sequence) != (row.partition, row.sequence):
            parts.observer.count("duplicates_avoided_total", stage=parts.sink.name)
            return None
        if known.state in FINAL or parts.lanes.knows(known):
            return None
        return row_transitions.restarted(known)
