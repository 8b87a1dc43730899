"""What comes between two writes, or between two looks: a crash, a partition that leaves, an outage, a full lane."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

from router.contracts import Attempt, Fence, Row
from router.engine.delivery.worker_settings import Limits
from router.errors import Fenced, OutcomeUnknown, Refused, Unavailable
from router.exchange import Delivery, State
from router.sinks.dmp.verdicts import Verdicts
from tests.engine.rig import FAST, Rig, journal, play
from tests.engine.sinks import ScriptedSink, delivery
from tests.engine.test_engine_combined import version


def test_what_was_deleted_does_not_come_back_by_a_replay_that_a_crash_interrupts() -> None:
    """The row of the replayed event is open, the worker dies before it is superseded: its next owner must look too."""

    async def story(rig: Rig) -> None:
        withdrawn, again = version(2, "delete", document="doc-1"), version(1, "initial", replay=1)
        rig.publish(withdrawn)
        async with rig.running():
            await rig.until(lambda: rig.state(withdrawn) is State.DONE)
        rig.publish(again)
        number = rig.bus.partition_of("out.s", "doc")
        record = rig.bus.topics["out.s"][number][-1]
        rig.ledger.open(  # and a crash right after
            [
                Row(
                    delivery=version(1, "initial", replay=1, payload=b""),
                    partition=number,
                    sequence=record.offset,
                    bytes_at=record.origin,
                )
            ]
        )
        async with rig.running():
            await rig.until(lambda: rig.state(again) in (State.DONE, State.SUPERSEDED))
        assert rig.sink.delivered == [withdrawn.id]

    play(story)


def test_what_was_deleted_does_not_come_back_by_a_replay_beside_a_partition_that_leaves() -> None:
    """The batch holds a record of a partition that is lost in the middle: the rest is done again, its rows are open."""

    async def story(rig: Rig) -> None:
        withdrawn = [version(n + 10, "delete", lane=f"l{n}", document=f"doc-{n}", lineage=f"set-{n}") for n in range(8)]
        withdrawn = [
            Delivery(**{**{f: getattr(d, f) for f in d.__dataclass_fields__}, "key": f"k{n}"})
            for n, d in enumerate(withdrawn)
        ]
        again = [
            version(n, "initial", lane=f"l{n}", document=f"doc-{n}", lineage=f"set-{n}", replay=1) for n in range(8)
        ]
        again = [
            Delivery(**{**{f: getattr(d, f) for f in d.__dataclass_fields__}, "key": f"k{n}"})
            for n, d in enumerate(again)
        ]
        rig.publish(*withdrawn)
        lost = min(rig.bus.partition_of("out.s", d.key) for d in again)
        write = rig.ledger.write

        def taken(opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
            if any(row.partition == lost and row.state is State.SUPERSEDED for row in saves):
                raise Fenced("LEDGER-EPOCH", partitions=frozenset({lost}))
            return write(opens, saves, fence)

        async with rig.running():
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in withdrawn))
            rig.ledger.write = taken  # type: ignore[method-assign]
            rig.publish(*again)
            others = [d for d in again if rig.bus.partition_of("out.s", d.key) != lost]
            await rig.until(lambda: all(rig.state(d) in (State.DONE, State.SUPERSEDED) for d in others))
        back = [d for d in others if d.id in rig.sink.delivered]
        assert not back, f"{len(back)} of {len(others)} deleted documents came back"

    play(story)


def test_verifications_that_find_the_destination_away_use_up_no_trial() -> None:
    """An unknown outcome, then an outage in which only verifications fail: attempts count from where they were."""
    numbers: list[int] = []

    class Dmp(ScriptedSink):
        async def verify(self, delivery: Delivery, attempt: Attempt) -> None:
            self.verified.append(delivery.id)
            if len(self.verified) <= 6:
                raise Unavailable("DMP-XDSRegistryBusy")

    async def story(rig: Rig) -> None:
        def behaviour(_d: Delivery, attempt: Attempt) -> Exception | None:
            numbers.append(attempt.number)
            if len(numbers) == 1:
                return OutcomeUnknown("CUT")
            return Verdicts({}).fault("FAULT-Receiver", "TD2.1", attempt.number)

        rig.sink.behaviour = behaviour
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DEAD)
        assert numbers == [1, 2, 3], " ".join(map(str, numbers))

    play(story, Dmp(on_unknown="verify"))


def test_what_is_decided_again_keeps_its_outages_apart() -> None:
    """Trials of an outage are no attempts, after a new decision neither."""
    numbers: list[int] = []

    async def story(rig: Rig) -> None:
        def behaviour(_d: Delivery, attempt: Attempt) -> Exception | None:
            numbers.append(attempt.number)
            if len(numbers) <= 5:
                return Unavailable("AWAY")
            return Refused("X") if len(numbers) == 6 else None

        rig.sink.behaviour = behaviour
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DEAD)
            rig.publish(delivery(1, replay=1))
            await rig.settled(State.DONE)
        assert numbers == [1, 1, 1, 1, 1, 1, 2], numbers

    play(story)


def test_a_command_after_a_migration_is_obeyed() -> None:
    """Offsets begin at 0 again: the place of a new command may be that of one obeyed before."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Refused("X")
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled(State.DEAD)
            rig.command(rig.published[0], "replay")
            await rig.until(lambda: len(rig.sink.calls) == 2 and rig.state(rig.published[0]) is State.DEAD)
        rig.ledger.outdate("s")
        rig.bus.topics.pop("out.s")
        rig.bus.committed.clear()
        rig.sink.behaviour = lambda _d, _a: None
        rig.publish(delivery(2))
        rig.command(rig.published[0], "replay")
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[1]) is State.DONE)
            await asyncio.sleep(0.3)
        assert journal(rig) == ["REPLAY", "REPLAY"]

    play(story)


def test_a_replacement_that_finds_its_lane_full_still_waits() -> None:
    """D1: the old version's outcome is unknown in another lane; the replacement stands in the ledger only at first."""

    async def story(rig: Rig) -> None:
        gate = threading.Event()

        async def deliver(d: Delivery, _: object) -> None:
            if d.event_id == "event-1":
                raise OutcomeUnknown("CUT")
            while not gate.is_set():  # noqa: ASYNC110 - it is set from another thread
                await asyncio.sleep(0.01)

        rig.sink.effect = deliver
        old = delivery(1, "old", key="k", action="initial", document="doc-1", lineage="doc-1")
        others = [delivery(n, "new", key="k") for n in range(2, 5)]
        new = delivery(9, "new", key="k", action="replace", document="doc-2", replaces="doc-1")
        rig.publish(old)
        async with rig.running(limits=Limits(patience=1.0, window=1)):
            await rig.until(lambda: rig.state(old) is State.PARKED)
            rig.publish(*others, new)
            await rig.until(lambda: rig.state(new) is not None)
            await asyncio.sleep(0.1)
            gate.set()
            await asyncio.sleep(0.5)
        assert new.id not in rig.sink.delivered

    play(story, ScriptedSink(on_unknown="hold"))


def test_a_replacement_that_left_memory_still_waits() -> None:
    """The same when it was in memory and its lane, whose head waited for long, was sent away."""

    async def story(rig: Rig) -> None:
        healed = threading.Event()

        async def deliver(d: Delivery, _: object) -> None:
            if d.event_id == "event-1":
                raise OutcomeUnknown("CUT")
            if not healed.is_set():
                raise Unavailable("FULL", circuit=False)

        rig.sink.effect = deliver
        old = delivery(1, "old", key="k", action="initial", document="doc-1", lineage="doc-1")
        head = delivery(2, "new", key="k")
        new = delivery(9, "new", key="k", action="replace", document="doc-2", replaces="doc-1")
        rig.publish(old)
        async with rig.running(
            limits=Limits(hold_after=0.05, sweep=0.05, patience=1.0),
            policy=FAST.model_copy(update={"first": 0.6, "ceiling": 0.6}),
        ):
            await rig.until(lambda: rig.state(old) is State.PARKED)
            rig.publish(head, new)
            await rig.until(lambda: rig.state(new) is not None and len(list(rig.bus.scan("held.s"))) == 3)
            healed.set()
            await rig.until(lambda: rig.state(head) is State.DONE)
            await asyncio.sleep(0.5)
            assert new.id not in rig.sink.delivered
            rig.command(old, "discard", "doublon")
            await rig.until(lambda: rig.state(new) is State.DONE)

    play(story, ScriptedSink(on_unknown="hold"))
