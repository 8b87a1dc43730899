"""Times are shown as the clocks of France tell them, on any machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

import router
from router.cli.times import moment
from router.french_time import clock, day


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
def _elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    assert "TZ" not in os.environ or os.environ["TZ"] != request.param
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
def test_the_zone_of_the_machine_changes_nothing() -> None:
    """A container has UTC, a browser may have anything."""
    evening = datetime.fromisoformat("2026-11-24T23:30:00+00:00").timestamp()
    assert (day(evening), clock(evening), moment(evening)) == ("25/11/2026", "00:30:00", "25/11/2026 00:30:00")


def test_the_hour_that_comes_twice_has_its_offset() -> None:
    """In the night of 25 October 2026; and thousandths stand before it."""
    first, second = (datetime.fromisoformat(f"2026-10-25T0{hour}:30:00.250+00:00").timestamp() for hour in (0, 1))
    assert (clock(first), clock(second)) == ("02:30:00 +0200", "02:30:00 +0100")
    assert clock(first, thousandths=True) == "02:30:00,250 +0200"


def test_no_time_is_told_in_the_zone_of_the_machine() -> None:
    """A container runs in UTC: every local time is asked of `router.french_time`."""
    stamped = r"\.fromtimestamp\([^,()]*(\([^()]*\))?[^,()]*\)"
    bare = re.compile(stamped + r"|\.astimezone\(\)|\.localtime\(|datetime\.now\(\)|\.today\(\)")
    found = [str(path) for path in Path(router.__path__[0]).rglob("*.py") if bare.search(path.read_text("utf-8"))]
    assert found == []
