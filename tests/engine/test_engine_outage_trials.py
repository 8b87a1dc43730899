"""Trials of the circuit are no attempts at the delivery."""

from __future__ import annotations

from router.contracts import Attempt
from router.exchange import Delivery, State
from router.sinks.dmp.verdicts import Verdicts
from tests.engine.rig import Rig, play
from tests.engine.sinks import delivery


def test_what_waited_out_an_outage_is_not_given_up_for_it() -> None:
    """Trials during an outage (the probe succeeds, the delivery finds it busy) are no attempts of class `limited`."""

    async def story(rig: Rig) -> None:
        def behaviour(_d: Delivery, attempt: Attempt) -> Exception | None:
            match len(rig.sink.calls):
                case 1 | 2 | 3:
                    return Verdicts({}).fault("XDSRegistryBusy", "TD2.1", attempt.number)
                case 4:
                    return Verdicts({}).fault("FAULT-Receiver", "TD2.1", attempt.number)
            return None

        rig.sink.behaviour = behaviour
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DONE, State.DEAD)
        assert rig.state(rig.published[0]) is State.DONE

    play(story)
