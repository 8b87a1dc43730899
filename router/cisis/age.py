"""How old a patient is at the date of an act, as far as his age can be known (decisions D6)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

#: Years of age (D6).
ADULT: Final = 18
#: How far clocks and time zones of senders may be ahead of ours.
CLOCKS: Final = timedelta(days=1)


def day_of(seconds: float) -> date:
    """The day of a Unix time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date()


def adult_at(birth_dates: Iterable[str], act_dates: Iterable[str], today: date) -> bool:
    """18 or more by every birth date, at every act, and today; an unknown age counts as a minor's (D6)."""
    acts = tuple(act_dates)
    ages = [age_at(birth, act, today) for birth in birth_dates for act in acts]
    return bool(ages) and all(age is not None and age >= ADULT for age in ages)


def age_at(birth_date: str, act_date: str, today: date) -> int | None:
    """Age in whole years at the date of the act, or None when it can't be known (D6: then he counts as a minor).

    The dates are TS; of a birth date without day or month the youngest possible age is given. The sender writes the
    date of the act, so it never makes anybody older than he is today; one after tomorrow gives no age.
    """
    act = _date(act_date)
    year = birth_date[:4]
    if act is None or act > today + CLOCKS or len(year) != 4 or not year.isdecimal():
        return None
    act = min(act, today)
    month = _part(birth_date[4:6]) or 12
    day = _part(birth_date[6:8]) or 31
    age = act.year - int(year) - ((act.month, act.day) < (month, day))
    return age if age >= 0 else None


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _part(text: str) -> int:
    return int(text) if len(text) == 2 and text.isdecimal() else 0
