"""Every call of the sink: whatever a sink raises, the engine gets an outcome or a fault that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.contracts import Alert, Attempt, Outcome, Row, Sink
from router.contracts.spoken import listening
from router.engine.delivery.payload_cache import PayloadCache
from router.errors import Bug, OperatorFault, RouterError
from router.exchange import Delivery, Spoken

BUGS_IN_A_ROW: Final = 10
"""After so many unexpected errors of a sink without a success between them, its circuit opens."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt of `delivery`, payload included, ended: an outcome or a fault. Neither: a verification found
    nothing."""

    delivery: Delivery
    outcome: Outcome | None = None
    fault: RouterError | None = None
    spoken: tuple[Spoken, ...] = ()


class SinkCalls:
    """Calls one sink and counts its bugs in a row."""

    def __init__(self, sink: Sink, payloads: PayloadCache, alert: Alert, now: Callable[[], float]) -> None:
        self._sink = sink
        self._payloads = payloads
        self._alert = alert
        self._now = now
        self._bugs = 0

    def deliver(self, delivery: Delivery, attempt: Attempt) -> Awaitable[AttemptResult]:
        """Make the effect, unless the attempt must not be made any more."""
        return self._guarded(delivery, self._deliver(delivery, attempt))

    def verify(self, delivery: Delivery, attempt: Attempt) -> Awaitable[AttemptResult]:
        """Ask the destination whether an earlier attempt arrived."""
        return self._guarded(delivery, self._sink.verify(delivery, attempt))

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """The sink's context of a receipt; a sink that fails on it costs the context, not the receipt."""
        try:
            return self._sink.context(delivery)
        except Exception:
            self._alert("context", {"sink": self._sink.name, "delivery": delivery.id})
            return {}

    async def context_of(self, row: Row) -> Mapping[str, str]:
        """The same for a row whose bytes must be read first; empty when the bus no longer has them."""
        payload = await self._payloads.read(row)
        return {} if payload is None else self.context(replace(row.delivery, payload=payload))

    async def _deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        attempt.recheck()
        return await self._sink.deliver(delivery, attempt)

    async def _guarded(self, delivery: Delivery, call: Awaitable[Outcome | None]) -> AttemptResult:
        with listening(self._now) as heard:
            result = await self._judged(delivery, call)
        return replace(result, spoken=tuple(heard)) if heard else result

    async def _judged(self, delivery: Delivery, call: Awaitable[Outcome | None]) -> AttemptResult:
        """Await a call of the sink; a foreign exception becomes a `Bug`, and too many of them an outage."""
        try:
            outcome = await call
        except RouterError as fault:
            return AttemptResult(delivery, fault=fault)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._bugs += 1
            bug = Bug.of(error, self._sink.name)
            self._alert("bug", {"sink": self._sink.name, "code": bug.code})
            if self._bugs >= BUGS_IN_A_ROW:
                outage = OperatorFault(bug.code, self._sink.name, "too many unexpected errors in a row")
                return AttemptResult(delivery, fault=outage)
            return AttemptResult(delivery, fault=bug)
        self._bugs = 0
        return AttemptResult(delivery, outcome)
