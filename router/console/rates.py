"""How often one person, or one address of the network, may ask for something."""

from __future__ import annotations

from functools import cache
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

LOGIN_OF_SOURCE: Final = "30/5 minutes"
LOGIN_OF_NAME: Final = "10/5 minutes"
"""The account's own lock-out comes first; this one also holds for names that no account has."""


class Rates:
    """Counts in memory: each process of the console has its own. Any thread."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def login(self, name: str, source: str) -> bool:
        """One more try to log in with this name."""
        return self.allow(LOGIN_OF_NAME, "login of", name.casefold()[:100], source)

    def allow(self, rate: str, *who: str) -> bool:
        """Count one more; False when it is too many. `rate`: `60/minute`, "" for no limit."""
        return not rate or self._limiter.hit(_parsed(rate), *who)


@cache
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)
