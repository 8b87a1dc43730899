"""From opened rows to lanes: what they overtake is superseded first, durably; then each waits for whom it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from router.contracts import Row
from router.engine.delivery import row_transitions
from router.engine.delivery.attempt import Attempts, passed
from router.engine.delivery.pending_delivery import PREDECESSOR, PendingDelivery
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.supersession import Supersession
from router.engine.delivery.supersession_rules import overtaker
from router.engine.delivery.worker_context import WorkerContext
from router.exchange import State


class Admission:
    """Puts rows of one sink worker in its lanes; called from its intake, one at a time."""

    def __init__(self, parts: WorkerContext, attempts: Attempts, elsewhere: RemoteInFlight) -> None:
        self._parts = parts
        self._attempts = attempts
        self._supersession = Supersession(parts, elsewhere)

    async def enter(
        self, rows: Sequence[tuple[Row, bytes | None]], *, passing: Sequence[Row] = (), not_before: float = 0.0
    ) -> None:
        """Put rows in their lanes, in order, after what they overtake is durably superseded.

        passing:    what may have passed those that say `begun`
        not_before: monotonic time before which no document among them starts
        """
        parts = self._parts
        rows = [pair for pair in rows if not (self._sent_again(pair[0]) and await self._supersession.passed(pair[0]))]
        new = [row for row, _ in rows if overtaker(row.delivery)]
        gone: Mapping[str, Row] = {}
        waits: dict[str, list[Row]] = {}
        if new:
            gone, waits = await self._supersession.overtaken(new)
        waiting: list[tuple[PendingDelivery, list[Row]]] = []
        owing: list[Row] = []
        parked: list[PendingDelivery] = []
        for row, payload in rows:
            id_ = row.delivery.id
            if id_ in gone or row.partition not in parts.mine:
                continue
            begun = row.state is State.BEGUN
            due = 0.0 if begun else max(parts.due(row), not_before if row.delivery.action else 0.0)
            pending = parts.lanes.add(row, due=due)
            if pending is None:
                owing += [row] if id_ in waits else []
                if row.bytes_at.topic != row_transitions.out_of(row):
                    parts.lanes.backlog.spilled(row.delivery.lane, [id_])
                continue
            if payload is not None:
                parts.keep(pending, payload)
            waiting += [(pending, waits[id_])] if id_ in waits else []
            if begun:
                if parts.lanes.begin(pending):
                    passed(pending, passing)
                    self._attempts.start(pending, durable=True)
                else:  # it was opened as begun and could not start after all
                    pending.row = replace(row, state=State.READY)
            elif row.state is State.READY and pending.lane.parks(row):
                parked.append(pending)
        for pending, others in waiting:  # whom they wait for may have entered after them
            parts.lanes.hold_back(pending, others)
        for row in owing:
            parts.lanes.hold_back_once_loaded(row, waits[row.delivery.id])
        await self._park(parked)

    def _sent_again(self, row: Row) -> bool:
        """Whether a deletion may have been here since its event was accepted. So may it of a row that was open already:
        a crash, or a partition that left, may have come between the two writes."""
        replayed = row.delivery.replay > 0 and bool(row.delivery.action)
        return replayed and row.state is State.READY and row.partition in self._parts.mine

    async def _park(self, parked: Sequence[PendingDelivery]) -> None:
        """In one write, asked for before their lanes can go on: none of them is in flight, or done, by then."""
        now = self._parts.clock.now()
        for pending in parked:
            pending.row = row_transitions.parked(pending.row, PREDECESSOR, "a predecessor is dead-lettered", now)
        if parked:
            partitions = sorted({pending.row.partition for pending in parked})
            await self._parts.writer.write(partitions, rows=[pending.row for pending in parked])
