"""What other workers of this sink have in flight: a deletion or a replacement here waits for it (D1).

Versions of a document stand in partitions of two workers when their key changed in between. Each worker writes its own
row, then looks for the other's: `begun` before an effect, open before it overtakes. So one of the two sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from router.contracts import Row
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.pending_delivery import Place
from router.engine.delivery.supersession_rules import unknown
from router.exchange import State

_LOOK: Final = 0.25
"""Seconds between two looks at the ledger while another worker has one of these deliveries in flight."""
_SELDOM: Final = 5.0
"""Seconds between two looks at the ledger while only a person can settle these deliveries."""


class RemoteInFlight:
    """Tells the lanes of one sink worker what became of deliveries that are not theirs."""

    def __init__(self, lanes: Lanes, writer: DurableWriter) -> None:
        self._lanes = lanes
        self._writer = writer
        self._pause = _LOOK
        self._expected = asyncio.Event()

    def expect(self, rows: Sequence[Row]) -> None:
        """These are in flight, or of unknown outcome: from now on somebody may be held back behind them."""
        self._lanes.remote_started(row.delivery.id for row in rows)
        self.look()

    def look(self) -> None:
        """Look at the ledger from now on, until nobody need be waited for: partitions that left may be the reason."""
        if self._lanes.remote:
            self._expected.set()

    async def looked(self) -> None:
        """Wait until it is time, then look once at the ledger: some lanes may go on after that."""
        while not self._lanes.remote:
            self._pause = _LOOK
            self._expected.clear()
            await self._expected.wait()
        await asyncio.sleep(self._pause)
        asked = list(self._lanes.remote)
        found = await self._writer.ask(lambda ledger: ledger.get(asked))
        self._pause = min(2 * self._pause, _SELDOM)
        for id_ in asked:
            row = found.get(id_)
            if self._in_flight(id_, row):
                self._pause = _LOOK
            else:
                self._lanes.remote_ended(id_, known=row is None or not unknown(row))

    def _in_flight(self, id_: str, row: Row | None) -> bool:
        """Whether an attempt is under way; the delivery may have come to us since."""
        pending = self._lanes.find(id_)
        here = pending is not None and pending.place is Place.IN_FLIGHT
        return here or (row is not None and row.state is State.BEGUN)
