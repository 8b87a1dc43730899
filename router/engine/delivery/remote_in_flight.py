"""What other workers of this sink have in flight: a deletion or a replacement here waits for it (D1).

Versions of a document stand in partitions of two workers when their key changed in between. Each worker writes its own
row, then looks for the other's: `begun` before an effect, open before it overtakes. So one of the two sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from router.contracts import Row
from router.engine.delivery.pending_delivery import Place
from router.engine.delivery.supersession_rules import unknown
from router.engine.delivery.worker_context import WorkerContext
from router.exchange import State

_LOOK: Final = 0.25
_SELDOM: Final = 5.0
"""Seconds between two looks at the ledger: while one of them is in flight; while only persons can settle them."""


class RemoteInFlight:
    """Tells the lanes of one sink worker what became of deliveries that are not theirs."""

    def __init__(self, parts: WorkerContext) -> None:
        self._parts = parts
        self._looking: asyncio.Task[None] | None = None

    def expect(self, rows: Sequence[Row]) -> None:
        """Those that are in flight, or of unknown outcome: from now on somebody may be held back behind them."""
        self._parts.lanes.remote_started(row.delivery.id for row in rows)
        self.look()

    def look(self) -> None:
        """Look at the ledger from now on, until nobody need be waited for: partitions that left may be the reason."""
        if self._parts.lanes.remote and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        parts, pause = self._parts, _LOOK
        while parts.lanes.remote:
            await asyncio.sleep(pause)
            asked = list(parts.lanes.remote)
            found = await parts.writer.ask(lambda ledger, ids=asked: ledger.get(ids))  # type: ignore[misc]
            pause = min(2 * pause, _SELDOM)
            for id_ in asked:
                row, pending = found.get(id_), parts.lanes.find(id_)  # it may have come to us since
                if (row is not None and row.state is State.BEGUN) or (
                    pending is not None and pending.place is Place.IN_FLIGHT
                ):
                    pause = _LOOK
                    continue
                parts.lanes.remote_ended(id_, known=row is None or not unknown(row))
            parts.pump()
