"""The dates of a CDA header: what is an HL7 TS, and what only looks like one (R38)."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cda.document import read
from router.cda.times import born_in_future, future_times, is_birth_date, is_noted_time, is_time, wrong_times
from router.french_time import PARIS
from router.xds.datatypes import dtm
from tests.cda.cda_samples import cda

GOOD = [
    "2026",
    "202601",
    "20260105",
    "2026010510",
    "2026010510+0100",
    "202601051015-0400",
    "20260105101530+1400",
    "20260105+0100",
    "20240229",
]
BAD = [
    "2026-01-05",
    "2026-01-05T10:15:30+01:00",
    "2026-01-05T10:15:30Z",
    "20260105T101530",
    "20260105101530Z",
    "20260105101530+01:00",
    "20260105101530+01",
    "20260105101530 +0100",
    "20260230",
    "20250229",
    "20261301",
    "20260001",
    "20260100",
    "2026010524",
    "202601051060",
    "20260105101561",
    "2026010",
    "202",
    "05012026101530",
    "05/01/2026",
    "2026.01.05",
    "20260105.10",
    "20260105101530+2500",
    "20260105101530+0175",
    "20260105101530+0100+0100",
    "٢٠٢٦٠١٠٥",
    "00000101",
    "now",
]


@pytest.mark.parametrize("value", GOOD)
def test_r38_a_ts_of_any_precision_is_a_date(value: str) -> None:
    """R38: year to second, with an offset or without one; the metadata can be made of it."""
    assert is_time(value) and is_birth_date(value)
    assert dtm(value, PARIS).isdecimal()


@pytest.mark.parametrize("value", BAD)
def test_r38_what_is_no_ts_or_no_day_is_refused(value: str) -> None:
    """R38: ISO 8601, `Z`, a colon in the offset, 30 February, an hour 24."""
    assert not is_time(value)


@given(
    st.datetimes(min_value=datetime(1801, 1, 1), max_value=datetime(9998, 1, 1)),
    st.sampled_from(["%Y", "%Y%m", "%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"]),
    st.sampled_from(["", "+0000", "+0100", "-0400", "+1245", "-1200"]),
)
def test_r38_what_is_taken_can_be_sent(moment: datetime, form: str, offset: str) -> None:
    """R38: no date that passes the intake fails later, when metadata are made of it."""
    value = moment.strftime(form).zfill(4) + offset
    assert is_time(value)
    assert dtm(value, PARIS).isdecimal()


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("20240106113623+100", True),
        ("20240106+1", True),
        ("20260105101500+0100", True),
        ("20240106T113623", False),
        ("20240230", False),
        ("20240106113623Z", False),
        ("20240106113623+01:00", False),
        ("+0100", False),
    ],
)
def test_r38_dates_that_nobody_converts_may_have_a_short_offset(value: str, fits: bool) -> None:
    """R38: official examples are signed at `…+100`; the dates of metadata are not so free."""
    assert is_noted_time(value) is fits
    assert is_time("20240106113623+100") is False


@pytest.mark.parametrize("value", ["19500000", "19500300", "1950"])
def test_r38_a_birth_date_may_be_known_in_part(value: str) -> None:
    """R38: registers of some countries give no month or no day; they are written `00`."""
    assert is_birth_date(value)


@pytest.mark.parametrize("value", ["1979-03-28", "28/03/1979", "19790230", "19791328", "19790028T"])
def test_r38_a_birth_date_is_a_date_all_the_same(value: str) -> None:
    """R38: another form, or a day that does not exist."""
    assert not is_birth_date(value)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('<effectiveTime value="20260105101530.250+0100"', '<effectiveTime value="2026-01-05"', "effectiveTime/@value"),
        ('<low value="20260104092200+0100"', '<low value="20260104T0922"', "low/@value"),
        ('<high value="20260104160500+0100"', '<high value="20260230"', "high/@value"),
        ('<birthTime value="19790328"', '<birthTime value="1979-03-28"', "birthTime/@value"),
        ('<author><functionCode displayName="Biologiste"/><time value="20260105101500+0100"',
         '<author><functionCode displayName="Biologiste"/><time value="20260105101500Z"', "author/time/@value"),
    ],
    ids=["effective", "low", "high", "birth", "author"],
)  # fmt: skip
def test_r38_each_date_is_named_by_its_place(old: str, new: str, path: str) -> None:
    """R38: the wrong one alone is reported; the sample as it stands has none."""
    assert wrong_times(read(cda()).header) == []
    [(_, where)] = wrong_times(read(cda(change=((old, new),))).header)
    assert where.endswith(path)


@pytest.mark.parametrize(
    ("value", "future"),
    [("20260105", False), ("20260106", False), ("20260107", True), ("2026", False), ("202602", True), ("2035", True)],
)
def test_r38_a_date_in_the_future_is_named(value: str, future: bool) -> None:
    """R38: more than a day after today, as far as the date is written; a birth date is told apart."""
    today = date(2026, 1, 5)
    low = read(cda(change=(('<low value="20260104092200+0100"', f'<low value="{value}"'),))).header
    assert future_times(low, today) == (["début de l'acte"] if future else []) and not born_in_future(low, today)
    born = read(cda(change=(('<birthTime value="19790328"', f'<birthTime value="{value}"'),))).header
    assert future_times(born, today) == [] and born_in_future(born, today) is future


def test_r38_only_seconds_have_a_fraction() -> None:
    """R38: a date written with dots is not cut down to its year."""
    change = (('<effectiveTime value="20260105101530.250+0100"', '<effectiveTime value="2026.01.05"'),)
    assert wrong_times(read(cda(change=change)).header)
    assert read(cda()).header.effective_time == "20260105101530+0100"
