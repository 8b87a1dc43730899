"""Versions of one document in partitions of two workers, or in the wrong order: its key changed in between (D1, D7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from router.contracts import Attempt, Outcome, Row
from router.engine.delivery.worker_settings import Limits
from router.errors import OutcomeUnknown, Unavailable
from router.exchange import Delivery, State
from tests.engine.rig import Rig, play
from tests.engine.sinks import ScriptedSink, delivery


def versions(rig: Rig, second: str) -> tuple[Delivery, Delivery]:
    """A document of the second worker's partition, and what the first one's does to it: no setId links the two."""
    first, last = sorted(("aa", "zz"), key=lambda key: rig.bus.partition_of("out.s", key))
    old = delivery(1, "old", key=last, action="initial", document="doc-1", lineage="doc-1")
    name, replaced = ("doc-2", "doc-1") if second == "replace" else ("doc-1", "")
    return old, delivery(2, "new", key=first, action=second, document=name, lineage=name, replaces=replaced)


def same_partition(rig: Rig, *keys: str) -> bool:
    return len({rig.bus.partition_of("out.s", key) for key in keys}) == 1


@asynccontextmanager
async def two_workers(rig: Rig, *keys: str, **options: Any) -> AsyncIterator[None]:
    """The second one has the partition of the last key."""
    last = rig.bus.partition_of("out.s", keys[-1])
    rig.bus.seats = {
        ("out.s", "sinks-0-s"): set(range(rig.bus.partitions)) - {last},
        ("out.s", "sinks-1-s"): {last},
    }
    async with rig.running(member="sinks-0", **options) as one, rig.running(member="sinks-1", **options) as two:
        await rig.until(lambda: len(one.condition().partitions) + len(two.condition().partitions) == 4)
        yield


def test_a_document_that_waits_in_another_worker_is_not_sent_after_its_deletion() -> None:
    """Whoever has it looks for deletions before each effect."""

    async def story(rig: Rig) -> None:
        full = True
        rig.sink.behaviour = lambda d, _: Unavailable("FULL", circuit=False) if full and d.action == "initial" else None
        old, deletion = versions(rig, "delete")
        async with two_workers(rig, deletion.key, old.key):
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.WAITING)
            rig.publish(deletion)
            await rig.until(lambda: rig.state(deletion) is State.DONE)
            full = False
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [deletion.id]
        assert rig.ledger.rows[old.id].evidence["superseded_by"] == deletion.event_id

    play(story)


@pytest.mark.parametrize("second", ["delete", "replace"])
def test_what_another_worker_has_in_flight_is_waited_for(second: str) -> None:
    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 1.0 if d.action == "initial" else None
        old, new = versions(rig, second)
        async with two_workers(rig, new.key, old.key):
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.BEGUN)
            rig.publish(new)
            await rig.settled()
        first, last = rig.sink.calls
        assert (first.delivery.id, last.delivery.id) == (old.id, new.id)
        assert first.end <= last.start

    play(story)


def test_what_waits_for_its_turn_in_another_worker_is_not_sent_after_all() -> None:
    """`begun`, but behind others for a connection: a letter to the wrong person can't be called back."""

    class Queue(ScriptedSink):
        async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
            if delivery.action == "initial":
                await asyncio.sleep(1.5)
                attempt.recheck()
            return await super().deliver(delivery, attempt)

    async def story(rig: Rig) -> None:
        old, deletion = versions(rig, "delete")
        async with two_workers(rig, deletion.key, old.key, limits=Limits(patience=1.0, sweep=0.2)):
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.BEGUN)
            rig.publish(deletion)
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [deletion.id]

    play(story, Queue())


@pytest.mark.parametrize("second", ["delete", "replace"])
def test_an_unknown_outcome_in_another_worker_holds_a_replacement_and_no_deletion(second: str) -> None:
    async def story(rig: Rig) -> None:
        unknown = True
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if unknown and d.action == "initial" else None
        old, new = versions(rig, second)
        async with two_workers(rig, new.key, old.key):
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.UNKNOWN)
            rig.publish(new)
            if second == "delete":
                await rig.until(lambda: rig.state(new) is State.DONE)
            else:
                await rig.until(lambda: rig.state(new) is not None)
                calls = len(rig.sink.calls)
                await rig.until(lambda: len(rig.sink.calls) > calls + 10)
                assert rig.state(new) is State.READY
            unknown = False
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == ([new.id] if second == "delete" else [old.id, new.id])

    play(story)


def test_what_a_worker_left_in_flight_holds_nobody_once_another_has_it() -> None:
    """Its successor says so at once, however long its own next attempt takes to come."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 3600.0 if d.action == "initial" else None
        old, deletion = versions(rig, "delete")
        rig.publish(old)
        async with rig.running(limits=Limits(patience=0.05)):
            await rig.until(lambda: rig.state(old) is State.BEGUN)
        rig.sink.behaviour = lambda d, _: Unavailable("AWAY") if d.action == "initial" else None
        async with two_workers(rig, deletion.key, old.key):
            rig.publish(deletion)
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == [deletion.id]

    play(story)


def late(second: str, story: Callable[[Rig, Delivery, Delivery], Awaitable[None]]) -> None:
    """What came to its sink before the document, which another partition's pipeline had held up."""

    async def played(rig: Rig) -> None:
        old, new = versions(rig, second)
        async with rig.running():
            rig.publish(new)
            await rig.settled()
            await story(rig, old, new)

    play(played)


@pytest.mark.parametrize("second", ["delete", "replace"])
def test_a_document_that_comes_after_what_overtook_it_is_not_sent(second: str) -> None:
    async def story(rig: Rig, old: Delivery, new: Delivery) -> None:
        rig.publish(old)
        await rig.until(lambda: rig.state(old) is State.SUPERSEDED)
        assert rig.sink.delivered == [new.id]

    late(second, story)


def test_what_another_recipient_got_passes_nobody() -> None:
    """The new version went to somebody else: the old one is still due here."""

    async def story(rig: Rig, old: Delivery, _: Delivery) -> None:
        rig.publish(replace(old, destination="somebody"))
        await rig.settled()

    late("replace", story)


def test_a_document_that_was_accepted_after_its_deletion_is_sent() -> None:
    """The sender thought better of it."""

    async def story(rig: Rig, old: Delivery, new: Delivery) -> None:
        rig.publish(replace(old, created=new.created + 1))
        await rig.settled()

    late("delete", story)


def test_a_first_version_that_was_accepted_after_its_replacement_was_made_is_superseded() -> None:
    """Decisions D1: the recipient's newest letter would be the one that was annulled."""

    async def story(rig: Rig, old: Delivery, new: Delivery) -> None:
        first = replace(old, created=new.created + 1)
        rig.publish(first)
        await rig.until(lambda: rig.state(first) is State.SUPERSEDED)

    late("replace", story)


@pytest.mark.parametrize("sent_again", [False, True])
def test_a_deletion_that_comes_late_leaves_what_was_accepted_after_it(sent_again: bool) -> None:
    """Its pipeline had held it up, or a person sent it through again: whichever partition the two stand in."""

    async def story(rig: Rig) -> None:
        full = True
        rig.sink.behaviour = lambda d, _: Unavailable("FULL", circuit=False) if full and d.action == "initial" else None
        old, deletion = versions(rig, "delete")
        key = old.key if sent_again else next(k for k in map(str, range(99)) if same_partition(rig, k, old.key))
        late = replace(deletion, key=key, replay=int(sent_again))
        document = replace(old, created=late.created + 1)
        async with rig.running():
            rig.publish(document)
            await rig.until(lambda: rig.state(document) is State.WAITING)
            rig.publish(late)
            await rig.until(lambda: rig.state(late) is State.DONE)
            full = False
            await rig.settled()

    play(story)


def test_in_one_key_the_order_of_the_topic_decides() -> None:
    """Clocks may be set back between two messages of one sender."""

    async def story(rig: Rig) -> None:
        old, deletion = versions(rig, "delete")
        again = replace(old, lane=deletion.lane, key=deletion.key, created=deletion.created - 3600)
        async with rig.running():
            rig.publish(deletion, again)
            await rig.settled()
        assert rig.sink.delivered == [deletion.id, again.id]

    play(story)


def test_a_deletion_that_waits_for_another_worker_may_be_taken_away() -> None:
    """It waits again in its next worker, and goes once."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 1.5 if d.action == "initial" else None
        old, deletion = versions(rig, "delete")
        async with two_workers(rig, deletion.key, old.key):
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.BEGUN)
            rig.publish(deletion)
            await rig.until(lambda: rig.state(deletion) is not None)
            first, second = sorted(rig.bus.seats)
            moved = rig.bus.partition_of("out.s", deletion.key)
            rig.bus.seats[first].discard(moved)
            rig.bus.seats[second].add(moved)
            await asyncio.sleep(0.5)
            await rig.settled()
        filed, withdrawn = rig.sink.calls
        assert (filed.delivery.id, withdrawn.delivery.id) == (old.id, deletion.id)
        assert filed.end <= withdrawn.start

    play(story)


@pytest.mark.parametrize("second", ["delete", "replace"])
def test_what_a_worker_waits_for_may_be_taken_away(second: str) -> None:
    """The replacement goes on waiting: nobody knows the outcome yet. Then both go, in order."""

    async def story(rig: Rig) -> None:
        unknown = True
        rig.sink.behaviour = lambda d, _: OutcomeUnknown("CUT") if unknown and d.action == "initial" else None
        old, new = versions(rig, second)
        moved = rig.bus.partition_of("out.s", old.key)
        async with two_workers(rig, new.key, old.key):
            first, other = sorted(rig.bus.seats)
            rig.bus.seats[first].add(moved)
            rig.bus.seats[other].discard(moved)
            await asyncio.sleep(0.5)
            rig.publish(old)
            await rig.until(lambda: rig.state(old) is State.UNKNOWN)
            rig.publish(new)
            await rig.until(lambda: rig.state(new) is (State.DONE if second == "delete" else State.READY))
            rig.bus.seats[first].discard(moved)
            rig.bus.seats[other].add(moved)
            await asyncio.sleep(1.0)
            assert (rig.state(new) is State.DONE) == (second == "delete")
            unknown = False
            await rig.settled(State.DONE, State.SUPERSEDED)
        assert rig.sink.delivered == ([new.id] if second == "delete" else [old.id, new.id])

    play(story)


@pytest.mark.parametrize(("action", "most"), [("initial", 10), ("", 0)])
def test_what_passed_them_is_asked_once_for_a_batch(action: str, most: int) -> None:
    """And never for relays, which are no documents."""

    async def story(rig: Rig) -> None:
        asked = 0
        overtakers = rig.ledger.overtakers

        def counted(sink: str, names: Sequence[str]) -> Sequence[Row]:
            nonlocal asked
            asked += 1
            return overtakers(sink, names)

        rig.ledger.overtakers = counted  # type: ignore[method-assign]
        rig.publish(*(delivery(n, f"lane-{n}", action=action, document=f"doc-{n}") for n in range(100)))
        async with rig.running():
            await rig.settled()
        assert asked <= most
        assert bool(asked) == bool(action)

    play(story)
