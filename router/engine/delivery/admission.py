"""From opened rows to lanes: what a row overtakes is superseded first, durably; then the row waits where it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from router.contracts import Row
from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import PREDECESSOR, PendingDelivery
from router.engine.delivery.supersession import Overtaking, Supersession
from router.engine.delivery.supersession_rules import overtaker
from router.engine.delivery.worker_settings import WorkerSettings
from router.exchange import State


class Admission:
    """Puts rows of one sink worker in its lanes; called from its dispatcher, one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        owned: OwnedPartitions,
        lanes: Lanes,
        payloads: PayloadCache,
        writer: DurableWriter,
        supersession: Supersession,
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._lanes = lanes
        self._payloads = payloads
        self._writer = writer
        self._supersession = supersession

    async def enter(
        self, rows: Sequence[tuple[Row, bytes | None]], *, passing: Sequence[Row] = (), not_before: float = 0.0
    ) -> None:
        """Put rows in their lanes, in order, after what they overtake is durably superseded.

        passing:    what may have passed those that say `begun`
        not_before: monotonic time before which no document among them starts
        """
        rows = [pair for pair in rows if not (self._sent_again(pair[0]) and await self._supersession.passed(pair[0]))]
        new = [row for row, _ in rows if overtaker(row.delivery)]
        did = await self._supersession.overtake(new) if new else Overtaking()
        waiting: list[tuple[PendingDelivery, list[Row]]] = []
        absent: list[tuple[Row, list[Row]]] = []
        parked: list[PendingDelivery] = []
        owned = self._owned.numbers
        for row, payload in rows:
            if row.delivery.id in did.superseded or row.partition not in owned:
                continue
            others = did.waits.get(row.delivery.id, [])
            pending = self._add(row, payload, not_before)
            if pending is None:
                absent += [(row, others)] if others else []
                continue
            waiting += [(pending, others)] if others else []
            if row.state is State.BEGUN:
                self._begin(pending, passing)
            elif row.state is State.READY and pending.lane.parks(row):
                parked.append(pending)
        for pending, others in waiting:  # whom they wait for may have entered after them
            self._lanes.hold_back(pending, others)
        for row, others in absent:
            self._lanes.hold_back_once_loaded(row, others)
        await self._park(parked)

    def _add(self, row: Row, payload: bytes | None, not_before: float) -> PendingDelivery | None:
        """Put a row in its lane. None when it found no room in memory."""
        if row.state is State.BEGUN:
            due = 0.0
        else:
            due = max(self._settings.due(row), not_before if row.delivery.action else 0.0)
        pending = self._lanes.add(row, due=due)
        if pending is None:
            if row.bytes_at.topic != row_transitions.out_of(row):
                self._lanes.backlog.spilled(row.delivery.lane, [row.delivery.id])
        elif payload is not None:
            self._payloads.keep(pending, payload)
        return pending

    def _begin(self, pending: PendingDelivery, passing: Sequence[Row]) -> None:
        """Its row says `begun` already: its attempt starts, see `Lanes.begin`."""
        if self._lanes.begin(pending):
            pending.note_passed(passing)
        else:  # it was opened as begun and can't start after all
            pending.row = replace(pending.row, state=State.READY)

    def _sent_again(self, row: Row) -> bool:
        """Whether a deletion may have been here since its event was accepted. So may it of a row that was open already:
        a crash, or a partition that left, may have come between the two writes."""
        replayed = row.delivery.replay > 0 and bool(row.delivery.action)
        return replayed and row.state is State.READY and row.partition in self._owned

    async def _park(self, parked: Sequence[PendingDelivery]) -> None:
        """In one write, asked for before their lanes can go on: none of them is in flight, or done, by then."""
        now = self._settings.clock.now()
        for pending in parked:
            pending.row = row_transitions.parked(pending.row, PREDECESSOR, "a predecessor is dead-lettered", now)
        if parked:
            partitions = sorted({pending.row.partition for pending in parked})
            await self._writer.write(partitions, rows=[pending.row for pending in parked])
