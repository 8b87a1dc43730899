"""Second-order findings between the engine and its sinks."""

from __future__ import annotations

from router.errors import OutcomeUnknown
from router.exchange import State
from tests.engine.rig import FAST, Rig, play
from tests.engine.sinks import delivery


def test_what_is_decided_again_may_have_been_made_already() -> None:
    """A dead letter of unknown outcome: the DMP answers `duplicate` to its repeat, a success as for a replay."""

    async def story(rig: Rig) -> None:
        rig.publish(delivery(1))
        policy = FAST.model_copy(update={"budget_hours": 1e-9})
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if not d.replay else None
        async with rig.running(policy=policy):
            await rig.settled(State.DEAD)
            rig.publish(delivery(1, replay=1))
            await rig.settled(State.DONE)
        assert rig.sink.calls[-1].attempt.unknown

    play(story)
