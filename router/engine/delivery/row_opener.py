"""From records to rows: reads deliveries, opens their ledger rows in batches, hands them to the admission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from router.contracts import Record, Row
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery import row_transitions
from router.engine.delivery.admission import Admission
from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.delivery.command_handler import CommandHandler
from router.engine.delivery.command_marks import order_mark
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.start_gate import StartGate
from router.engine.delivery.supersession_rules import FINAL, overtaker
from router.engine.delivery.worker_settings import WorkerSettings
from router.errors import Malformed
from router.exchange import State
from router.wire import read_delivery


class RowOpener:
    """Opens the rows of one sink worker; called from its dispatcher, one batch at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        lanes: Lanes,
        breaker: Breaker,
        gate: StartGate,
        payloads: PayloadCache,
        writer: DurableWriter,
        commands: CommandHandler,
        admission: Admission,
        on_unknown: str,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._breaker = breaker
        self._gate = gate
        self._payloads = payloads
        self._writer = writer
        self._commands = commands
        self._admission = admission
        self._on_unknown = on_unknown

    async def open(self, records: Sequence[Record]) -> None:
        """Open the rows of these deliveries, durably, and put them in their lanes. Raises `Fenced`."""
        rows: dict[str, Row] = {}
        payloads: dict[str, bytes] = {}
        for record in records:
            row = await self._read(record)
            if row is None:
                continue
            if row.delivery.id in rows:
                self._count_duplicate()
                continue
            rows[row.delivery.id] = row
            payloads[row.delivery.id] = record.value
        if not rows:
            return
        rows = self._anticipate(rows)
        with self._gate.reserve(sum(row.state is State.BEGUN for row in rows.values())):
            await self._open_rows(rows, payloads)

    async def _open_rows(self, rows: dict[str, Row], payloads: dict[str, bytes]) -> None:
        known, passing = await self._writer.open(list(rows.values()))
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
            elif old is None and await self._bytes_gone(row, known[id_]):
                old = await self._commands.bytes_again(row, known[id_])
            if old is not None:
                fresh.append((old, payloads[id_] if old.bytes_at == row.bytes_at else None))
        await self._admission.enter(fresh, passing=passing)

    async def _bytes_gone(self, row: Row, known: Row) -> bool:
        """Whether this repeat brings back what the bus has lost of a delivery that is not done."""
        if (row.partition, row.sequence) == (known.partition, known.sequence):
            return False  # read again after a restart
        if known.state in (State.DONE, State.SUPERSEDED):
            return False
        if known.state is State.DEAD:
            return known.code == BYTES_LOST
        return await self._payloads.read(known) is None

    async def _read(self, record: Record) -> Row | None:
        """The ledger row of a delivery record; one that can't be read is a dead letter, its bytes untouched."""
        bare = replace(record, value=b"")
        try:
            delivery = read_delivery(bare)
        except Malformed as fault:
            await self._unreadable(record, fault)
            return None
        row = Row(
            delivery=delivery,
            partition=record.partition,
            sequence=record.offset,
            bytes_at=record.origin,
            commands=(order_mark(delivery.order),) if delivery.order else (),
            updated=self._settings.clock.now(),
        )
        doubtful = not delivery.replay and self._settings.doubtful(delivery.origin)
        return row_transitions.in_doubt(row, self._on_unknown) if doubtful else row

    async def _unreadable(self, record: Record, fault: Malformed) -> None:
        settings = self._settings
        dead_letter = row_transitions.unreadable(record, fault, settings.sink, settings.advice, settings.clock.now())
        await self._writer.write([record.partition], records=[dead_letter])
        settings.observer.count("dead_letters_total", stage="sink", feed="", sink=settings.sink, code=fault.code)

    def _anticipate(self, rows: dict[str, Row]) -> dict[str, Row]:
        """Rows that will start at once are opened as `begun`: one write instead of two.

        Only heads of idle lanes, as far as the circuit, the rate and the limit of what is in flight admit them.
        """
        free = min(self._gate.free(), self._settings.limits.capacity - len(self._lanes))
        if self._breaker.state is not Circuit.CLOSED or any(overtaker(row.delivery) for row in rows.values()):
            return rows
        now, seen = self._settings.clock.now(), set[str]()
        opened: dict[str, Row] = {}
        for id_, row in rows.items():
            lane = row.delivery.lane
            fresh = row.state is State.READY and not row.delivery.replay
            if free > 0 and lane not in seen and fresh and self._lanes.idle(lane):
                opened[id_] = row_transitions.begun(row, now)
                free -= 1
            else:
                opened[id_] = row
            seen.add(lane)
        return opened

    def _again(self, row: Row, known: Row) -> Row | None:
        """A row that was there already, after a restart or by a repeat: what is to be done of it."""
        if row.delivery.replay > known.delivery.replay:
            return None  # a deliberate new decision
        if (known.partition, known.sequence) != (row.partition, row.sequence):
            self._count_duplicate()
            return None
        if known.state in FINAL or self._lanes.knows(known):
            return None
        return row_transitions.restarted(known)

    def _count_duplicate(self) -> None:
        self._settings.observer.count("duplicates_avoided_total", stage=self._settings.sink)
