"""Time, and who watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from router.measures import Measure

Alert = Callable[[str, Mapping[str, str]], None]
"""(what happened, facts without any value of a message): something a person should look at."""

RECOVERIES: Final = frozenset({"circuit-closed", "feed-goes-on", "mailbox-readable"})
"""Alerts that say that a trouble is over: they are logged as information, and nobody is called."""


class Clock(Protocol):
    """Time is handed in: tests pass one that they move."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float: ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Observer(Protocol):
    """Takes measurements; the closed list of names and labels is `router.measures`."""

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: Measure, value: float, **labels: str) -> None: ...

    def time(self, measure: Measure, seconds: float, **labels: str) -> None: ...


def no_alert(_what: str, _facts: Mapping[str, str]) -> None:
    """An alert that nobody hears."""


class Unobserved:
    """An observer that looks away."""

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: Measure, value: float, **labels: str) -> None: ...

    def time(self, measure: Measure, seconds: float, **labels: str) -> None: ...
