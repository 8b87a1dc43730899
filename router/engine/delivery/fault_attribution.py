"""Whether a failure is the whole destination's or one delivery's (promise 11).

A fault says what kind it is, not whose. An outage, or a certificate of ours, fails every delivery. A content that the
other side can't process, or a sender whom it rejects, fails one delivery. The second kind never opens the circuit: its
lane waits.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Literal

from router.contracts import Sink
from router.errors import OperatorFault, RouterError, Unavailable

IN_A_ROW: Final = 3
"""When so many deliveries fail one after the other without an answer, they are no longer to blame."""
REMEMBERED: Final = 10_000

Blame = Literal["destination", "unsure", "delivery"]
"""Who is to blame. destination: all lanes wait; unsure: this lane waits at no cost; delivery: its wait has an end."""


class FaultAttribution:
    """What one sink worker has seen of its destination lately. Lives on one event loop."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._answers = 0
        self._failed: OrderedDict[str, int] = OrderedDict()
        """Delivery -> answers that others had got when it last failed."""
        self._row: set[str] = set()
        """Deliveries that failed since the last answer."""
        self._asking = asyncio.Lock()

    def answered(self, delivery_id: str) -> None:
        """A delivery got an answer, good or bad: the destination is there and knows us."""
        self._answers += 1
        self._row.clear()
        self._failed.pop(delivery_id, None)

    async def whose(self, delivery_id: str, fault: Unavailable | OperatorFault) -> Blame:
        """Whose fault this is.

        This delivery's when others were answered between two of its failures. An `OperatorFault` is thought to be so
        from the first time on, when the destination answers a probe, unless several deliveries in a row had one.
        """
        before = self._failed.get(delivery_id)
        self._failed[delivery_id] = self._answers
        self._failed.move_to_end(delivery_id)
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        self._row.add(delivery_id)
        if before is not None and before < self._answers:
            return "delivery"
        if not isinstance(fault, OperatorFault) or len(self._row) >= IN_A_ROW:
            return "destination"
        return "unsure" if await self._there() else "destination"

    async def _there(self) -> bool:
        async with self._asking:
            try:
                await self._sink.probe()
            except RouterError:
                return False
            except Exception:  # a bug of the sink type says nothing good of its destination
                return False
        return True
