"""A day of a feed as 24 bars: heights tell, no colour is needed, and the same stands in words and numbers beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.french_time import in_france
from router.language import _, plural

WIDTH: Final = 96
HEIGHT: Final = 20
_STEP: Final = WIDTH // 24
_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour. x, y, height: of the picture;  hour: `14:00` on the clock of France, with its offset where it comes
    twice;  now: it has not ended yet
    """

    x: int
    y: int
    height: int
    hour: str
    count: int
    now: bool


@dataclass(frozen=True, slots=True)
class Spark:
    """sentence: what the picture says, for who does not see it"""

    bars: tuple[Bar, ...]
    sentence: str


def spark(hours: Sequence[int], at: float) -> Spark | None:
    """hours: messages of each hour of the clock, that of `at` (Unix seconds) last; None when nobody counted them."""
    if not hours:
        return None
    most = max(hours)
    last = at // _HOUR * _HOUR
    bars = []
    for rank, count in enumerate(hours):
        height = max(1, round(HEIGHT * count / most)) if count else 0
        name = hour(last - (len(hours) - 1 - rank) * _HOUR)
        now = rank == len(hours) - 1
        bars.append(Bar(rank * _STEP, HEIGHT - height, height, name, count, now))
    return Spark(tuple(bars), _sentence(bars, sum(hours), most))


def _sentence(bars: Sequence[Bar], total: int, most: int) -> str:
    if not total:
        return _("no message in 24 hours")
    busiest = next(bar for bar in bars if bar.count == most)
    text = plural("{count} message in 24 hours", "{count} messages in 24 hours", total)
    return text + ", " + _("the most at {hour}: {number}", hour=busiest.hour, number=most)


def hour(at: float) -> str:
    """`14:00`; `02:00 +0200` in the night in which that hour comes twice."""
    here = in_france(at)
    twice = here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset()
    return here.strftime("%H:%M %z" if twice else "%H:%M")
