"""One circuit per sink: an outage of the whole destination is no delivery's fault, so nothing is dead-lettered.

closed     deliveries start
open       none starts; a probe is due after a back-off
half-open  the probe succeeded: one delivery may start; what becomes of it decides
"""

from __future__ import annotations

from enum import StrEnum

from router.engine.retry_policy import RetryPolicy, backoff


class Circuit(StrEnum):
    """States of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The circuit of one sink, without I/O: times are monotonic seconds, handed in."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._probes = 0
        self._trials = 0
        self.state = Circuit.CLOSED
        self.code = ""
        self.since = 0.0
        self.probe_at = 0.0

    def admits(self, limit: int) -> int:
        """How many of `limit` deliveries may start now."""
        match self.state:
            case Circuit.CLOSED:
                return limit
            case Circuit.HALF_OPEN:
                return min(limit, 1 - self._trials)
        return 0

    def started(self) -> bool:
        """A delivery starts. True when it is the trial of the half-open state."""
        if self.state is Circuit.HALF_OPEN:
            self._trials += 1
            return True
        return False

    def failed(self, code: str, now: float, retry_after: float | None = None) -> bool:
        """The destination is away, said a delivery or a probe. True when that is news."""
        news = self.state is Circuit.CLOSED
        if news:
            self._probes, self.since = 0, now
        elif self.state is Circuit.OPEN and now < self.probe_at:
            return False  # one of many attempts that were in flight together
        self.state, self.code, self._trials = Circuit.OPEN, code, 0
        self._probes += 1
        policy = self._policy
        delay = backoff(self._probes, policy.probe_first, 2.0, policy.probe_ceiling, policy.probe_first / 2)
        self.probe_at = now + max(delay, retry_after or 0.0)
        return news

    def answered(self) -> bool:
        """A delivery got an answer, good or bad: the destination is there. True when that closes the circuit."""
        if self.state is not Circuit.HALF_OPEN:
            return False
        self.state, self._trials, self._probes = Circuit.CLOSED, 0, 0
        return True

    def probed(self) -> None:
        """A probe succeeded: let one delivery try."""
        if self.state is Circuit.OPEN:
            self.state, self._trials = Circuit.HALF_OPEN, 0

    def abandoned(self) -> None:
        """A trial ended, whatever it said of the destination (nothing, when it was overtaken, fenced or given up
        before it was made): while the state is half-open, allow another."""
        self._trials = 0
