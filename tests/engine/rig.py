"""One sink worker on a bus and a ledger in memory, and what tests ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from router.contracts import Header, Outgoing, out_topic
from router.engine.delivery.worker import SinkWorker
from router.engine.delivery.worker_settings import Limits
from router.engine.retry_policy import RetryPolicy
from router.exchange import Delivery, Receipt, State
from router.wire import delivery_record, read_journal, read_receipt
from tests.engine.memory import MemoryBus, MemoryLedger
from tests.engine.sinks import ScriptedSink

FAST = RetryPolicy(first=0.02, factor=1.0, ceiling=0.05, jitter=0.0, probe_first=0.02, probe_ceiling=0.05)


class Rig:
    """One sink, its bus and ledger, and what a test asks of them."""

    def __init__(self, sink: ScriptedSink | None = None) -> None:
        self.bus = MemoryBus()
        self.ledger = MemoryLedger()
        self.sink = sink or ScriptedSink()
        self.published: list[Delivery] = []
        self.alerts: list[str] = []

    def publish(self, *deliveries: Delivery) -> None:
        self.published += deliveries
        self.bus.producer("test").publish([delivery_record(d) for d in deliveries])

    def command(self, d: Delivery, command: str, text: str = "", **more: str) -> None:
        headers = {Header.COMMAND: command, Header.DELIVERY: d.id, Header.ID: d.event_id, Header.TEXT: text, **more}
        self.bus.producer("test").publish([Outgoing(out_topic(d.sink), d.key, b"", headers)])

    def worker(self, **options: Any) -> SinkWorker:
        given: dict[str, Any] = {"member": "sinks-0", "policy": FAST, "limits": Limits(patience=1.0), **options}
        return SinkWorker(self.sink, self.bus, self.ledger, alert=lambda what, _: self.alerts.append(what), **given)

    def state(self, d: Delivery) -> State | None:
        row = self.ledger.rows.get(d.id)
        return None if row is None else row.state

    def finished(self) -> bool:
        """Whether every published delivery is done."""
        return all(self.state(d) is State.DONE for d in self.published)

    def receipts(self, d: Delivery) -> list[Receipt]:
        return [r for r in map(read_receipt, self.bus.scan("receipts")) if r.delivery_id == d.id]

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[SinkWorker]:
        worker = self.worker(**options)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(task, 10)

    async def until(self, truth: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not truth():  # noqa: ASYNC110 - the truth is on another thread
                await asyncio.sleep(0.005)

    async def settled(self, *states: State) -> None:
        """Every published delivery is in one of these states (default: done)."""
        wanted = states or (State.DONE,)
        await self.until(lambda: all(self.state(d) in wanted for d in self.published))


def play(story: Callable[[Rig], Coroutine[Any, Any, None]], sink: ScriptedSink | None = None) -> Rig:
    rig = Rig(sink)
    asyncio.run(story(rig))
    return rig


def journal(rig: Rig) -> list[str]:
    """Codes of the journalled commands."""
    return [entry.code for entry in map(read_journal, rig.bus.scan("journal")) if entry.kind == "command"]
