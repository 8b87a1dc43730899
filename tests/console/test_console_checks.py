"""What a night watch relies on: a status reads without colour, and the hour that comes twice is told apart."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from router.console.words import STATUSES
from tests.console.console_world import A, World, text_of
from tests.journal.journal_samples import received

SUMMER = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
"""02:30 for the first time, at +02:00; an hour later it is 02:30 again, at +01:00."""


def test_a_status_reads_without_its_colour() -> None:
    """Each has a shape and a word; no shape stands for two tones, so grey says the same as red and green."""
    tones: dict[str, set[str]] = {}
    for one in STATUSES.values():
        assert one.shape and one.word
        tones.setdefault(one.shape, set()).add(one.tone)
    assert all(len(found) == 1 for found in tones.values()), tones


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_night_in_which_an_hour_comes_twice(world: World, language: str) -> None:
    """Both rows say 02:30 with their offset, the later one first; a filter by one of them agrees with its column."""
    world.clock.at = SUMMER + 5 * 3600
    for name, at in (("ETE", SUMMER), ("HIVER", SUMMER + 3600)):
        line = received(name[0].lower() * 64, at, control_id=name, feed="sil", structures=(A,))
        world.write([replace(line, patients=())])
    client = world.client("marie", language=language)
    page = text_of(client.get("/search?since=2026-10-25&until=2026-10-25"))
    first, second = page.index("02:30:00 +0100"), page.index("02:30:00 +0200")
    assert first < second and page.index("HIVER") < page.index("ETE")
    assert re.search(r"25/10/2026 02:30:00 \+0200 6 h 00|25/10/2026 02:30:00 \+0200 5 h 00", page)
    only = text_of(client.get("/search?since=2026-10-25T02:15%2B01:00&until=2026-10-25"))
    assert "HIVER" in only and "ETE" not in only.replace("HIVER", "")
    both = client.get("/search?since=2026-10-25T02:15%2B02:00&until=2026-10-25T02:45%2B02:00")
    assert "02:30:00 +0200" in both.text and "02:30:00 +0100" not in both.text
    message = client.get(f"/messages/{'h' * 64}").text
    assert 'datetime="2026-10-25T02:30:00+01:00"' in message and "02:30:00 +0100" in text_of(
        client.get(f"/messages/{'h' * 64}")
    )
