"""A refusal that only its sender needs to know of raises no alarm (dmp §9)."""

from __future__ import annotations

import pytest

from router.contracts import Unobserved
from router.errors import Refused
from router.exchange import State
from router.measures import Measure
from tests.engine.rig import Rig, play
from tests.engine.sinks import ScriptedSink, delivery


class Counted(Unobserved):
    """Adds up what is counted."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None:
        self.counts[measure] = self.counts.get(measure, 0) + amount


@pytest.mark.parametrize("business", [True, False])
def test_a_business_refusal_is_counted_apart(business: bool) -> None:
    """The sender's receipt says no in both cases; only the other kind counts among the dead letters of the alarm."""
    observer = Counted()

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("DMP-DMPClosed", business=business)
        rig.publish(delivery(0, "lane"))
        async with rig.running(observer=observer):
            await rig.settled(State.DEAD)
        assert rig.receipts(rig.published[0])[-1].code == "DMP-DMPClosed"

    play(story, ScriptedSink())
    assert observer.counts.get("dead_letters_total", 0) == (0 if business else 1)
    assert observer.counts.get("not_applicable_total", 0) == (1 if business else 0)
