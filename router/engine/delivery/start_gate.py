"""How many attempts may start now, by the limit of attempts in flight, the circuit and the rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from router.contracts import Clock
from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.delivery.lanes import Lanes
from router.engine.retry_policy import RetryPolicy, TokenBucket


class StartGate:
    """Owns the rate of one sink worker and the places reserved for rows that are being opened."""

    def __init__(self, policy: RetryPolicy, breaker: Breaker, lanes: Lanes, clock: Clock) -> None:
        self._max_in_flight = policy.max_in_flight
        self._bucket = TokenBucket(policy.per_second, policy.burst)
        self._breaker = breaker
        self._lanes = lanes
        self._clock = clock
        self._reserved = 0

    def free(self) -> int:
        """How many attempts may start now."""
        limit = self._breaker.admits(self._max_in_flight - self._lanes.in_flight - self._reserved)
        tokens = self._bucket.available(self._clock.monotonic())
        return max(0, limit if tokens is None else min(limit, tokens - self._reserved))

    def open(self) -> bool:
        """Whether an attempt may start now that is not a trial."""
        return self._breaker.state is Circuit.CLOSED and self.free() > 0

    @contextmanager
    def reserve(self, places: int) -> Iterator[None]:
        """Keep places free for rows that are being opened as `begun`."""
        self._reserved = places
        try:
            yield
        finally:
            self._reserved = 0

    def started(self) -> bool:
        """An attempt starts. True when it is the trial of a half-open circuit: say `trial_over` when it ended."""
        self._bucket.spend(1)
        return self._breaker.started()

    def trial_over(self) -> None:
        """A trial ended, whatever it said of the destination."""
        self._breaker.abandoned()

    def next_look(self) -> float | None:
        """Monotonic time at which something may start that can't now; None when only an event can change that."""
        if self._breaker.state is Circuit.OPEN:
            return None
        times = [due] if (due := self._lanes.next_due()) is not None else []
        now = self._clock.monotonic()
        if self._lanes.startable and self._bucket.available(now) == 0:
            times.append(now + self._bucket.delay())
        return min(times, default=None)
