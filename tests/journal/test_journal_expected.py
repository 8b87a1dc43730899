"""What is usual at this hour: the same hour of four weeks, on the clock of Paris, holidays apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from router.contracts import SystemClock
from router.exchange import JournalEntry
from router.french_time import PARIS
from router.journal.expected import easter, expected_hour, hours_before, is_holiday
from router.journal.store import Journal


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


def ends(text: str) -> list[str]:
    """The hours compared with this moment, as wall clock in Paris."""
    return [f"{datetime.fromtimestamp(end, PARIS):%Y-%m-%d %H:%M}" for _, end in hours_before(at(text))]


def test_the_hour_stays_on_the_wall_clock_over_the_end_of_summer_time() -> None:
    """On 25 October 2026 the clocks go back: 10:00 is compared with 10:00, 25 hours of UTC apart or not."""
    assert ends("2026-11-04 10:00") == ["2026-10-28 10:00", "2026-10-21 10:00", "2026-10-14 10:00", "2026-10-07 10:00"]


def test_a_public_holiday_is_no_usual_day() -> None:
    """11 November 2026 is passed over; on a holiday itself, Sundays and holidays are looked at."""
    assert "2026-11-11 10:00" not in ends("2026-11-18 10:00")
    assert len(ends("2026-11-18 10:00")) == 4
    assert ends("2026-11-11 10:00") == ["2026-11-08 10:00", "2026-11-01 10:00", "2026-10-25 10:00", "2026-10-18 10:00"]


@pytest.mark.parametrize("day", ["2026-04-06", "2026-05-14", "2026-05-25", "2025-04-21", "2038-06-14", "2026-07-14"])
def test_holidays_that_move_with_easter_are_known(day: str) -> None:
    """Easter Monday, Ascension, Whit Monday; and a fixed one."""
    assert is_holiday(date.fromisoformat(day))
    assert not is_holiday(date(2026, 4, 5))
    assert [easter(year) for year in (1954, 2000, 2027)] == [date(1954, 4, 18), date(2000, 4, 23), date(2027, 3, 28)]


def test_the_median_forgives_one_odd_week() -> None:
    """A strike a week ago, or a flood, changes what is usual by little; a feed that said nothing is 0."""
    weeks = iter([{"labo": 3}, {"labo": 100}, {"labo": 110}, {"labo": 900}])
    counts: Callable[[float, float], dict[str, int]] = lambda _begin, _end: next(weeks)  # noqa: E731
    assert expected_hour(counts, ["labo", "ris"], at("2026-11-04 10:00")) == {"labo": 105, "ris": 0}


def test_one_week_says_nothing_of_what_is_usual() -> None:
    """A router that runs for a week alarms nobody."""
    weeks = iter([{"labo": 50}, {}, {}, {}])
    assert expected_hour(lambda _begin, _end: next(weeks), ["labo"], at("2026-11-04 10:00")) == {"labo": 0}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    yield journal
    journal.close()


def test_the_journal_counts_what_each_feed_received(journal: Journal) -> None:
    """From the first second on, before the last."""
    end = at("2026-11-04 10:00")
    moments = {"a": ("labo", end - 3600), "b": ("labo", end - 1), "c": ("labo", end), "d": ("ris", end - 5)}
    entries = [
        JournalEntry(event_id=name, kind="received", at=when, feed=feed) for name, (feed, when) in moments.items()
    ]
    journal.write(entries, [])
    assert journal.received(end - 3600, end) == {"labo": 2, "ris": 1}
