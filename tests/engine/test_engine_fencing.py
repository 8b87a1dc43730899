"""Workers that are frozen, or cut off from their group, at the worst instants: the successor's word stays."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from router.contracts import Fence, Row, out_topic
from router.engine.delivery.durable_writer import DurableWriter, Opened
from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.errors import Fenced
from router.exchange import State
from router.wire import delivery_record
from tests.engine.memory import MemoryBus, MemoryLedger
from tests.engine.rig import FAST, Rig, play
from tests.engine.sinks import ScriptedSink, check, delivery

ONE_LANE = "lane"


def frozen_or_finished(ledger: FreezingLedger, rig: Rig) -> bool:
    return ledger.frozen.is_set() or rig.finished()


class FreezingLedger(MemoryLedger):
    """Stops right before it commits the chosen state of the chosen delivery, until it is thawed."""

    def __init__(self, store: MemoryLedger, id_: str = "", state: State = State.DONE, after: int = -1) -> None:
        """`after`: instead of a delivery's state, the number of writes before the one that is stopped."""
        super().__init__(store)
        self._where = (id_, state)
        self._left = after
        self.frozen = threading.Event()
        self.thawed = threading.Event()

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        self._maybe_freeze([*opens, *saves])
        return super().write(opens, saves, fence)

    def _maybe_freeze(self, rows: Sequence[Row]) -> None:
        here = self._left == 0 or self._where in [(row.delivery.id, row.state) for row in rows]
        self._left -= 1
        if here and not self.frozen.is_set():
            self.frozen.set()
            self.thawed.wait(60)


@pytest.mark.parametrize("state", [State.BEGUN, State.DONE])
def test_who_wakes_after_its_successor_overwrites_nothing(state: State) -> None:
    """Frozen between the question whether it owns and the commit: the row stays as the successor left it."""

    async def story(rig: Rig) -> None:
        rig.publish(*(delivery(n, ONE_LANE) for n in range(4)))
        second = rig.published[1].id
        ledger = FreezingLedger(rig.ledger, second, state)
        sink = ScriptedSink()
        old = SinkWorker(sink, rig.bus, ledger, member="a", policy=FAST, limits=Limits(patience=0.2))
        running = asyncio.create_task(old.run())
        await rig.until(ledger.frozen.is_set)
        rig.sink.truth.update(sink.truth)
        rig.bus.expel("out.s", "a-s")
        async with rig.running(member="b"):
            await rig.settled()
            before = dict(rig.ledger.rows)
            ledger.thawed.set()
            old.stop()
            await asyncio.wait_for(running, 10)
            assert rig.ledger.rows == before
        assert rig.ledger.rows[second].code == ("FOUND" if state is State.DONE else "OK")
        rig.sink.calls[:0] = sink.calls

    rig = play(story, ScriptedSink(on_unknown="verify"))
    check(rig.sink.calls, rig.published)
    assert set(rig.sink.truth.values()) == {1}


@pytest.mark.parametrize("seed", range(6))
def test_a_row_of_workers_frozen_one_after_the_other(seed: int) -> None:
    """Each is stopped before some write, loses all, and wakes while its successors work: what was done stays done."""
    chance = random.Random(seed)

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: chance.choice((None, 0.001, 0.004))
        rig.publish(*(delivery(n, f"lane-{n % 7}") for n in range(140)))
        sleepers: list[tuple[SinkWorker, FreezingLedger, asyncio.Task[None]]] = []
        for name in ("a", "b", "c", "d"):
            ledger = FreezingLedger(rig.ledger, after=chance.randrange(1, 12))
            worker = SinkWorker(rig.sink, rig.bus, ledger, member=name, policy=FAST, limits=Limits(patience=0.3))
            sleepers.append((worker, ledger, asyncio.create_task(worker.run())))
            await rig.until(partial(frozen_or_finished, ledger, rig), 30)
            await rig.until(lambda: not any(call.end == 0.0 for call in rig.sink.calls), 30)
            rig.bus.expel("out.s", f"{name}-s")
        async with rig.running(member="z"):
            await rig.until(lambda: len(rig.sink.delivered) > chance.randrange(140) or rig.finished(), 30)
            for _, ledger, _ in chance.sample(sleepers, len(sleepers)):
                ledger.thawed.set()
                await asyncio.sleep(chance.random() / 50)
            await rig.until(rig.finished, 30)
            for worker, _, running in sleepers:
                worker.stop()
                await asyncio.wait_for(running, 20)

    rig = play(story, ScriptedSink(on_unknown="verify"))
    check(rig.sink.calls, rig.published)
    assert set(rig.sink.truth.values()) == {1}
    ended: set[str] = set()
    for row in rig.ledger.history:
        assert row.delivery.id not in ended, f"{row.state} written over done"
        ended |= {row.delivery.id} if row.state is State.DONE else set()


def test_one_lost_partition_fails_its_own_jobs_only() -> None:
    """Writes that were gathered in one batch with those of a lost partition are made."""

    async def story() -> None:
        bus, ledger = MemoryBus(), MemoryLedger()
        writer = DurableWriter("w", "s", bus.producer("w"), ledger, lambda _: True)
        writer.start(asyncio.get_running_loop())
        assert await writer.take([0, 1]) == {0, 1}
        rows = [
            Row(delivery=delivery(n, payload=b""), partition=n, sequence=0, bytes_at=delivery(n).origin) for n in (0, 1)
        ]
        assert (await writer.open(rows)).known == {}
        ledger.take("s", [1])
        busy = threading.Event()
        asked = asyncio.ensure_future(writer.ask(lambda _: busy.wait(10)))
        writes = [writer.write([n], rows=[replace(rows[n], state=State.DONE)]) for n in (0, 1)]
        opens = [writer.open([replace(rows[n], delivery=delivery(n + 2, payload=b""))]) for n in (0, 1)]
        together = asyncio.gather(*writes, *opens, return_exceptions=True)
        await asyncio.sleep(0)
        busy.set()
        done, failed, opened, refused = await together
        await asked
        assert isinstance(failed, Fenced)
        assert isinstance(refused, Fenced)
        assert not done
        assert isinstance(opened, Opened)
        assert opened.known == {}
        assert [row.state for row in ledger.rows.values()] == [State.DONE, State.READY, State.READY]
        await asyncio.get_running_loop().run_in_executor(None, writer.close)

    asyncio.run(story())


def test_a_job_asked_for_before_the_partition_was_taken_again_is_refused() -> None:
    """What a worker began under an earlier ownership does not write under the present one."""

    async def story() -> None:
        held, busy, at_work = threading.Event(), threading.Event(), threading.Event()
        writer = DurableWriter("w", "s", MemoryBus().producer("w"), MemoryLedger(), lambda _: True)
        writer.start(asyncio.get_running_loop())
        await writer.take([0])
        row = Row(delivery=delivery(0, payload=b""), partition=0, sequence=0, bytes_at=delivery(0).origin)

        def work(until: threading.Event) -> None:
            at_work.set()
            until.wait(60)

        async def working() -> None:
            while not at_work.is_set():  # noqa: ASYNC110 - on another thread
                await asyncio.sleep(0.001)
            at_work.clear()

        holding = asyncio.ensure_future(writer.ask(lambda _: work(held)))
        await working()
        taking = asyncio.ensure_future(writer.take([0]))  # these two wait for it, so they are one batch: the second
        waiting = asyncio.ensure_future(writer.ask(lambda _: work(busy)))  # taking is done and nobody knows yet
        await asyncio.sleep(0)
        held.set()
        await working()
        opening = asyncio.ensure_future(writer.open([row]))
        await asyncio.sleep(0)
        busy.set()
        with pytest.raises(Fenced):
            await opening
        await asyncio.gather(holding, taking, waiting)
        assert (await writer.open([row])).known == {}
        await asyncio.get_running_loop().run_in_executor(None, writer.close)

    asyncio.run(story())


def test_what_a_late_predecessor_took_is_taken_back_and_nothing_is_lost() -> None:
    """A woken predecessor raised the epoch of what the group gives us: we take it again and read again what we passed
    over; the records of the other partitions in the same batches go on meanwhile."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 0.002
        rig.publish(*(delivery(n, f"lane-{n % 8}") for n in range(40)))
        async with rig.running(limits=Limits(patience=0.5, sweep=0.1)) as worker:
            await rig.until(lambda: len(rig.sink.delivered) > 8)
            lost = rig.bus.partition_of("out.s", "lane-0")
            rig.ledger.take("s", [lost])
            rig.publish(*(delivery(n, f"lane-{n % 8}") for n in range(40, 160)))
            await rig.until(lambda: lost not in worker.condition().partitions)
            rig.publish(*(delivery(n, f"lane-{n % 8}") for n in range(160, 200)))
            await rig.settled()
            assert lost in worker.condition().partitions
            assert not sum(rig.bus.lag("out.s").values()) or await _drained(rig)

    rig = play(story, ScriptedSink(on_unknown="verify"))
    check(rig.sink.calls, rig.published)
    assert len(rig.sink.delivered) == 200


async def _drained(rig: Rig) -> bool:
    await rig.until(lambda: not sum(rig.bus.lag("out.s").values()))
    return True


def test_a_group_that_was_silent_for_a_while_stops_nothing_for_ever() -> None:
    """The bus was not heard of, so all was given up; when it is heard again with nothing changed, all goes on."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 0.002
        rig.publish(*(delivery(n, f"lane-{n % 8}") for n in range(80)))
        async with rig.running(limits=Limits(patience=0.5, sweep=0.1)) as worker:
            await rig.until(lambda: len(rig.sink.delivered) > 8)
            rig.bus.silent = True
            await rig.until(lambda: not worker.condition().partitions)
            rig.publish(*(delivery(n, f"lane-{n % 8}") for n in range(80, 160)))
            await asyncio.sleep(0.3)
            rig.bus.silent = False
            await rig.settled()

    rig = play(story, ScriptedSink(on_unknown="verify"))
    check(rig.sink.calls, rig.published)
    assert len(rig.sink.delivered) == 160


def test_what_is_in_flight_ends_before_its_partition_is_taken_over_again() -> None:
    """An effect that lasts longer than the loss of its partition is not made a second time beside itself."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 2.0 if d.label == "long" else None
        rig.publish(delivery(0, ONE_LANE, label="long"), delivery(1, ONE_LANE))
        async with rig.running(limits=Limits(patience=1.5, sweep=0.1)) as worker:
            await rig.until(lambda: len(rig.sink.calls) == 1)
            rig.bus.silent = True
            await rig.until(lambda: not worker.condition().partitions)
            rig.bus.silent = False
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert len(rig.sink.calls) == 2


def test_a_command_on_a_row_of_a_topic_made_anew_is_obeyed_where_its_key_stands_now() -> None:
    """A dead letter from before its topic got more partitions is replayed by the owner of its key's partition."""

    async def story(rig: Rig) -> None:
        dead = delivery(1, ONE_LANE)
        at = rig.bus.producer("t").publish([delivery_record(dead, "dlq.s")])[0]
        bare = delivery(1, ONE_LANE, payload=b"")
        rig.ledger.open([Row(delivery=bare, partition=99, sequence=7, bytes_at=at, state=State.DEAD, code="X")])
        rig.published.append(dead)
        async with rig.running():
            rig.command(dead, "replay")
            await rig.settled()
        row = rig.ledger.rows[dead.id]
        assert row.partition == rig.bus.partition_of(out_topic("s"), ONE_LANE)
        assert row.delivery.replay == 1

    play(story)
