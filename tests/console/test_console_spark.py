"""24 hours of a feed on the state page: as bars, as a sentence, as numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from router.console.spark import HEIGHT, spark
from router.language import in_language
from tests.console.console_world import A, World, text_of
from tests.journal.journal_samples import received


def test_the_bars_say_the_same_as_the_sentence_and_the_numbers() -> None:
    """The highest bar is as high as the picture, one message is seen, none is none; the last hour is marked."""
    at = datetime(2026, 11, 30, 9, 20, tzinfo=UTC).timestamp()
    with in_language("en"):
        day = spark([0] * 20 + [1, 400, 0, 3], at)
    assert day is not None
    assert [bar.height for bar in day.bars[19:]] == [0, 1, HEIGHT, 0, 1]
    assert [bar.hour for bar in day.bars[20:]] == ["07:00", "08:00", "09:00", "10:00"]
    assert [bar.now for bar in day.bars] == [False] * 23 + [True]
    assert day.sentence == "404 messages in 24 hours, the most at 08:00: 400"
    assert spark([], at) is None


def test_a_quiet_day_has_no_bar() -> None:
    """In words: no message."""
    with in_language("fr"):
        day = spark([0] * 24, 0.0)
    assert day is not None and day.sentence == "aucun message en 24 heures" and not any(one.height for one in day.bars)


def test_the_hour_that_comes_twice_has_its_offset() -> None:
    """On 25 October 2026 there are two hours from 2 to 3, one after the other: each names its own."""
    at = datetime(2026, 10, 25, 3, 30, tzinfo=UTC).timestamp()
    day = spark([1] * 24, at)
    assert day is not None
    assert [bar.hour for bar in day.bars[-6:]] == ["00:00", "01:00", "02:00 +0200", "02:00 +0100", "03:00", "04:00"]


def test_the_state_page_counts_each_feed_by_hour_for_those_who_may_see_it(world: World) -> None:
    """Two messages of three hours ago and one of now; the other hospital's feed is in no number of the page."""
    at = world.clock.at = 1_795_000_000.0 // 3600 * 3600 + 600
    gatherer = world.watch._open()
    gatherer._services.clock = world.clock
    world.watch._open = lambda: gatherer
    for number, age in enumerate((3 * 3600, 3 * 3600 + 60, 5)):
        world.write([received(f"{number}" * 64, at - age, feed="sil", structures=(A,))])
    world.write([received("9" * 64, at - 90, feed="labo", structures=("750100208",))])
    answer = world.client("marie").get("/")
    (said,) = re.findall(r'aria-label="([^"]*in 24 hours[^"]*)"', answer.text)
    assert said.startswith("3 messages in 24 hours, the most at ") and said.endswith(": 2")
    assert answer.text.count("<rect") == 2 and answer.text.count('class="now"') == 1
    assert "The last 24 hours in numbers" in text_of(answer) and "labo" not in answer.text
    world.write([received("8" * 64, at - 1, feed="sil", structures=(A,))])
    assert gatherer._hours("sil", at)[-1] == 2
