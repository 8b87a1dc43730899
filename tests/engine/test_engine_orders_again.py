"""An order to decide again, whose console ends between any two durable writes: obeyed once, not twice, not lost."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from router.contracts import Outgoing
from router.engine.dead_letters.listing import DeadLetter
from router.engine.dead_letters.operator_commands import Answer, discard, replay
from router.engine.dead_letters.paging import letters
from router.engine.pipeline.worker import PipelineWorker
from router.errors import Refused
from router.exchange import Event, State
from router.wire import event_record, read_delivery
from tests.engine.crash import Relay
from tests.engine.rig import Rig, journal, play


class _Kept:
    """A producer whose process ends right before the write."""

    def publish(self, _records: list[Outgoing]) -> list[object]:
        raise KeyboardInterrupt


def decide(rig: Rig) -> None:
    """The pipeline stage works until nothing is left for it."""
    worker = PipelineWorker(rig.bus, rig.ledger, ["f"], lambda _: [Relay()], member="pipelines-0")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    end = time.monotonic() + 5
    while any(rig.bus.lag("pipelines").values()) or not rig.bus.lag("pipelines"):
        assert time.monotonic() < end
        time.sleep(0.005)
    worker.stop()
    thread.join(5)


async def deliver(rig: Rig, calls: int) -> None:
    """The sink works until it was called so often, and what it was given has ended."""
    async with rig.running():
        await rig.until(lambda: len(rig.sink.calls) >= calls)
        await rig.until(lambda: all(row.state in (State.DEAD, State.DONE) for row in rig.ledger.rows.values()))
        await asyncio.sleep(0.1)


def again(rig: Rig, found: list[DeadLetter], order: str, producer: object = None) -> list[Answer]:
    to = producer or rig.bus.producer("console")
    return list(replay(rig.bus, rig.ledger, found, by="marie", order=order, decide_again=True, producer=to))  # type: ignore[arg-type]


STAGES = ("nothing was written", "written", "decided", "failed again", "delivered")
"""How far the order came before the console noted it, or did not."""


@pytest.mark.parametrize("came", STAGES)
def test_an_order_to_decide_again_is_obeyed_once(came: str) -> None:
    """The console ends before or after each write, and orders again what it has not noted: one more attempt in all."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda *_: Refused("X")
        rig.bus.producer("gateway").publish([event_record(Event("id-1", "f", "lane", b"MSH|", {}))])
        await asyncio.to_thread(decide, rig)
        await deliver(rig, 1)
        found = letters(rig.bus, rig.ledger)
        if came == "nothing was written":
            with pytest.raises(KeyboardInterrupt):
                again(rig, found, "one", _Kept())
        else:
            assert [one.accepted for one in again(rig, found, "one")] == [True]
        if came in STAGES[2:]:
            await asyncio.to_thread(decide, rig)
        if came in STAGES[3:]:
            if came == "delivered":
                rig.sink.behaviour = lambda *_: None
            await deliver(rig, 2)
        assert [(one.accepted, one.code) for one in again(rig, found, "one")] == [(True, "")], "after the crash"
        await asyncio.to_thread(decide, rig)
        await deliver(rig, 2)
        assert len(rig.sink.calls) == 2
        assert "REPLAY-DONE" not in journal(rig) and "REPLAY-PENDING" not in journal(rig)
        assert [one.accepted for one in again(rig, found, "another", _Kept())] == [False], "an old list"
        if came != "delivered":
            rig.sink.behaviour = lambda *_: None
            assert [one.accepted for one in again(rig, letters(rig.bus, rig.ledger), "another")] == [True]
            await asyncio.to_thread(decide, rig)
            await deliver(rig, 3)
        assert [row.state for row in rig.ledger.rows.values()] == [State.DONE]

    play(story)


@pytest.mark.parametrize("came", ["nothing was written", "written", "failed again"])
@pytest.mark.parametrize("act", ["replay", "discard"])
def test_an_order_about_what_has_no_row_is_obeyed_once(act: str, came: str) -> None:
    """A pipeline refused it: the record that resolves it says which order that was; any other one comes too late."""
    rig = play(_nothing)
    rig.bus.producer("gateway").publish([event_record(Event("id-1", "f", "lane", b"bad", {}))])
    decide(rig)
    found = letters(rig.bus, rig.ledger)

    def ordered(order: str, producer: object = None) -> list[tuple[bool, str]]:
        to = producer or rig.bus.producer("console")
        if act == "replay":
            given = replay(rig.bus, rig.ledger, found, by="marie", order=order, producer=to)  # type: ignore[arg-type]
        else:
            given = discard(rig.bus, rig.ledger, found, by="marie", reason="r", order=order, producer=to)  # type: ignore[arg-type]
        return [(one.accepted, one.code) for one in given]

    if came == "nothing was written":
        with pytest.raises(KeyboardInterrupt):
            ordered("one", _Kept())
    else:
        assert ordered("one") == [(True, "")]
    if came == "failed again":
        decide(rig)
    assert ordered("one") == [(True, "")], "after the crash"
    decide(rig)
    assert len(letters(rig.bus, rig.ledger)) == (act == "replay")
    assert journal(rig).count("DISCARD") == (act == "discard")
    assert len(list(rig.bus.scan("in.f"))) == 1 + (act == "replay")
    for late in ("another", ""):
        assert ordered(late, _Kept()) == [(False, "REPLAY-CHANGED")], "a stale page of somebody else"


async def _nothing(_: Rig) -> None:
    return


def test_the_order_stands_in_the_delivery_that_is_decided_again_and_in_no_other() -> None:
    """So that its row can remember it; nobody else's headers say one, nor does a dead letter that fails again."""
    rig = play(_nothing)
    sent = Event("id-1", "f", "lane", b"MSH|", {"order": "planted"})
    rig.bus.producer("gateway").publish([event_record(sent)])
    decide(rig)
    assert [read_delivery(one).order for one in rig.bus.scan("out.s")] == [""]
