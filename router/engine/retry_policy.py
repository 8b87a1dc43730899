"""How a sink waits and gives up: back-off, total budget, what operations say of single codes, rate."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field
from tenacity import RetryCallState, Retrying, wait_exponential_jitter

from router.strict import Strict

Reaction = Literal["retry", "refuse", "hold"]


class CodePolicy(Strict):
    """What operations decided for the fault codes that match a pattern."""

    code: str = Field(description="Pattern of fault codes, as `explain` shows them; `*` stands for anything.")
    then: Reaction = Field(description="`retry` later, `refuse` (dead letter at once) or `hold` for a person.")
    attempts: int | None = Field(None, ge=1, description="At most so many attempts for these codes.")


class RetryPolicy(Strict):
    """Retry in the lane of a sink. Only a lane's own trouble counts: an outage of the whole system does not."""

    first: float = Field(2.0, gt=0, description="Seconds before the second attempt.")
    factor: float = Field(2.0, ge=1, description="Each wait is this many times the one before.")
    ceiling: float = Field(900.0, gt=0, description="Longest wait between two attempts, in seconds.")
    jitter: float = Field(1.0, ge=0, description="Up to so many seconds are added at random, at most half the wait.")
    budget_hours: float = Field(72.0, gt=0, description="Hours of waiting after which the delivery is dead-lettered.")
    codes: tuple[CodePolicy, ...] = Field((), description="Exceptions by code; the first that matches wins.")
    max_in_flight: int = Field(256, ge=1, description="Deliveries in flight at once, one per lane at most.")
    per_second: float | None = Field(None, gt=0, description="At most so many attempts per second.")
    burst: int = Field(1, ge=1, description="Attempts that may start at once when the rate allows.")
    probe_first: float = Field(1.0, gt=0, description="Seconds from an outage to the first probe.")
    probe_ceiling: float = Field(60.0, gt=0, description="Longest time between two probes, in seconds.")

    def rule(self, code: str) -> CodePolicy | None:
        """What operations decided for this code, or None."""
        return next((rule for rule in self.codes if fnmatchcase(code, rule.code)), None)

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds to wait after this many attempts; never less than the destination asked for."""
        delay = backoff(attempts, self.first, self.factor, self.ceiling, self.jitter)
        return max(delay, retry_after or 0.0)


def backoff(attempts: int, first: float, factor: float, ceiling: float, jitter: float) -> float:
    """Exponential wait with jitter, in seconds. `attempts` counts those already made, from 1."""
    state = RetryCallState(_UNUSED, None, (), {})
    state.attempt_number = max(1, min(attempts, 64))
    base = min(first * factor ** (state.attempt_number - 1), ceiling)
    wait = wait_exponential_jitter(multiplier=first, max=ceiling, exp_base=factor, jitter=min(jitter, base / 2))
    return wait(state)


_UNUSED = Retrying()


class TokenBucket:
    """A rate: `per_second` tokens, at most `burst` saved up. Times are monotonic seconds, handed in."""

    def __init__(self, per_second: float | None, burst: int = 1) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at: float | None = None

    def available(self, now: float) -> int | None:
        """Tokens there are now; None when there is no limit."""
        if self._rate is None:
            return None
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return int(self._tokens + 1e-9)

    def spend(self, tokens: int) -> None:
        """Use tokens that `available` said were there."""
        if self._rate is not None:
            self._tokens -= tokens

    def delay(self) -> float:
        """Seconds until the next token."""
        return 0.0 if self._rate is None else max(0.0, (1.0 - self._tokens) / self._rate)
