"""A lane goes on before what it has delivered is settled: its outcome and the `begun` of the next are one write.

Otherwise each message of a lane waits for three writes: `begun`, the receipt on the bus, the row. The outcome is noted
in the row that says `begun` (`row_transitions.noted`); the receipt and the final row come while the next one is under
way. Whoever takes the lane over meanwhile finds the outcome and only settles it. Order is as before: no effect is
made before the outcome of the one before it is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.contracts import Outcome, Row
from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.pending_delivery import PendingDelivery
from router.engine.delivery.start_gate import StartGate
from router.engine.delivery.worker_settings import WorkerSettings

Start = Callable[[PendingDelivery, Awaitable[None]], None]
"""Start the task of a delivery that is in flight; its attempt waits until this says that the row says `begun`."""


class HandOver:
    """Passes the lanes of one sink worker on."""

    def __init__(
        self, settings: WorkerSettings, lanes: Lanes, gate: StartGate, writer: DurableWriter, start: Start
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._gate = gate
        self._writer = writer
        self._start = start

    async def pass_on(self, pending: PendingDelivery, outcome: Outcome) -> bool:
        """Let the next of the lane go, if one may; then the outcome is durable, and its receipt has time. Raises
        `Fenced`."""
        if not self._gate.open() or (following := self._lanes.follow(pending)) is None:
            return False
        writing = asyncio.ensure_future(self._begin(following, row_transitions.noted(pending.row, outcome)))
        self._start(following, asyncio.shield(writing))
        await asyncio.shield(writing)
        return True

    async def _begin(self, following: PendingDelivery, before: Row) -> None:
        row = row_transitions.begun(following.row, self._settings.clock.now())
        await self._writer.begin(row, after=before)
        following.row = row
