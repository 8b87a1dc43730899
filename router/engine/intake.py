"""From records to lanes: opens ledger rows in batches, applies the rules of overtaking, obeys commands.

Everything here runs one thing at a time, in the order in which the reader told it, so that rows which are not
on the wire have a single writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.contracts import Header, Ledger, Outgoing, Record, Row, dlq_topic
from router.engine import results
from router.engine.advice import cause
from router.engine.attempt import Attempts
from router.engine.circuit import Circuit
from router.engine.commands import Commands
from router.engine.holding import Holding
from router.engine.lanes import in_order
from router.engine.overtaking import FINAL, Effect, effect, lineages, overtaker
from router.engine.parts import Parts
from router.engine.reader import Assigned, Broke, News, Polled, Revoked
from router.engine.slots import PREDECESSOR, Place
from router.errors import Fenced, Malformed
from router.exchange import Delivery, State
from router.wire import read_delivery, receipt_record


@dataclass(frozen=True, slots=True)
class Sweep:
    """It is time to look for lanes that have been waiting for long."""


SWEEP: Final = Sweep()
GRACE: Final = 0.2
"""Seconds in which a worker that takes over reads its topic before it repeats anything: a deletion that came
meanwhile must find the document still here (D1)."""


class Intake:
    """Handles the news of one sink worker's reader, in order."""

    def __init__(self, parts: Parts, attempts: Attempts) -> None:
        self._parts = parts
        self._attempts = attempts
        self._commands = Commands(parts)
        self._holding = Holding(parts)
        self._news: asyncio.Queue[News | Sweep] = asyncio.Queue()
        self.outstanding = 0
        """Records told and not yet in their lanes."""

    def tell(self, news: News | Sweep) -> None:
        """Called on the loop, in the order of the reader."""
        if isinstance(news, Polled):
            self.outstanding += len(news.records)
        self._news.put_nowait(news)

    async def run(self) -> None:
        """Until cancelled. Raises what the reader broke on, and what nobody expects."""
        while True:
            await self._handle(await self._news.get())
            self._parts.pump()

    async def _handle(self, news: News | Sweep) -> None:
        match news:
            case Polled(records):
                try:
                    await self._polled(records)
                except Fenced:
                    self._lost()
                finally:
                    self.outstanding -= len(records)
            case Assigned(partitions):
                await self._assigned(partitions)
            case Revoked(partitions, drained):
                await self._revoked(partitions)
                drained.set()
            case Broke(error):
                raise error
            case Sweep():
                try:
                    await self._holding.sweep()
                except Fenced:
                    self._lost()

    def _lost(self) -> None:
        """A write was refused: forget what is no longer ours; its owner reads the same rows."""
        self._forget([n for n in self._parts.mine if not self._parts.reader.owns(n)], wire=False)

    # -------------------------------------------------------------------------------------- partitions

    async def _assigned(self, partitions: frozenset[int]) -> None:
        """Take over what a predecessor left unfinished: what it had begun has an unknown outcome."""
        parts = self._parts
        self._forget(partitions, wire=True)
        sink = parts.sink.name
        rows = in_order(await parts.writer.ask(lambda ledger: ledger.unfinished(sink, partitions)))
        for row in await parts.writer.ask(lambda ledger: ledger.dead(sink)):
            if row.delivery.strict and row.partition in partitions:
                parts.lanes.block(row)
        parts.mine |= partitions
        await self._enter([(_restarted(row), None) for row in rows], not_before=parts.clock.monotonic() + GRACE)

    async def _revoked(self, partitions: frozenset[int]) -> None:
        """Start nothing more, wait for what is on the wire, forget the rest: the ledger has it."""
        self._forget(partitions, wire=False)
        await self._attempts.drain(partitions, self._parts.limits.patience)
        self._forget(partitions, wire=True)

    def _forget(self, partitions: Iterable[int], *, wire: bool) -> None:
        parts = self._parts
        parts.mine.difference_update(partitions)
        for slot in parts.lanes.drop(partitions, wire=wire):
            parts.release(slot)

    # ----------------------------------------------------------------------------------------- records

    async def _polled(self, records: Sequence[Record]) -> None:
        """Deliveries in batches; a command between two of them is obeyed between them."""
        run: list[Record] = []
        for record in records:
            if Header.COMMAND in record.headers:
                await self._open(run)
                run = []
                await self._commands.obey(record)
            else:
                run.append(record)
        await self._open(run)
        # now the rows say what is left to do
        self._parts.reader.settle({record.partition: record.offset + 1 for record in records})

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
        known = await parts.writer.open(list(rows.values()))
        fresh: list[tuple[Row, bytes | None]] = []
        for id_, row in rows.items():
            if id_ not in known:
                fresh.append((row, payloads[id_]))
            elif (again := await self._again(row, known[id_])) is not None:
                fresh.append((again, payloads[id_] if again.bytes_at == row.bytes_at else None))
        await self._enter(fresh)

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
        parts, now = self._parts, f"{self._parts.clock.now():.3f}"
        headers = {
            **record.headers,
            Header.ORIGIN: str(record.origin),
            Header.STAGE: "sink",
            Header.SINK: parts.sink.name,
            Header.CODE: fault.code,
            Header.PLACE: fault.place,
            Header.TEXT: fault.text,
            Header.FIRST: now,
            Header.LAST: now,
            Header.CAUSE: cause("sink", parts.sink.name, fault.code, fault.place),
            Header.NEXT: parts.advice(fault.code),
        }
        letter = Outgoing(dlq_topic(parts.sink.name), record.key, record.value, headers)
        await parts.writer.write([record.partition], records=[letter])
        parts.observer.count("dead_letters_total", stage="sink", code=fault.code)

    def _anticipate(self, rows: dict[str, Row]) -> dict[str, Row]:
        """Rows that will start at once are opened as `begun`: one write instead of two.

        Only heads of idle lanes, as far as the circuit, the rate and the limit of the wire admit them.
        """
        parts = self._parts
        free = min(self._attempts.admitted(), parts.limits.window - len(parts.lanes))
        if parts.breaker.state is not Circuit.CLOSED or any(overtaker(row.delivery) for row in rows.values()):
            return rows
        now, seen = parts.clock.now(), set[str]()
        opened: dict[str, Row] = {}
        for id_, row in rows.items():
            lane = row.delivery.lane
            if free > 0 and lane not in seen and not row.delivery.replay and parts.lanes.idle(lane):
                opened[id_] = results.begun(row, now)
                free -= 1
            else:
                opened[id_] = row
            seen.add(lane)
        return opened

    async def _again(self, row: Row, known: Row) -> Row | None:
        """A row that was there already: a restart, a repeat, or a deliberate new decision. What is to be done of it."""
        parts = self._parts
        if row.delivery.replay > known.delivery.replay:
            return await self._commands.decided_again(row, known)
        if (known.partition, known.sequence) != (row.partition, row.sequence):
            parts.observer.count("duplicates_avoided_total", stage=parts.sink.name)
            return None
        if known.state in FINAL or parts.lanes.knows(known):
            return None
        return _restarted(known)

    # ------------------------------------------------------------------------------------------- lanes

    async def _enter(self, rows: Sequence[tuple[Row, bytes | None]], *, not_before: float = 0.0) -> None:
        """Put rows in their lanes, in order, after what they overtake is durably superseded.

        `not_before`: monotonic time before which no document among them starts.
        """
        parts = self._parts
        new = [row for row, _ in rows if overtaker(row.delivery)]
        gone: Mapping[str, Row] = {}
        waits: dict[str, set[str]] = {}
        if new:
            gone, waits = await self._overtake(new)
        for row, payload in rows:
            id_ = row.delivery.id
            if id_ in gone or row.partition not in parts.mine:
                continue
            begun = row.state is State.BEGUN
            due = 0.0 if begun else max(parts.due(row), not_before if row.delivery.action else 0.0)
            slot = parts.lanes.add(row, due=due)
            if slot is None:
                if row.bytes_at.topic != results.out_of(row):
                    parts.lanes.kept(row.delivery.lane, [id_])
                continue
            if payload is not None:
                parts.keep(slot, payload)
            if id_ in waits:
                parts.lanes.hold_back(slot, waits[id_])
            if begun:
                if parts.lanes.begin(slot):
                    self._attempts.start(slot, durable=True)
                else:  # it was opened as begun and could not start after all
                    slot.row = replace(row, state=State.READY)
            elif row.state is State.READY and slot.lane.parks(row):
                await self._park(slot.row)

    async def _park(self, row: Row) -> None:
        slot = self._parts.lanes.find(row.delivery.id)
        row = results.parked(row, PREDECESSOR, "a predecessor is dead-lettered", self._parts.clock.now())
        if slot is not None:
            slot.row = row
        await self._parts.writer.write([row.partition], rows=[row])

    async def _overtake(self, new: Sequence[Row]) -> tuple[dict[str, Row], dict[str, set[str]]]:
        """Rows that these deletions and replacements supersede, durably, and whom each must wait for (D1)."""
        parts = self._parts
        versions = await parts.writer.ask(lambda ledger: _versions(ledger, new))
        gone: dict[str, Row] = {}
        waits: dict[str, set[str]] = {}
        for row in new:
            if row.delivery.id in gone:
                continue
            for stored in versions[row.delivery.id]:
                old = stored.delivery.id
                slot = parts.lanes.find(old)
                if old in gone or stored.partition not in parts.mine:
                    continue
                current = slot.row if slot is not None else stored
                on_wire = slot is not None and slot.place is Place.WIRE
                match effect(row, current, on_wire=on_wire):
                    case Effect.SUPERSEDES:
                        parts.lanes.supersede(current, row.delivery.event_id)
                        gone[old] = results.superseded(current, row.delivery.event_id, parts.clock.now())
                    case Effect.WAITS:
                        waits.setdefault(row.delivery.id, set()).add(old)
                        if on_wire and row.delivery.action == "delete":
                            parts.lanes.supersede(current, row.delivery.event_id)
        await self._supersede(gone.values())
        return gone, waits

    async def _supersede(self, rows: Iterable[Row]) -> None:
        parts, changed = self._parts, list(rows)
        if not changed:
            return
        proofs = [results.receipt(row, await parts.context_of(row), row.updated) for row in changed]
        partitions = sorted({row.partition for row in changed})
        await parts.writer.write(partitions, records=[receipt_record(proof) for proof in proofs], rows=changed)
        for row in changed:
            if row.delivery.strict:
                parts.lanes.unblock(row)
        parts.observer.count("superseded_total", len(changed), sink=parts.sink.name)
        parts.observer.count("deliveries_total", len(changed), sink=parts.sink.name, disposition="superseded")


def _restarted(row: Row) -> Row:
    """A row as its next owner takes it over: what was begun has an unknown outcome."""
    if row.state is not State.BEGUN:
        return row
    return replace(row, state=State.UNKNOWN, evidence={**row.evidence, results.UNKNOWN: "1"})


def _versions(ledger: Ledger, new: Sequence[Row]) -> dict[str, list[Row]]:
    """For each of these rows what the ledger holds of its document, in order, each row once."""
    found: dict[str, list[Row]] = {}
    for row in new:
        delivery: Delivery = row.delivery
        rows = {r.delivery.id: r for name in lineages(delivery) for r in ledger.lineage(delivery.sink, name)}
        found[delivery.id] = in_order(list(rows.values()))
    return found
