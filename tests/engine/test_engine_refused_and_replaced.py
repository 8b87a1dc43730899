"""A refusal is told as what it is, also when a later version or a deletion of the document is known (decisions D1)."""

from __future__ import annotations

import asyncio

import pytest

from router.contracts import Attempt
from router.engine.retry_policy import RetryPolicy
from router.errors import Refused, Unavailable
from router.exchange import Delivery, Disposition, ReceiptKind, State
from tests.engine.rig import Rig, play
from tests.engine.test_engine_supersession import version

UNKNOWN_BOX = Refused("MSS-550", "RCPT", "boîte inconnue")
GIVEN_UP = RetryPolicy(first=0.02, factor=1.0, ceiling=0.02, jitter=0.0, budget_hours=0.04 / 3600)


def ends(rig: Rig, d: Delivery) -> list[tuple[Disposition | None, str]]:
    return [(one.disposition, one.code) for one in rig.receipts(d) if one.kind is ReceiptKind.DELIVERY]


async def refused_behind(
    rig: Rig, gate: asyncio.Event, first: Delivery, later: Delivery, fault: Exception = UNKNOWN_BOX
) -> None:
    """The first version is refused at last, its later one having come while its attempt was on the wire."""
    await rig.until(lambda: len(rig.sink.calls) == 1)
    rig.publish(later)
    await rig.until(lambda: rig.state(later) is not None)
    rig.sink.behaviour = lambda d, _: fault if d.id == first.id else None
    gate.set()


def held(rig: Rig, first: Delivery) -> asyncio.Event:
    """The first attempt of the first version stays on the wire until this is set."""
    gate = asyncio.Event()

    async def deliver(d: Delivery, attempt: Attempt) -> None:
        if d.id == first.id:
            await gate.wait()
        if fault := rig.sink.behaviour(d, attempt):
            assert isinstance(fault, Exception)
            raise fault

    rig.sink.effect = deliver
    rig.publish(first)
    return gate


@pytest.mark.parametrize("early", [False, True], ids=["refused after", "refused before"])
def test_a_refusal_that_no_later_version_tells_stays_a_dead_letter(early: bool) -> None:
    """The replacement goes to somebody else: nobody would learn that this address is wrong."""

    async def story(rig: Rig) -> None:
        first, second = version(1, "initial", "dr-b"), version(2, "replace", "dr-a")
        gate = held(rig, first)
        async with rig.running():
            if early:
                rig.sink.behaviour = lambda d, _: UNKNOWN_BOX if d.id == first.id else None
                gate.set()
                await rig.until(lambda: rig.state(first) is State.DEAD)
                rig.publish(second)
            else:
                await refused_behind(rig, gate, first, second)
            await rig.until(lambda: rig.state(second) is State.DONE and rig.state(first) is State.DEAD)
        assert ends(rig, first) == [(Disposition.DEAD_LETTERED, "MSS-550")]
        assert len(list(rig.bus.scan("dlq.s"))) == 1

    play(story)


@pytest.mark.parametrize("action", ["replace", "delete"])
def test_the_refusal_is_told_before_the_later_version_takes_its_place(action: str) -> None:
    """The same recipient: the dead letter is superseded, as D1 says, once its refusal stands in the story."""

    async def story(rig: Rig) -> None:
        first, second = version(1, "initial"), version(2, action)
        gate = held(rig, first)
        async with rig.running():
            await refused_behind(rig, gate, first, second)
            await rig.until(lambda: rig.state(second) is State.DONE)
        assert rig.state(first) is State.SUPERSEDED
        assert ends(rig, first) == [(Disposition.DEAD_LETTERED, "MSS-550"), (Disposition.SUPERSEDED, "MSS-550")]
        assert rig.receipts(first)[-1].evidence["before"] == "dead"

    play(story)


@pytest.mark.parametrize("then", ["hold", "retry"])
def test_a_rule_of_the_site_does_not_turn_a_refusal_into_a_replacement(then: str) -> None:
    """What would be held or tried again is over once a deletion came: the refusal stands in the story all the same."""

    async def story(rig: Rig) -> None:
        first, second = version(1, "initial"), version(2, "delete")
        gate = held(rig, first)
        rule = {"code": "MSS-550", "then": then}
        async with rig.running(policy=RetryPolicy.model_validate({"first": 0.02, "jitter": 0.0, "codes": [rule]})):
            await refused_behind(rig, gate, first, second)
            await rig.until(lambda: rig.state(second) is State.DONE)
        assert ends(rig, first)[0] == (Disposition.DEAD_LETTERED, "MSS-550")

    play(story)


def test_a_wait_that_is_given_up_is_superseded() -> None:
    """A full mailbox says nothing of the address: the later version ended it."""

    async def story(rig: Rig) -> None:
        first, second = version(1, "initial"), version(2, "replace")
        full = Unavailable("MSS-452", circuit=False)
        gate = held(rig, first)
        async with rig.running(policy=GIVEN_UP):
            await refused_behind(rig, gate, first, second, full)
            await rig.until(lambda: rig.state(second) is State.DONE)
        assert ends(rig, first) == [(Disposition.SUPERSEDED, "MSS-452")]

    play(story)
