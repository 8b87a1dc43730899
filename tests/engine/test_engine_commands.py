"""Replay and discard, where two things meet."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from router.contracts import JOURNAL, RECEIPTS, Attempt, Record, SystemClock
from router.engine.delivery.backlog_loader import BacklogLoader, Wanted
from router.engine.delivery.worker_settings import Limits
from router.errors import OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery, Origin, State
from router.journal.store import Journal
from router.wire import read_journal, read_receipt
from tests.engine.rig import FAST, Rig, journal, play
from tests.engine.sinks import ScriptedSink, delivery


def _told(rig: Rig, folder: Path) -> dict[str, tuple[str, str, str]]:
    opened = Journal(f"sqlite:///{folder / 'journal.db'}", SystemClock())
    try:
        opened.write(list(map(read_journal, rig.bus.scan(JOURNAL))), list(map(read_receipt, rig.bus.scan(RECEIPTS))))
        found = {}
        for d in rig.published:
            for story in opened.story(d.id):
                for one in story.deliveries:
                    found[one.delivery_id] = (one.disposition, one.state, one.code)
        return found
    finally:
        opened.close()


def test_a_refused_replay_leaves_the_disposition(tmp_path: Path) -> None:
    """What was delivered stays delivered in the journal when an event is decided again for its other destination."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("X") if d.payload == b"wrong" else None
        rig.publish(delivery(1, "a", payload=b"wrong"), delivery(1, "b"))
        async with rig.running():
            await rig.settled(State.DEAD, State.DONE)
            rig.publish(delivery(1, "a", payload=b"right", replay=1), delivery(1, "b", replay=1))
            await rig.settled()
            await rig.until(lambda: "REPLAY-DONE" in journal(rig))

    rig = play(story)
    told = _told(rig, tmp_path)
    assert {disposition for disposition, _, _ in told.values()} == {"delivered"}, told


def test_two_discards_at_once(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("X")
        rig.publish(delivery(1, "a"))
        async with rig.running():
            await rig.settled(State.DEAD)
            rig.command(rig.published[0], "discard", "doublon")
            rig.command(rig.published[0], "discard", "doublon")
            await rig.until(lambda: "DISCARD-SUPERSEDED" in journal(rig))

    rig = play(story)
    told = _told(rig, tmp_path)
    assert [disposition for disposition, _, _ in told.values()] == ["dead_lettered"], told


@pytest.mark.parametrize("how", ["command", "decided"])
def test_a_replay_remembers_an_unknown_outcome(how: str) -> None:
    """A dead letter of which an attempt may have arrived: who delivers it again must know, whatever the road."""

    async def story(rig: Rig) -> None:
        def behave(_: Delivery, attempt: Attempt) -> Exception | None:
            if attempt.number == 1:
                return OutcomeUnknown("CUT")
            return Refused("X") if attempt.number == 2 else None

        rig.sink.behaviour = behave
        rig.publish(delivery(1, "a"))
        async with rig.running():
            await rig.settled(State.DEAD)
            assert rig.ledger.rows[rig.published[0].id].outcome_unknown
            if how == "command":
                rig.command(rig.published[0], "replay")
            else:
                rig.publish(delivery(1, "a", replay=1))
            await rig.settled()
        assert rig.sink.calls[-1].attempt.unknown

    play(story)


def test_a_discard_of_a_row_on_its_way_from_the_ledger_meets_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is loaded, sent and done while the command waits for it: the discard is refused, the row stays done."""
    load = BacklogLoader.load

    async def late(self: BacklogLoader, wanted: Wanted) -> None:
        await asyncio.sleep(0.5)  # a busy loop: the command asks the ledger before the load does
        await load(self, wanted)

    monkeypatch.setattr(BacklogLoader, "load", late)

    async def story(rig: Rig) -> None:
        let_go = asyncio.Event()

        class Held(ScriptedSink):
            async def _behave(self, d: Delivery, attempt: Attempt) -> None:
                if d.event_id == "event-0":
                    await let_go.wait()

        rig.sink = Held()
        rig.publish(*(delivery(n) for n in range(4)))
        victim = rig.published[2]
        async with rig.running(limits=Limits(patience=1.0, window=1)):
            await rig.until(lambda: rig.state(victim) is State.READY and len(rig.sink.calls) == 1)
            let_go.set()
            await rig.until(lambda: rig.state(rig.published[1]) is State.DONE)
            rig.command(victim, "discard", "doublon")
            await rig.until(lambda: len(journal(rig)) == 1 and rig.state(rig.published[3]) is State.DONE)
        states = [row.state for row in rig.ledger.history if row.delivery.id == victim.id]
        said = [(r.disposition, r.code) for r in rig.receipts(victim)]
        assert rig.state(victim) is (State.DONE if victim.id in rig.sink.delivered else State.SUPERSEDED), (
            states,
            said,
        )

    play(story)


def test_nothing_passes_what_is_being_discarded() -> None:
    """A crash before a discard is durable: what stood behind it must not have left before it."""

    async def story(rig: Rig) -> None:
        full = Unavailable("FULL", circuit=False)
        outcomes: dict[str, Exception | float] = {"event-1": full, "event-3": 0.4}
        rig.sink.behaviour = lambda d, _: outcomes.get(d.event_id)
        rig.publish(delivery(1, payload=b"one"), delivery(2))
        first, second = rig.published
        slow, read = threading.Event(), rig.bus.read

        def reading(origin: Origin) -> Record | None:
            """The bus answers late: the context of the discarded one's receipt needs its bytes."""
            found = read(origin)
            if slow.is_set() and found is not None and found.value == b"one":
                time.sleep(1.0)
            return found

        rig.bus.read = reading  # type: ignore[method-assign]
        policy = FAST.model_copy(update={"first": 30.0, "ceiling": 30.0})
        worker = rig.worker(policy=policy)
        task = asyncio.create_task(worker.run())
        await rig.until(lambda: rig.state(first) is State.WAITING)
        slow.set()
        rig.publish(delivery(3, "another lane"))  # what is under way elsewhere, and ends meanwhile
        await rig.until(lambda: len(rig.sink.calls) == 2)
        rig.command(first, "discard", "doublon")
        await asyncio.sleep(0.8)
        passed = [s.state for s in rig.ledger.history if s.delivery.id == second.id]
        durable = rig.state(first)
        worker.stop()
        await asyncio.wait_for(task, 10)
        assert durable is State.SUPERSEDED or State.BEGUN not in passed, (durable, passed)

    play(story)


def test_an_order_of_before_a_migration_is_not_later() -> None:
    """`topics migrate`: places begin at 0 again. A deletion of last year overtakes nothing of today."""

    async def story(rig: Rig) -> None:
        lineage: dict[str, Any] = {"lineage": "set", "key": "k"}
        async with rig.running():
            rig.publish(delivery(1, action="initial", document="v1", **lineage))
            await rig.settled()
            rig.publish(delivery(2, action="delete", document="v1", **lineage))
            await rig.settled()
        rig.ledger.outdate("s")
        rig.bus.topics.pop("out.s")  # drained, made anew
        rig.bus.committed.clear()
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        rig.publish(delivery(3, action="initial", document="v2", **lineage))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[2]) in (State.DEAD, State.SUPERSEDED))
        assert rig.state(rig.published[2]) is State.DEAD, rig.ledger.rows[rig.published[2].id].evidence

    play(story)


@pytest.mark.parametrize("action", ["delete", "replace"])
def test_a_deletion_after_a_migration_passes_what_died_before(action: str) -> None:
    """The other way round: rows of before the topic was made anew are earlier than whatever comes now."""

    async def story(rig: Rig) -> None:
        lineage: dict[str, Any] = {"lineage": "set", "key": "k"}
        rig.sink.behaviour = lambda d, _: Refused("X") if d.event_id == "event-2" else None
        rig.publish(
            delivery(0, action="initial", document="v0", **lineage),
            delivery(2, "other lane", action="initial", document="v1", **lineage),
        )
        async with rig.running():
            await rig.settled(State.DEAD, State.DONE)
        rig.ledger.outdate("s")
        rig.bus.topics.pop("out.s")
        rig.bus.committed.clear()
        rig.publish(delivery(3, action=action, document="v1", replaces="v1", **lineage))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[2]) is State.DONE)
            rig.sink.behaviour = lambda _d, _a: None
            rig.command(rig.published[1], "replay")  # what it took the place of must not go out any more
            await rig.until(lambda: len(journal(rig)) == 1)
            await asyncio.sleep(0.2)
        assert rig.published[1].id not in rig.sink.delivered, (journal(rig), rig.sink.delivered)

    play(story)


def dead_after(rig: Rig, calls: int) -> bool:
    return len(rig.sink.calls) == calls and rig.state(rig.published[0]) is State.DEAD


def test_two_commands_read_twice_are_obeyed_once() -> None:
    """As for one: after a crash neither of two replays of the same delivery is obeyed again."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        rig.publish(delivery(1))
        async with rig.running():
            for calls in (1, 2, 3):
                await rig.until(partial(dead_after, rig, calls))
                if calls < 3:
                    rig.command(rig.published[0], "replay")
        rig.bus.committed.clear()
        async with rig.running():
            await asyncio.sleep(0.3)
        assert len(rig.sink.calls) == 3

    play(story)


@pytest.mark.parametrize(("second", "calls"), [("one", 2), ("another", 3)])
def test_an_order_that_is_written_twice_is_obeyed_once(second: str, calls: int) -> None:
    """Who wrote it ended before noting it, and writes it again: it is the same order, whatever its place."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        rig.publish(delivery(1))
        async with rig.running():
            await rig.until(partial(dead_after, rig, 1))
            rig.command(rig.published[0], "replay", order="one")
            await rig.until(partial(dead_after, rig, 2))
            rig.command(rig.published[0], "replay", order=second)
            await asyncio.sleep(0.2)
            await rig.until(partial(dead_after, rig, calls))

    play(story)


def test_what_is_held_goes_before_its_replacement() -> None:
    """D1 for what waits for a person too: its replacement stands in a lane of its own (the IPP was merged)."""

    async def story(rig: Rig) -> None:
        cut = OutcomeUnknown("CUT")
        rig.sink.behaviour = lambda d, a: cut if (d.event_id, a.number) == ("event-1", 1) else None
        async with rig.running():
            rig.publish(delivery(1, "ipp1", action="initial", lineage="docA", document="docA"))
            await rig.settled(State.PARKED)
            rig.publish(delivery(2, "ipp2", action="replace", lineage="docA", document="docB", replaces="docA"))
            await rig.until(lambda: rig.state(rig.published[1]) is not None)
            await asyncio.sleep(0.1)
            assert rig.sink.delivered == []
            rig.command(rig.published[0], "replay")
            await rig.settled()
        assert journal(rig) == ["REPLAY"]
        assert rig.sink.delivered == [one.id for one in rig.published]

    play(story, ScriptedSink(on_unknown="hold"))


def test_a_version_that_died_before_its_replacement_is_not_replayed_after_it() -> None:
    """D1 for a sender without setId: versions are linked by what they replace, their lineages differ."""

    async def story(rig: Rig) -> None:
        def behave(d: Delivery, attempt: Attempt) -> Exception | float | None:
            if d.event_id != "event-1" or attempt.number > 2:
                return None
            return Unavailable("BUSY", circuit=False) if attempt.number == 1 else Refused("X")

        rig.sink.behaviour = behave
        async with rig.running(policy=FAST.model_copy(update={"first": 0.5, "ceiling": 0.5})):
            rig.publish(delivery(1, action="initial", lineage="docA", document="docA"))
            await rig.until(lambda: rig.state(rig.published[0]) is State.WAITING)
            rig.publish(delivery(2, action="replace", lineage="docB", document="docB", replaces="docA"))
            await rig.until(lambda: rig.state(rig.published[1]) is State.DONE)
            rig.command(rig.published[0], "replay")
            await rig.until(lambda: len(journal(rig)) == 1)
            await asyncio.sleep(0.2)
        assert rig.sink.delivered == [rig.published[1].id], (journal(rig), rig.state(rig.published[0]))

    play(story)
