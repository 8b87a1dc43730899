"""The payloads of a sink worker: kept within a budget, read again from where they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from router.contracts import Row
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import Lane, PendingDelivery
from router.errors import Unavailable
from router.exchange import Origin
from router.wire import delivery_record
from tests.engine.memory import MemoryBus
from tests.engine.sinks import delivery

SIZE = 1000


def place(bus: MemoryBus, number: int) -> PendingDelivery:
    """A delivery of `SIZE` bytes on the bus; nothing of it is in memory."""
    made = delivery(number, payload=bytes([number]) * SIZE)
    (origin,) = bus.producer("test").publish([delivery_record(made)])
    bare = replace(made, payload=b"")
    row = Row(delivery=bare, partition=origin.partition, sequence=origin.offset, bytes_at=origin)
    return PendingDelivery(row, Lane(bare.lane, origin.partition), None, 0.0)


def play(story: Callable[[MemoryBus, PayloadCache], Coroutine[Any, Any, None]], *, budget: int) -> None:
    bus = MemoryBus()
    cache = PayloadCache(bus, budget)
    asyncio.run(story(bus, cache))
    cache.close()


def test_a_payload_is_kept_only_within_the_budget() -> None:
    """A payload that the budget has no room for is not kept; once another is released the next one is."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        one, two = place(bus, 1), place(bus, 2)
        cache.keep(one, b"1" * SIZE)
        cache.keep(two, b"2" * SIZE)
        assert (one.payload, two.payload, cache.held, cache.room) == (b"1" * SIZE, None, SIZE, 500)
        cache.release(one)
        cache.release(one)
        assert (one.payload, cache.held) == (None, 0)
        cache.keep(two, b"2" * SIZE)
        assert (two.payload, cache.held) == (b"2" * SIZE, SIZE)

    play(story, budget=SIZE + 500)


def test_an_attempt_waits_for_the_bytes_of_another() -> None:
    """With the budget spent an attempt is without its payload until another attempt gives its bytes back."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        one, two = place(bus, 1), place(bus, 2)
        assert await cache.acquire(one) == b"\1" * SIZE
        second = asyncio.create_task(cache.acquire(two))
        await asyncio.sleep(0.1)
        assert not second.done()
        cache.give_back(one, keep=False)
        assert await asyncio.wait_for(second, 5) == b"\2" * SIZE
        assert cache.held == SIZE

    play(story, budget=SIZE)


def test_a_payload_larger_than_the_budget_is_acquired_when_no_attempt_holds_any() -> None:
    """One large document must not wait for ever: alone it may overdraw the budget."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        large = place(bus, 1)
        assert await asyncio.wait_for(cache.acquire(large), 5) == b"\1" * SIZE
        assert cache.room < 0
        cache.give_back(large, keep=True)
        assert (large.payload, cache.held) == (None, 0)

    play(story, budget=10)


def test_bytes_are_kept_for_the_next_attempt_while_half_of_the_budget_is_free() -> None:
    """What will be tried again soon is not read again, unless the memory is needed for others."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        one, two = place(bus, 1), place(bus, 2)
        await cache.acquire(one)
        cache.give_back(one, keep=True)
        assert one.payload == b"\1" * SIZE
        await cache.acquire(two)
        cache.give_back(two, keep=True)
        assert (two.payload, cache.held) == (None, SIZE)

    play(story, budget=2 * SIZE)


def test_bytes_are_read_from_the_deliverys_own_record_when_they_are_gone_elsewhere() -> None:
    """The record on `out` is the second place; without it the payload is lost, and nothing is acquired."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        moved, lost = place(bus, 1), place(bus, 2)
        gone = Origin("held.s", 0, 77)
        moved.row = replace(moved.row, bytes_at=gone)
        lost.row = replace(lost.row, bytes_at=gone, sequence=-1)
        assert await cache.acquire(moved) == b"\1" * SIZE
        assert await cache.acquire(lost) is None
        assert (lost.payload, cache.held) == (None, SIZE)

    play(story, budget=10 * SIZE)


def test_bytes_of_another_delivery_are_not_taken() -> None:
    """A topic may have been made anew: a record at the place that names another delivery is not its payload."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        one, two = place(bus, 1), place(bus, 2)
        other = two.row.bytes_at
        assert await cache.read(replace(one.row, bytes_at=other, sequence=-1)) is None

    play(story, budget=10 * SIZE)


def test_reading_waits_while_the_bus_is_away() -> None:
    """An outage of the bus costs time, not the payload."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        one, read, failures = place(bus, 1), bus.read, [2]

        def away(origin: Origin) -> object:
            if failures[0]:
                failures[0] -= 1
                raise Unavailable("BUS")
            return read(origin)

        bus.read = away  # type: ignore[method-assign, assignment]
        assert await asyncio.wait_for(cache.acquire(one), 5) == b"\1" * SIZE
        assert failures == [0]

    play(story, budget=10 * SIZE)


def test_payloads_are_read_ahead_within_half_of_the_room() -> None:
    """What fits comes in one errand, in order; what the bus has lost is left to the attempt."""

    async def story(bus: MemoryBus, cache: PayloadCache) -> None:
        made = [place(bus, number) for number in range(4)]
        made[0].row = replace(made[0].row, bytes_at=Origin("out.s", 0, 99))
        found = await cache.read_ahead([one.row for one in made])
        assert found == {made[1].id: b"\1" * SIZE, made[2].id: b"\2" * SIZE}
        assert cache.held == 0
        bus.away = True
        assert await cache.read_ahead([made[1].row]) == {}

    play(story, budget=3 * SIZE)
