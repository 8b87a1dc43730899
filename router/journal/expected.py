"""How many messages of each feed are usual at this hour: what the alert SilentFeed compares with.

The median over the same hour of four weeks before, by the clock on the wall in Paris. A Prometheus would need a month
of history for that, and would be an hour wrong after each change to or from summer time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import islice
from statistics import median
from typing import Final

from router.french_time import PARIS

WEEKS: Final = 4
LEAST: Final = 2
"""Fewer weeks say nothing of what is usual."""
_FARTHEST_DAYS: Final = 7 * 8
"""Public holidays are passed over; so far back a fourth week is looked for."""
_FIXED: Final = frozenset({(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)})
_AFTER_EASTER: Final = frozenset({1, 39, 50})
_SUNDAY: Final = 6

Counts = Callable[[float, float], Mapping[str, int]]
"""(Unix seconds from, to) -> messages received in between, by feed."""


def expected_hour(counts: Counts, feeds: Collection[str], now: float) -> dict[str, float]:
    """Messages that each feed usually receives in the hour that ends now; 0 while less than two weeks are known."""
    hours = [found for begin, end in hours_before(now) if (found := counts(begin, end))]
    if len(hours) < LEAST:
        return dict.fromkeys(feeds, 0.0)
    return {feed: float(median(one.get(feed, 0) for one in hours)) for feed in feeds}


def hours_before(now: float) -> Iterator[tuple[float, float]]:
    """(from, to) in Unix seconds: the same hour of the last four days that were like this one."""
    here = datetime.fromtimestamp(now, PARIS)
    for day in islice(_like(here.date()), WEEKS):
        end = datetime.combine(day, here.time(), PARIS)
        yield end.timestamp() - 3600, end.timestamp()


def _like(day: date) -> Iterator[date]:
    """Days before this one, newest first, on which as much is done: the same weekday, or Sundays and holidays."""
    quiet = is_holiday(day)
    for back in range(1, _FARTHEST_DAYS + 1):
        other = day - timedelta(days=back)
        alike = other.weekday() == _SUNDAY or is_holiday(other) if quiet else other.weekday() == day.weekday()
        if alike and (quiet or not is_holiday(other)):
            yield other


def is_holiday(day: date) -> bool:
    """Whether it is a public holiday in all of France (Code du travail, L3133-1)."""
    return (day.month, day.day) in _FIXED or (day - easter(day.year)).days in _AFTER_EASTER


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876)."""
    century, rest = divmod(year, 100)
    moon = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (year % 19 + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)
