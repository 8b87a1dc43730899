"""An effect of several parts: what one attempt settled before it failed is remembered durably."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from router.contracts import Attempt, Outcome
from router.errors import OutcomeUnknown, Overtaken, Refused, RouterError, Unavailable
from router.exchange import Delivery, State
from tests.engine.rig import Rig, play
from tests.engine.sinks import ScriptedSink, delivery


@dataclasses.dataclass
class PartsSink(ScriptedSink):
    """Fails its first attempts with these faults, each after it has made one part more."""

    faults: list[RouterError] = dataclasses.field(default_factory=list)
    told: list[Mapping[str, str]] = dataclasses.field(default_factory=list)

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        self.told.append(dict(attempt.progress))
        if len(self.told) <= len(self.faults):
            fault = self.faults[len(self.told) - 1]
            fault.progress = {"made": " ".join(f"part-{n}" for n in range(len(self.told)))}
            raise fault
        return await super().deliver(delivery, attempt)

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        assert attempt.progress["made"]
        return None


@pytest.mark.parametrize("fault", [Unavailable, OutcomeUnknown])
def test_the_next_attempt_is_told_what_was_made(fault: type[RouterError]) -> None:
    """Two attempts fail after one part each; the third is told of both, whatever kind of failure it was."""
    sink = PartsSink(faults=[fault("X-1"), Unavailable("X-2", circuit=False)])

    async def story(rig: Rig) -> None:
        rig.publish(delivery(0, "lane"))
        async with rig.running():
            await rig.settled()

    play(story, sink)
    assert sink.told == [{}, {"made": "part-0"}, {"made": "part-0 part-1"}]


def test_a_dead_letter_keeps_what_was_made_through_its_replay() -> None:
    """A refusal after one part: row and receipt say which, and the replay is told of it."""
    sink = PartsSink(faults=[Refused("X-1")])

    async def story(rig: Rig) -> None:
        rig.publish(delivery(0, "lane"))
        (one,) = rig.published
        async with rig.running():
            await rig.settled(State.DEAD)
            assert rig.receipts(one)[-1].evidence["progress.made"] == "part-0"
            rig.command(one, "replay")
            await rig.until(lambda: rig.state(one) is State.DONE)

    play(story, sink)
    assert sink.told == [{}, {"made": "part-0"}]


def test_what_was_overtaken_after_one_part_keeps_it() -> None:
    """A deletion came between two parts: the superseded row still says that one was made."""
    sink = PartsSink(faults=[Overtaken("OVERTAKEN")])

    async def story(rig: Rig) -> None:
        rig.publish(delivery(0, "lane"))
        (one,) = rig.published
        async with rig.running():
            await rig.settled(State.SUPERSEDED)
            assert rig.receipts(one)[-1].evidence["progress.made"] == "part-0"

    play(story, sink)
