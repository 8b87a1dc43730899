"""Two rules of the engine at once: held and then deleted, replayed and then parked, moved and then made."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Fence, Record, Row
from router.engine.delivery.worker_settings import Limits
from router.engine.retry_policy import RetryPolicy
from router.errors import OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery, Origin, State
from router.ledger.store import SqlLedger
from tests.engine.rig import FAST, Rig, journal, play
from tests.engine.sinks import ScriptedSink, delivery

FULL = Unavailable("MSS-452", circuit=False)
BRIEF = Limits(hold_after=0.03, sweep=0.03, patience=1.0)


def version(number: int, action: str, lane: str = "dr-a", *, lineage: str = "set-1", **fields: Any) -> Delivery:
    """One version of a document for one recipient."""
    fields = {"document": f"doc-{number}"} | fields
    return delivery(number, lane, key="doc", destination=lane, action=action, lineage=lineage, **fields)


def test_a_lane_goes_on_once_the_held_head_that_left_memory_is_deleted() -> None:
    """A document is held for a person, its lane leaves memory, its deletion comes: what stands behind it goes."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if d.event_id == "event-1" else None
        held, behind = version(1, "initial"), version(2, "initial", lineage="set-2")
        rig.publish(held, behind)
        async with rig.running(limits=BRIEF):
            await rig.until(lambda: rig.state(held) is State.PARKED)
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 2)
            await asyncio.sleep(0.1)
            withdrawn = version(3, "delete")
            rig.publish(withdrawn)
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            assert rig.state(held) is State.SUPERSEDED
            again = version(4, "initial")
            rig.publish(again)
            await rig.until(lambda: rig.state(behind) is State.DONE and rig.state(again) is State.DONE, 2.0)

    play(story, ScriptedSink(on_unknown="hold"))


def test_a_lane_goes_on_once_a_held_deletion_is_overtaken_by_another() -> None:
    """A deletion is held, what stands behind it has left memory, a second deletion comes: the lane goes on."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if d.event_id == "event-1" else None
        held, behind = version(1, "delete"), version(2, "initial", lineage="set-2")
        rig.publish(held, behind)
        async with rig.running(limits=BRIEF):
            await rig.until(lambda: rig.state(held) is State.PARKED)
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 1)
            await asyncio.sleep(0.1)
            rig.publish(version(3, "delete"))
            await rig.until(lambda: rig.state(rig.published[-1]) is State.DONE)
            assert rig.state(held) is State.SUPERSEDED
            await rig.until(lambda: rig.state(behind) is State.DONE, 2.0)

    play(story, ScriptedSink(on_unknown="hold"))


def test_bytes_of_what_a_deletion_supersedes_leave_the_budget() -> None:
    """Documents behind a full mailbox keep their bytes in memory; once they are superseded, nobody does."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: FULL if d.action == "initial" else None
        filed = [version(n, "initial", payload=b"x" * 1000) for n in range(1, 6)]
        rig.publish(*filed)
        async with rig.running() as worker:
            await rig.until(lambda: rig.state(filed[0]) is State.WAITING)
            rig.publish(version(9, "delete"))
            await rig.until(lambda: rig.state(rig.published[-1]) is State.DONE)
            await asyncio.sleep(0.1)
            assert worker.condition().pending == {}
            assert worker.condition().bytes_held == 0

    play(story)


def test_what_is_parked_while_its_lane_goes_on_stays_done() -> None:
    """New messages of a blocked strict lane are parked one by one; meanwhile its dead letter is delivered after all."""

    async def story(rig: Rig) -> None:
        healed, gate = threading.Event(), asyncio.Event()

        async def deliver(d: Delivery, _: object) -> None:
            if d.event_id in ("event-1", "event-2") and not healed.is_set():
                raise Refused("X")
            if d.event_id == "event-2":
                await gate.wait()

        rig.sink.effect = deliver
        same: dict[str, Any] = {"strict": True, "key": "k"}
        dead, other = delivery(2, "late", **same), delivery(1, "busy", **same)
        rig.publish(other, dead)
        async with rig.running():
            await rig.until(lambda: rig.state(other) is State.DEAD and rig.state(dead) is State.DEAD)
            healed.set()
            rig.command(dead, "replay")
            await rig.until(lambda: rig.sink.calls[-1].attempt.number == 2)
            write = rig.ledger.write

            def slowly(opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
                time.sleep(0.02)
                return write(opens, saves, fence)

            rig.ledger.write = slowly  # type: ignore[method-assign]
            behind = delivery(99, "late", **same)
            rig.publish(*(delivery(n, "busy", **same) for n in range(3, 40)), behind)
            await rig.until(lambda: any(row.code == "PREDECESSOR" for row in rig.ledger.rows.values()))
            gate.set()
            await rig.until(lambda: behind.id in rig.sink.delivered)
            await rig.until(lambda: all(rig.state(d) is State.PARKED for d in rig.published[2:-1]), 20.0)
            await asyncio.sleep(0.2)
            assert rig.state(behind) is State.DONE
        async with rig.running():
            await asyncio.sleep(0.3)
        assert rig.sink.delivered.count(behind.id) == 1

    play(story)


def test_rows_on_their_way_to_held_are_not_delivered_meanwhile() -> None:
    """The sweep comes to a lane whose head has just gone in flight: what is done behind it stays done."""

    async def story(rig: Rig) -> None:
        opened, asked, gate = threading.Event(), threading.Event(), asyncio.Event()

        async def deliver(d: Delivery, _: object) -> None:
            if not opened.is_set():
                raise FULL
            if d.event_id == "event-2000":
                await gate.wait()

        rig.sink.effect = deliver
        window = 2
        first = [delivery(n, "one", key="k") for n in range(1000, 1002)]
        second = [delivery(n, "two", key="k") for n in range(2000, 2006)]
        read = rig.bus.read

        def slowly(origin: Origin) -> Record | None:
            record = read(origin)
            if asked.is_set() or record is None:
                time.sleep(0.05)
            return record

        rig.publish(*first, *second)
        async with rig.running(limits=Limits(hold_after=0.2, sweep=0.05, patience=1.0, window=window)):
            await rig.until(lambda: rig.state(first[0]) is State.WAITING and rig.state(second[0]) is State.WAITING)
            asked.set()
            rig.bus.read = slowly  # type: ignore[method-assign]
            await rig.until(lambda: len(list(rig.bus.topics.get("held.s", [[]])[0])) >= 0)
            await asyncio.sleep(0.22)
            opened.set()
            await asyncio.sleep(0.12)
            gate.set()
            await rig.until(lambda: all(d.id in rig.sink.delivered for d in rig.published), 10.0)
            await asyncio.sleep(0.5)
            assert [rig.state(d) for d in rig.published] == [State.DONE] * 8

    play(story)


def test_a_dead_letter_replayed_before_its_long_lane_left_memory_is_delivered() -> None:
    """More messages of a strict lane than memory holds wait behind a dead letter that is replayed after a start."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: Refused("X") if d.event_id == "event-0" and a.number == 1 else None
        rig.publish(*(delivery(n, strict=True) for n in range(10)))
        limits = Limits(patience=1.0, window=4, sweep=0.1, hold_after=0.1)
        async with rig.running(limits=limits):
            await rig.until(lambda: rig.state(rig.published[0]) is State.DEAD)
        rig.command(rig.published[0], "replay")
        async with rig.running(limits=limits):
            await rig.until(lambda: rig.state(rig.published[0]) is not State.DEAD)
            await rig.settled()
        assert rig.sink.delivered == [d.id for d in rig.published]

    play(story)


def test_what_was_deleted_does_not_come_back_by_the_replay_of_its_event() -> None:
    """The event died in its pipeline, its deletion was made, then a person replays the event (D1)."""

    async def story(rig: Rig) -> None:
        withdrawn = version(2, "delete", document="doc-1")
        rig.publish(withdrawn)
        async with rig.running():
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            again = version(1, "initial", replay=1)  # `created`: when its event was accepted
            assert again.created < withdrawn.created
            assert again.origin.offset < withdrawn.origin.offset
            rig.publish(again)
            await rig.until(lambda: rig.state(again) in (State.DONE, State.SUPERSEDED))
        assert rig.sink.delivered == [withdrawn.id]

    play(story)


def test_a_version_that_died_after_its_replacement_came_is_not_replayed() -> None:
    """Versions without a setId are linked by their parent only: the first dies while the second stands behind it."""

    async def story(rig: Rig) -> None:
        came = threading.Event()
        rig.sink.behaviour = lambda d, _: (Refused("X") if came.is_set() else FULL) if d.action == "initial" else None
        old = version(1, "initial", lineage="doc-1")
        new = version(2, "replace", lineage="doc-2", replaces="doc-1")
        rig.publish(old)
        async with rig.running():
            await rig.until(lambda: rig.state(old) is State.WAITING)
            rig.publish(new)
            await rig.until(lambda: rig.state(new) is not None)
            came.set()
            await rig.until(lambda: rig.state(new) is State.DONE)
            rig.sink.behaviour = lambda _d, _a: None
            rig.command(old, "replay")
            await rig.until(lambda: bool(journal(rig)))
            await asyncio.sleep(0.2)
        assert rig.sink.delivered == [new.id]
        assert journal(rig) == ["REPLAY-OVERTAKEN"]

    play(story)


@pytest.mark.parametrize("held", [False, True])
def test_replacement_waits_for_an_unknown_outcome_that_left_memory(held: bool) -> None:
    """As in memory: the new version goes when it is known what became of the old one in another lane."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if d.action == "initial" else None
        slow = RetryPolicy(first=60.0, factor=1.0, ceiling=60.0, jitter=0.0) if not held else FAST
        old = delivery(1, "old", action="initial", document="doc-1", lineage="doc-1")
        new = delivery(2, "new", action="replace", document="doc-2", replaces="doc-1")
        rig.publish(old)
        async with rig.running(limits=BRIEF, policy=slow):
            await rig.until(lambda: rig.state(old) in (State.UNKNOWN, State.PARKED))
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 1)
            await asyncio.sleep(0.1)
            rig.publish(new)
            await asyncio.sleep(0.3)
        assert rig.sink.delivered == []

    play(story, ScriptedSink(on_unknown="hold" if held else "repeat"))


def test_what_is_in_flight_while_a_new_decision_is_written_is_not_made_again() -> None:
    """After a crash it reads again: new decisions on dead letters, then a message that it is just repeating."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        dead, other = delivery(1, "a", key="k"), delivery(3, "c", key="k")
        rig.publish(dead, other)
        async with rig.running():
            await rig.until(lambda: rig.state(dead) is State.DEAD and rig.state(other) is State.DEAD)
        rig.sink.behaviour = lambda d, _: 0.1 if d.event_id == "event-2" else None
        begun = delivery(2, "b", key="k")
        rig.publish(delivery(1, "a", key="k", replay=1), delivery(3, "c", key="k", replay=1), begun)
        number, at = (
            rig.bus.partition_of("out.s", "k"),
            len(rig.bus.topics["out.s"][rig.bus.partition_of("out.s", "k")]) - 1,
        )
        rig.ledger.open(  # a crash right after the rows of a batch were opened
            [
                Row(
                    delivery=delivery(2, "b", key="k", payload=b""),
                    partition=number,
                    sequence=at,
                    bytes_at=Origin("out.s", number, at),
                    state=State.BEGUN,
                    attempts=1,
                )
            ]
        )
        write = rig.ledger.write

        def slowly(opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
            if any(one.delivery.replay for one in saves):
                time.sleep(0.1)  # a disk that takes its time
            return write(opens, saves, fence)

        rig.ledger.write = slowly  # type: ignore[method-assign]
        async with rig.running():
            await rig.until(lambda: rig.state(dead) is State.DONE and rig.state(begun) is State.DONE)
            await asyncio.sleep(0.5)
        assert rig.sink.delivered.count(begun.id) == 1

    play(story)


def test_a_worker_that_is_stopped_while_rows_are_opened_leaves_nothing_begun() -> None:
    """What never started is not held for a person after a restart in good order."""

    async def story(rig: Rig) -> None:
        opening = threading.Event()
        write = rig.ledger.write

        def slowly(opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
            if opens:
                opening.set()
                time.sleep(0.1)
            return write(opens, saves, fence)

        rig.ledger.write = slowly  # type: ignore[method-assign]
        async with rig.running():
            await asyncio.sleep(0.1)
            rig.publish(delivery(1))
            await rig.until(opening.is_set)
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[0]) in (State.DONE, State.PARKED))
        assert rig.state(rig.published[0]) is State.DONE

    play(story, ScriptedSink(on_unknown="hold"))


def test_the_ledger_finds_what_replaces_a_document_without_a_set_id(tmp_path: Path) -> None:
    """The parent is the only link between two such versions."""
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    old = version(1, "initial", lineage="doc-1", payload=b"")
    new = version(2, "replace", lineage="doc-2", replaces="doc-1", payload=b"")
    ledger.open([Row(delivery=d, partition=0, sequence=n, bytes_at=d.origin) for n, d in enumerate((old, new))])
    assert [row.delivery.id for row in ledger.lineage("s", "doc-1")] == [old.id, new.id]
    assert [row.delivery.id for row in ledger.lineage("s", "doc-2")] == [new.id]
    assert ledger.lineage("s", "") == []
    ledger.close()


def test_what_was_deleted_does_not_come_back_by_the_replay_of_an_old_letter() -> None:
    """A letter of a pipeline never expires; the row of the deletion that came since stays for a year."""

    async def story(rig: Rig) -> None:
        withdrawn = version(2, "delete", document="doc-1")
        rig.publish(withdrawn)
        async with rig.running():
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
            rig.ledger.forget(time.time() + 1)  # 38 days later
            again = version(1, "initial", replay=1)
            rig.publish(again)
            await rig.until(lambda: rig.state(again) in (State.DONE, State.SUPERSEDED))
        assert rig.sink.delivered == [withdrawn.id]

    play(story)
