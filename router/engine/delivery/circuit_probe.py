"""While the circuit is open, the destination is asked from time to time whether it is back."""

from __future__ import annotations

import asyncio

from router.contracts import Clock, Sink
from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.retry_policy import RetryPolicy
from router.errors import RouterError


class CircuitProbe:
    """Probes one sink when its breaker says so."""

    def __init__(self, sink: Sink, breaker: Breaker, policy: RetryPolicy, clock: Clock) -> None:
        self._sink = sink
        self._breaker = breaker
        self._pause = min(0.25, policy.probe_first)
        self._clock = clock

    async def success(self) -> None:
        """Wait until a probe has succeeded: the circuit is half-open then."""
        while True:
            await asyncio.sleep(self._pause)
            if self._breaker.state is not Circuit.OPEN or self._clock.monotonic() < self._breaker.probe_at:
                continue
            try:
                await self._sink.probe()
            except RouterError as fault:
                self._breaker.failed(fault.code, self._clock.monotonic())
            except Exception as error:
                self._breaker.failed(f"BUG-{type(error).__name__}", self._clock.monotonic())
            else:
                self._breaker.probed()
                return
