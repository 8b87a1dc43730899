"""What other workers of this sink have on the wire: a deletion or a replacement here waits for it (D1).

Versions of a document stand in partitions of two workers when their key changed in between. Each worker writes its own
row, then looks for the other's: `begun` before an effect, open before it overtakes. So one of the two sees the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from router.contracts import Row
from router.engine.overtaking import unknown
from router.engine.parts import Parts
from router.exchange import State

_LOOK: Final = 0.25
_SELDOM: Final = 5.0
"""Seconds between two looks at the ledger: while one of them is on the wire; while only persons can settle them."""


class Elsewhere:
    """Tells the lanes of one sink worker what became of deliveries that are not theirs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._awaited: set[str] = set()
        self._looking: asyncio.Task[None] | None = None

    def expect(self, rows: Sequence[Row]) -> None:
        """Those that are on the wire, or of unknown outcome: from now on somebody may be held back behind them."""
        if not rows:
            return
        self._awaited.update(row.delivery.id for row in rows)
        self._parts.lanes.elsewhere.update(self._awaited)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        parts, pause = self._parts, _LOOK
        while self._awaited:
            await asyncio.sleep(pause)
            asked = list(self._awaited)
            found = await parts.writer.ask(lambda ledger, ids=asked: ledger.get(ids))  # type: ignore[misc]
            pause = min(2 * pause, _SELDOM)
            for id_ in asked:
                row = found.get(id_)
                if row is not None and row.state is State.BEGUN:
                    pause = _LOOK
                    continue
                known = row is None or not unknown(row)
                if known:
                    self._awaited.discard(id_)
                parts.lanes.off_wire(id_, known=known)
            parts.pump()
