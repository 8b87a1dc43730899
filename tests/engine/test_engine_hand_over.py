"""A lane of relays goes on while the receipt of what it delivered is still on its way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from router.contracts import RECEIPTS, Outcome, Outgoing, Row
from router.engine.delivery import row_transitions
from router.exchange import Delivery, Origin, State
from tests.engine.memory import MemoryBus, MemoryProducer
from tests.engine.rig import Rig
from tests.engine.sinks import ScriptedSink, delivery


class PlainSink(ScriptedSink):
    """Nobody is told of its deliveries, as of a relay's."""

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        return {}


class HeldBus(MemoryBus):
    """Takes no receipt before `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def producer(self, name: str) -> MemoryProducer:
        return _HeldProducer(self)


class _HeldProducer(MemoryProducer):
    def publish(self, records: Sequence[Outgoing], **named: Any) -> Sequence[Origin]:
        bus = self.bus
        if isinstance(bus, HeldBus) and any(record.topic == RECEIPTS for record in records):
            assert bus.open.wait(10)
        return super().publish(records, **named)


def row_of(one: Delivery, partition: int) -> Row:
    return Row(delivery=one, partition=partition, sequence=0, bytes_at=Origin("out.s", partition, 0))


def held_rig() -> tuple[Rig, HeldBus]:
    rig, bus = Rig(PlainSink()), HeldBus()
    rig.bus = bus
    return rig, bus


def test_the_next_relay_of_a_lane_does_not_wait_for_the_receipt_of_the_one_before() -> None:
    """Its outcome is durable, the lane goes on; then every receipt comes, in order."""

    async def story() -> None:
        rig, bus = held_rig()
        first, second, third = made = [delivery(number, "a") for number in range(3)]
        rig.publish(*made)
        async with rig.running():
            await rig.until(lambda: len(rig.sink.delivered) == 3)
            for one in (first, second):
                row = rig.ledger.rows[one.id]
                assert row.state is State.BEGUN
                assert row_transitions.outcome_noted(row_transitions.restarted(row)) == Outcome(
                    "OK", evidence={"message_id": one.id}
                )
            assert rig.state(third) is State.BEGUN
            assert not list(bus.scan(RECEIPTS))
            bus.open.set()
            await rig.settled()
        assert rig.sink.delivered == [one.id for one in made]
        assert [len(rig.receipts(one)) for one in made] == [1, 1, 1]
        assert rig.ledger.rows[first.id].evidence == {"message_id": first.id}

    asyncio.run(story())


def test_a_document_waits_for_the_receipt_of_the_version_before() -> None:
    """What a deletion or a replacement may concern is settled before its lane goes on."""

    async def story() -> None:
        rig, bus = held_rig()
        rig.publish(*(delivery(number, "a", action="initial", document=f"d{number}") for number in range(2)))
        async with rig.running():
            await rig.until(lambda: len(rig.sink.delivered) == 1)
            await asyncio.sleep(0.1)
            assert len(rig.sink.calls) == 1
            bus.open.set()
            await rig.settled()

    asyncio.run(story())


@pytest.mark.parametrize("on_unknown", ["verify", "repeat", "hold"])
def test_an_outcome_that_was_noted_is_settled_by_the_next_owner(
    on_unknown: Literal["verify", "repeat", "hold"],
) -> None:
    """After a crash nobody asks or repeats what the row says was delivered, not even a person; what follows goes on."""

    async def story() -> None:
        rig = Rig(PlainSink(on_unknown=on_unknown))
        first, second = delivery(0, "a"), delivery(1, "a")
        rig.publish(first, second)
        partition = rig.bus.partition_of("out.s", first.key)
        begun = row_transitions.begun(row_of(first, partition), 1.0)
        rig.ledger.rows[first.id] = row_transitions.noted(begun, Outcome("OK", evidence={"message_id": "m"}))
        async with rig.running():
            await rig.settled()
        assert rig.sink.delivered == [second.id]
        assert not rig.sink.verified
        (receipt,) = rig.receipts(first)
        assert (receipt.ok, receipt.code, receipt.evidence) == (True, "OK", {"message_id": "m"})
        assert rig.ledger.rows[first.id].evidence == {"message_id": "m"}

    asyncio.run(story())


def noted_row() -> Row:
    begun = row_transitions.begun(row_of(delivery(0), 0), 1.0)
    return row_transitions.noted(begun, Outcome("OK", evidence={"a": "b"}))


def test_a_new_attempt_forgets_what_was_noted_of_the_one_before() -> None:
    """An older router takes a noted row for an unknown outcome and repeats it: the new attempt has none yet."""
    again = row_transitions.begun(row_transitions.restarted(noted_row()), 2.0)
    assert row_transitions.outcome_noted(row_transitions.restarted(again)) is None
    assert again.evidence == {"a": "b"}


def test_what_a_person_sends_again_is_sent_whatever_was_noted() -> None:
    """After a restore a noted row may be held; who orders it again wants it to leave."""
    held = row_transitions.in_doubt(noted_row(), "hold")
    assert held.state is State.PARKED
    for row in (held, replace(held, state=State.READY)):
        assert row_transitions.outcome_noted(row) is None
