"""The soak in small: a few kills of the real router under load, from fixed seeds (`make soak` is the long one)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.run import Plan, Result, play
from benchmarks.soak.traffic import Pace

pytestmark = pytest.mark.alone

PACE = Pace(relays=2, documents=2)
HOSTILE = {
    "half frames", "slow bodies", "odd ends of frames", "endless fields", "poison mails", "forged reports",
    "hostile files",
}  # fmt: skip


def _checked(result: Result, kills: int) -> None:
    """Nothing was lost, duplicated, inverted or told wrongly, and there was something to lose."""
    assert result.violations == [], "\n\n".join([result.last_line, *result.stories.values()])
    assert sum(result.kills.values()) == kills
    assert result.counts["relays"] > 0
    assert result.counts["deposits"] > 0
    assert result.counts["mails"] > 0
    assert set(result.hostile) == HOSTILE
    assert result.waits is not None
    assert {one.way for one in result.waits.among} == {"relais", "sil", "folder"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_on_the_embedded_bus(tmp_path: Path) -> None:
    """Workers and the whole router killed, frozen, cut and attacked under load: no promise is broken.

    The bus is sealed and the archive kept: the master key changes meanwhile, and nothing stands on the disk in clear.
    """
    result = play(tmp_path, Plan(kills=8, seed=11, pace=PACE, besieged=8, sealed=True))
    _checked(result, 8)
    assert result.sealed["rotations"] == 1 and result.sealed["contents"] > 0 and result.sealed["bytes read"] > 0


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_nothing_is_lost_on_kafka(tmp_path: Path) -> None:
    """The same on Kafka and PostgreSQL, whose servers fall too."""
    _checked(play(tmp_path, Plan(kills=6, seed=11, bus="kafka", pace=PACE, besieged=6)), 6)
