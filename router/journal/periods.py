"""Periods as people say them, in French time: `today`, `hier`, `2h`, `25/11/2026 14:00`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from router.french_time import PARIS, in_france
from router.journal.criteria import BadCriterion
from router.language import filled

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "j": 86_400.0, "w": 604_800.0}
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|min|m|h|d|j|w)")
_DAYS: Final = {"today": 0, "aujourd'hui": 0, "yesterday": -1, "hier": -1}
_FRENCH: Final = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})(?:[ T](\d\d?):(\d\d))?")
_DAY_ALONE: Final = re.compile(r"\d{4}-?\d\d-?\d\d|\d\d?/\d\d?/\d{4}")


def since(text: str, now: float) -> float | None:
    """Unix time of the first moment meant; None for "". Raises `BadCriterion` for what is no time."""
    return _moment(text, now)[0] if text.strip() else None


def until(text: str, now: float) -> float | None:
    """Unix time after the last moment meant: a day counts whole; None for "". Raises like `since`."""
    return _moment(text, now)[1] if text.strip() else None


def period(since_text: str, until_text: str, now: float) -> tuple[float | None, float | None]:
    """Both. Raises `BadCriterion` when nothing lies between them."""
    first, end = since(since_text, now), until(until_text, now)
    if first is not None and end is not None and first >= end:
        said = filled("nothing lies between {since} and {until}", since=repr(since_text), until=repr(until_text))
        raise BadCriterion("SEARCH-PERIOD", "", said)
    return first, end


def _moment(text: str, now: float) -> tuple[float, float]:
    """(first moment, end) of a day; of a moment, the same twice."""
    word = text.strip().lower().replace("’", "'")
    try:
        if word in _DAYS:
            today = in_france(now).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
            return _day(today + timedelta(days=_DAYS[word]))
        if found := _DURATION.fullmatch(word):
            at = now - float(found[1]) * _UNITS[found[2]]
            return at, at
        moment = _written(text.strip())
        if _DAY_ALONE.fullmatch(text.strip()):
            return _day(moment)
        return moment.timestamp(), moment.timestamp()
    except (ValueError, OverflowError) as error:
        known = "{text} is no time: write today, yesterday, 30m, 2h, 3d, 2026-11-25, 25/11/2026 or 2026-11-25T14:00"
        raise BadCriterion("SEARCH-PERIOD", "", filled(known, text=repr(text[:40]))) from error


def _written(text: str) -> datetime:
    if found := _FRENCH.fullmatch(text):
        day, month, year, hour, minute = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, tzinfo=PARIS)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=PARIS)


def _day(start: datetime) -> tuple[float, float]:
    """A day of 23, 24 or 25 hours."""
    return start.timestamp(), (start + timedelta(days=1)).timestamp()
