"""After a restore: what may have left before it is asked of the destination, or held for a person."""

from __future__ import annotations

import pytest

from router.exchange import State
from tests.engine.rig import Rig, play
from tests.engine.sinks import ScriptedSink, delivery


async def _one_of_each(rig: Rig) -> None:
    doubtful, fresh = delivery(1, "a"), delivery(2, "b")
    rig.sink.truth[doubtful.id] = 1  # it had arrived before the disaster
    absent, again = delivery(3, "c"), delivery(4, "d", replay=1)
    rig.publish(doubtful, fresh, absent, again)
    async with rig.running(doubtful=lambda origin: origin.offset in (1, 3, 4)):
        await rig.settled(State.DONE, State.PARKED)


@pytest.mark.parametrize("on_unknown", ["repeat", "hold"])
def test_without_a_way_to_ask_nothing_in_doubt_leaves(on_unknown: str) -> None:
    """A mail or a relay is held; other lanes go on, and so does what a person has ordered to be replayed."""
    rig = play(_one_of_each, ScriptedSink(on_unknown=on_unknown))  # type: ignore[arg-type]
    states = [rig.state(one) for one in rig.published]
    assert states == [State.PARKED, State.DONE, State.PARKED, State.DONE]
    row = rig.ledger.rows[rig.published[0].id]
    assert (row.code, row.outcome_unknown, row.attempts) == ("UNKNOWN-HELD", True, 0)


def test_a_destination_that_can_be_asked_is_asked_first() -> None:
    """What the DMP has is done without a second deposit; what it has not is deposited."""
    rig = play(_one_of_each, ScriptedSink(on_unknown="verify"))
    doubtful, _, absent, _ = rig.published
    assert {rig.state(one) for one in rig.published} == {State.DONE}
    assert set(rig.sink.verified) == {doubtful.id, absent.id}
    assert doubtful.id not in rig.sink.delivered and absent.id in rig.sink.delivered
