"""`held` and `dlq` lose what nobody needs any more, and nothing else; on the embedded bus and its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import DISCARDED, Header, Outgoing, Partition, Row, SystemClock
from router.engine.dead_letters.listing import DeadLetter, body
from router.engine.dead_letters.operator_commands import discard
from router.engine.dead_letters.paging import letters
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery.command_handler import TAKEN_BACK_WITHIN
from router.engine.delivery.trimming import INTERVAL, Trimmer, trimmable
from router.engine.delivery.worker_settings import Limits
from router.errors import Unavailable
from router.exchange import Origin, State
from router.ledger.store import SqlLedger
from tests.access.access_samples import MovedClock
from tests.engine.rig import Rig, play
from tests.engine.sinks import check, delivery
from tests.typed import present

LATER = INTERVAL + 1


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(tmp_path / "bus.db", partitions=1)
    yield bus
    bus.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


def keep(bus: SqliteBus, ledger: SqlLedger, topic: str, *states: State) -> list[Row]:
    """A row for each state, whose bytes stand on the topic, in this order."""
    deliveries = [delivery(n, f"{topic}-{n}", payload=b"") for n in range(len(states))]
    headers = [{Header.DELIVERY: d.id} for d in deliveries]
    places = bus.producer("t").publish([Outgoing(topic, "k", b"bytes", one) for one in headers])
    rows = [
        Row(delivery=d, partition=0, sequence=n, bytes_at=at, state=state)
        for n, (d, at, state) in enumerate(zip(deliveries, places, states, strict=True))
    ]
    ledger.open(rows)
    return rows


def left(bus: SqliteBus, topic: str) -> list[int]:
    return [record.offset for record in bus.scan(topic)]


def test_below_the_oldest_needed_record_all_may_go() -> None:
    """Per partition of the topic: its oldest needed record, or its end; other topics say nothing."""
    ends = {Partition("held.s", 0): 10, Partition("held.s", 1): 5, Partition("held.s", 2): 0}
    needed = [Origin("held.s", 0, 7), Origin("held.s", 0, 4), Origin("dlq.s", 1, 0), Origin("held.s", 9, 1)]
    assert trimmable(ends, needed) == {Partition("held.s", 0): 4, Partition("held.s", 1): 5, Partition("held.s", 2): 0}


@pytest.mark.parametrize("topic", ["held.s", "dlq.s"])
def test_what_ended_is_trimmed_below_what_did_not(bus: SqliteBus, ledger: SqlLedger, topic: str) -> None:
    """Bytes of rows that wait, are held or dead stay with all that came after them; when they end, all goes."""
    done, over = State.DONE, State.SUPERSEDED
    rows = keep(bus, ledger, topic, done, over, State.WAITING, done, State.DEAD, done)
    trimmer = Trimmer(bus, ["s"], SystemClock())
    assert trimmer.trim(ledger, 0.0) == 0
    assert trimmer.trim(ledger, 10.0) == 0
    assert left(bus, topic) == [0, 1, 2, 3, 4, 5]
    assert trimmer.trim(ledger, LATER) == 1
    assert left(bus, topic) == [2, 3, 4, 5]
    ledger.save([replace(rows[2], state=done)])
    trimmer.trim(ledger, 2 * LATER)
    assert left(bus, topic) == [4, 5]
    ledger.save([replace(rows[4], state=over)])
    trimmer.trim(ledger, 3 * LATER)
    assert left(bus, topic) == []
    assert trimmer.trim(ledger, 4 * LATER) == 0


def test_bytes_whose_row_is_still_to_be_saved_are_left_alone(bus: SqliteBus, ledger: SqlLedger) -> None:
    """Records that came since the last look stay, although no row points to them yet."""
    keep(bus, ledger, "held.s", State.DONE)
    trimmer = Trimmer(bus, ["s"], SystemClock())
    trimmer.trim(ledger, 0.0)
    (young,) = bus.producer("t").publish([Outgoing("held.s", "k", b"bytes", {})])
    trimmer.trim(ledger, LATER)
    assert left(bus, "held.s") == [young.offset]


def test_the_bytes_of_what_was_given_up_stay_as_long_as_it_may_be_taken_back(bus: SqliteBus, ledger: SqlLedger) -> None:
    """Seven days after the discard, however old the dead letter was; then they go."""
    (row,) = keep(bus, ledger, "dlq.s", State.DEAD)
    clock = MovedClock()
    begun = clock.at
    ledger.save([replace(row, state=State.SUPERSEDED, code=DISCARDED, updated=begun)])
    for days, stands in ((0.0, True), (6.9, True), (7.1, False)):
        clock.at = begun + days * TAKEN_BACK_WITHIN / 7
        trimmer = Trimmer(bus, ["s"], clock)
        for turn in range(3):
            trimmer.trim(ledger, turn * LATER)
        assert left(bus, "dlq.s") == ([0] if stands else [])


@pytest.mark.parametrize("topic", ["dlq.intake", "dlq.pipeline", "dlq.s"])
def test_letters_without_a_row_stay_until_a_person_resolves_them(bus: SqliteBus, ledger: SqlLedger, topic: str) -> None:
    """What `dlq ls` and `show` print is the same before and after; what was discarded goes."""
    headers = {Header.CODE: "X", Header.STAGE: topic.removeprefix("dlq.")}
    bus.producer("t").publish([Outgoing(topic, "k", b"%d" % n, headers) for n in range(4)])

    def listed() -> list[DeadLetter]:
        return letters(bus, ledger, sinks=["s"])

    trimmer = Trimmer(bus, ["s"], SystemClock())
    for turn in range(3):
        trimmer.trim(ledger, turn * LATER)
    assert left(bus, topic) == [0, 1, 2, 3]
    first, second, third, last = listed()
    producer = bus.producer("cli")
    assert all(a.accepted for a in discard(bus, ledger, [first, third], by="dupont", reason="vu", producer=producer))
    for turn in range(3, 6):
        trimmer.trim(ledger, turn * LATER)
    assert listed() == [second, last]
    assert [present(body(bus, dead_letter)).value for dead_letter in (second, last)] == [b"1", b"3"]
    assert body(bus, first) is None
    assert all(a.accepted for a in discard(bus, ledger, [second, last], by="dupont", reason="vu", producer=producer))
    for turn in range(6, 9):
        trimmer.trim(ledger, turn * LATER)
    assert listed() == []
    assert left(bus, topic) == []


def test_held_bytes_that_are_gone_are_read_from_the_sinks_own_topic() -> None:
    """A lane that comes back from `held` finds its bytes where they came from when they were trimmed after all."""
    limits = Limits(hold_after=0.05, sweep=0.05, patience=1.0)

    async def story(rig: Rig) -> None:
        opened = asyncio.Event()
        rig.sink.behaviour = lambda d, _: Unavailable("MSS-452", circuit=False) if not opened.is_set() else None
        rig.publish(*(delivery(n, "full", payload=b"%d" % n) for n in range(5)))
        async with rig.running(limits=limits) as worker:
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 5)
            await rig.until(lambda: worker.condition().bytes_held == 0)
            for partition, end in rig.bus.ends("held.s").items():
                rig.bus.trim(partition, end)
            opened.set()
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert [c.delivery.payload for c in rig.sink.calls if c.ok] == [b"%d" % n for n in range(5)]


def test_bytes_whose_place_another_delivery_has_taken_are_not_sent() -> None:
    """A topic that was made anew gives old places to new records: a dead letter, never another one's document."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Unavailable("MSS-452", circuit=False)
        rig.publish(delivery(1, payload=b"mine"))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[0]) is State.WAITING)
        (log,) = (log for log in rig.bus.parts("out.s") if log)
        log[0] = replace(log[0], value=b"another's", headers={**log[0].headers, Header.DELIVERY: "another"})
        rig.sink.behaviour, before = lambda _d, _a: None, len(rig.sink.calls)
        async with rig.running():
            await rig.settled(State.DEAD)
        assert rig.ledger.rows[rig.published[0].id].code == BYTES_LOST
        assert len(rig.sink.calls) == before

    play(story)
