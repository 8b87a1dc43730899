"""A worker of a sink for the world of the console: it refuses, or delivers, until every delivery has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from router.contracts import Attempt
from router.engine.delivery.worker import SinkWorker
from router.errors import Refused
from router.exchange import Delivery, State
from router.wire import delivery_record
from tests.console.console_world import World
from tests.engine.sinks import ScriptedSink, delivery

Fault = Callable[[Delivery, Attempt], Exception | None]


def full(_delivery: Delivery, _attempt: Attempt) -> Exception | None:
    """The mailbox is full."""
    return Refused("MSS-552", "RCPT", "boîte pleine")


def publish(world: World, count: int, *, sink: str, structure: str, start: int = 0) -> list[str]:
    """Deliveries of so many events of a structure; returns their ids."""
    made = [
        replace(delivery(number, f"lane-{number}", sink=sink, feed="sil", pipeline="documents"), structure=structure)
        for number in range(start, start + count)
    ]
    world.services.bus.producer("test").publish([delivery_record(one) for one in made])
    return [one.id for one in made]


def work(
    world: World, sink: str, ids: list[str], state: State, *, fault: Fault | None = None, since: float = 0.0
) -> None:
    """Run the worker until each of these deliveries is in this state, by an attempt after this Unix time."""
    made = ScriptedSink(sink)
    if fault is not None:
        made.behaviour = fault
    ledger = world.services.ledger()

    async def run() -> None:
        worker = SinkWorker(made, world.services.bus, world.services.ledger(), member="sinks-0")
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while True:
                rows = await asyncio.to_thread(ledger.get, ids)
                if len(rows) == len(ids) and all(row.state is state and row.updated > since for row in rows.values()):
                    break
                await asyncio.sleep(0.02)
        worker.stop()
        await task

    asyncio.run(run())


def dead(world: World, count: int, *, sink: str, structure: str, start: int = 0) -> list[str]:
    """So many dead letters of one cause: `MSS-552`."""
    ids = publish(world, count, sink=sink, structure=structure, start=start)
    work(world, sink, ids, State.DEAD, fault=full)
    return ids
