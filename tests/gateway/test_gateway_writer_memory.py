"""A message that could not be written leaves memory at once, however long the bus is away."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from typing import Any

import pytest

from router.contracts import Outgoing
from router.errors import Unavailable
from router.gateway.writer import BatchWriter, GroupCommit, Item, KnownIds
from tests.gateway.gateway_parts import Client, MemoryBus, hl7, listening, make_intake


class _Nothing:
    """A ledger that knows no message."""

    def acks(self, ids: Any) -> dict[str, bytes]:
        return {}


class _Away:
    """A bus whose server does not answer: its producer's frames hold the records while it fails."""

    def producer(self, name: str) -> _Away:
        return self

    def publish(self, records: Any, *, settle: Any = None) -> Any:
        held = list(records)
        try:
            raise TimeoutError(len(held))
        except TimeoutError as error:
            raise Unavailable("BUS-AWAY", "", "the bus is away") from error

    def close(self) -> None:
        return


@pytest.fixture
def no_collector() -> Any:
    """Cycles stay: what is freed is freed by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_refused_message_is_freed_at_once(no_collector: None) -> None:
    """Nothing but the caller holds its bytes once the item is gone: no traceback, no cycle."""
    body = b"x" * 10_000
    writer = BatchWriter(_Away(), KnownIds(_Nothing()), "test")  # type: ignore[arg-type]
    before = sys.getrefcount(body)
    items = [Item("event", [Outgoing("in.f", "k", body)])]
    writer.write(items)
    assert isinstance(items[0].error, Unavailable)
    items.clear()
    assert sys.getrefcount(body) == before


class _Refusing(MemoryBus):
    """A bus that takes nothing."""

    def publish(self, records: Any, *, settle: Any = None) -> Any:
        raise Unavailable("BUS-AWAY", "", "the bus is away")


def test_answered_big_messages_do_not_pile_up(no_collector: None) -> None:
    """Ten messages of 5 MB, each refused because the bus is away: what they leave behind stays bounded."""

    async def story() -> None:
        intake = make_intake(_Refusing())
        async with listening(intake, max_frame=8_000_000) as listener:
            tracemalloc.start()
            clients = []
            for number in range(10):
                clients.append(await Client.connect(listener.port))
                await clients[-1].send(hl7(str(number), "OBX|1|ST|||" + "x" * 5_000_000))
                assert (await clients[-1].answer())[1] == f"MSA|AR|{number}"
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert held < 40_000_000

    asyncio.run(story())


def test_records_of_a_large_message_are_made_when_they_are_written() -> None:
    """They hold a copy of it: there is one at a time, however many messages wait."""
    alive = written = 0

    def make() -> list[Outgoing]:
        nonlocal alive
        alive += 1
        return [Outgoing("in.f", "k", b"x" * 10)]

    class Bus(MemoryBus):
        def publish(self, records: Any, *, settle: Any = None) -> Any:
            nonlocal written
            written += 1
            assert [len(one.value) for one in records] == [10]
            return ()

    items = [Item(f"event {number}", (), late=make, size=9_000_000) for number in range(3)]
    told: list[Item] = []
    commit = GroupCommit(BatchWriter(Bus(), KnownIds(_Nothing()), "test"), told.extend)  # type: ignore[arg-type]
    for item in items:
        commit.put(item)
    assert (alive, items[0].weight) == (0, 9_000_000)
    commit.start()
    commit.close(5)
    assert (alive, written, len(told)) == (3, 3, 3)
    assert not any(item.error for item in told)
