"""How many mails leave in a minute, by mailbox and by operator (mssante §7)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.contracts import OwnTurns
from router.errors import Unavailable
from router.sinks.mssante.pace import WAITING, Pace
from router.sinks.mssante.settings import SLOWED, MssanteConfig
from tests.engine.rig import FAST, Rig
from tests.engine.sinks import ScriptedSink
from tests.engine.sinks import delivery as any_delivery

A, B = "a@hopital-a.mssante.fr", "b@hopital-a.mssante.fr"


class Stopped:
    """A clock that stands still, and waits that end when the test says."""

    def __init__(self, **limits: float) -> None:
        config = MssanteConfig.model_validate({"host": "smtp", "mode": "plain", **limits})
        self.slept: list[float] = []
        self.go = asyncio.Event()
        self.pace = Pace(config, OwnTurns(lambda: 0.0), lambda: 0.0, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.go.wait()

    def ask(self, mailbox: str, *, urgent: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(self.pace.turn(mailbox, urgent=urgent))


async def settled(tasks: list[asyncio.Task[None]], count: int) -> list[asyncio.Task[None]]:
    """Those that ended, once there are so many of them."""
    async with asyncio.timeout(5):
        while len(done := [task for task in tasks if task.done()]) < count:  # noqa: ASYNC110 - other tasks do the work
            await asyncio.sleep(0.001)
    return done


def play(story: Any) -> None:
    asyncio.run(story())


def test_a_mailbox_that_must_wait_holds_up_no_other() -> None:
    """Some of its mails wait here; the others come again at about their time, and another mailbox's leave at once."""

    async def story() -> None:
        played = Stopped(mailbox_mails_per_minute=60)
        tasks = [played.ask(A) for _ in range(1 + WAITING + 4)]  # the first has its turn at once
        done = await settled(tasks, 1 + 4)
        faults = [fault for task in done if isinstance(fault := task.exception(), Unavailable)]
        assert [(one.code, one.circuit, one.counted) for one in faults] == [(SLOWED, False, False)] * 4
        assert [one.retry_after for one in faults] == [WAITING + rank + 1.0 for rank in range(4)]
        await asyncio.wait_for(played.ask(B), 5)
        played.go.set()
        await settled(tasks, len(tasks))

    play(story)


def test_a_deletion_is_in_no_queue() -> None:
    """D1: it takes the next turn, also when a mailbox has sent its other mails back."""

    async def story() -> None:
        played = Stopped(mailbox_mails_per_minute=6)
        tasks = [played.ask(A) for _ in range(WAITING + 1)]
        await settled(tasks, 1)
        deletion = played.ask(A, urgent=True)
        played.go.set()
        await asyncio.wait_for(deletion, 5)

    play(story)


def test_all_mailboxes_of_an_operator_share_its_turns() -> None:
    """Also those of another sink and another process: the turns are the site's."""

    async def story() -> None:
        played, other = Stopped(mails_per_minute=60), Stopped(mails_per_minute=60)
        other.pace._turns = played.pace._turns
        await played.ask(A)
        for task in (played.ask(B), other.ask(A)):
            await asyncio.sleep(0.05)
            assert not task.done()
        assert sorted([*played.slept, *other.slept]) == [1.0, 2.0]
        played.go.set()
        other.go.set()

    play(story)


def test_without_a_limit_nobody_waits() -> None:
    """The default: no figure of any operator is published."""

    async def story() -> None:
        played = Stopped()
        await asyncio.gather(*(played.ask(A) for _ in range(100)))
        assert played.slept == []

    play(story)


@pytest.mark.parametrize(("counted", "ended"), [(False, False), (True, True)])
def test_a_wait_that_the_site_wants_never_ends_a_delivery(counted: bool, ended: bool) -> None:
    """Its seconds are not those of the budget after which a delivery is a dead letter."""
    tries = 6

    def slow(_: Any, attempt: Any) -> Exception | None:
        made = len(rig.sink.calls)
        return Unavailable(SLOWED, "pace", circuit=False, counted=counted, retry_after=0.02) if made < tries else None

    rig = Rig(ScriptedSink(behaviour=slow))

    async def story() -> None:
        rig.publish(any_delivery(1))
        policy = FAST.model_copy(update={"budget_hours": 0.05 / 3600})
        async with rig.running(policy=policy):
            await rig.until(lambda: rig.state(rig.published[0]) in ("done", "dead"))
        assert (rig.state(rig.published[0]) == "dead") is ended

    asyncio.run(story())
