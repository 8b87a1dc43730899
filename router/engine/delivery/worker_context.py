"""What the parts of one sink worker share: its limits, its bytes, its tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

from router.contracts import Alert, Bus, Clock, Header, Observer, Record, Row, Sink, no_alert, out_topic
from router.engine.dead_letters.evidence import Names
from router.engine.dead_letters.remediation import Advice, next_step
from router.engine.delivery.circuit import Breaker
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.partition_reader import PartitionReader
from router.engine.delivery.pending_delivery import PendingDelivery
from router.engine.retry_policy import RetryPolicy, TokenBucket, backoff
from router.errors import Unavailable
from router.exchange import Delivery, Origin
from router.wire import record_at

BUGS_IN_A_ROW: Final = 10
"""Unexpected errors of a sink without a success between them, after which its circuit opens instead."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a sink worker; the defaults are those of architecture §budgets."""

    window: int = 10_000
    """Rows in memory."""
    known: int = 50_000
    """Rows that only the ledger holds, known by their rank."""
    near: int = 64
    """Rows of one lane in memory."""
    bytes: int = 64 * 1024 * 1024
    """Payload bytes in memory; beyond, they are dropped and read again."""
    patience: float = 10.0
    """Seconds given to what is on the wire when a partition leaves or the worker stops."""
    hold_after: float = 60.0
    """Seconds after which a waiting lane leaves memory."""
    sweep: float = 5.0
    """Seconds between two looks for such lanes."""


@dataclass(slots=True)
class WorkerContext:
    """See the module."""

    sink: Sink
    bus: Bus
    writer: DurableWriter
    reader: PartitionReader
    lanes: Lanes
    breaker: Breaker
    bucket: TokenBucket
    policy: RetryPolicy
    limits: Limits
    clock: Clock
    observer: Observer
    alert: Alert = no_alert
    advice: Advice = next_step
    names: Names = field(default_factory=dict)
    """Of evidence: what operators call it."""
    pump: Callable[[], None] = lambda: None
    held: int = 0
    """Payload bytes in memory."""
    mine: set[int] = field(default_factory=set)
    """Partitions whose lanes are here."""
    bugs: int = 0
    carrying: int = 0
    """Attempts under way that hold their payload."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "payloads"))

    def keep(self, slot: PendingDelivery | None, payload: bytes) -> None:
        """Leave the payload with its slot if the budget allows."""
        if slot is not None and slot.payload is None and self.held + len(payload) <= self.limits.bytes:
            slot.payload = payload
            self.held += len(payload)

    def release(self, slot: PendingDelivery) -> None:
        """The slot leaves memory, its bytes too."""
        if slot.payload is not None:
            self.held -= len(slot.payload)
            slot.payload = None
            self.freed.set()

    async def payload(self, row: Row) -> bytes | None:
        """The bytes of a delivery, read from where they stand; None when the bus no longer has them.

        While the bus is away it waits.
        """
        places = [row.bytes_at]
        if not row.delivery.replay and row.sequence >= 0:  # its own record is the second place
            places.append(Origin(out_topic(row.delivery.sink), row.partition, row.sequence))
        for place in dict.fromkeys(places):
            if (record := await self._read(place, row.delivery.id)) is not None:
                return record.value
        return None

    async def _read(self, place: Origin, delivery_id: str) -> Record | None:
        loop, attempts = asyncio.get_running_loop(), 0
        while True:
            try:
                return await loop.run_in_executor(self.pool, record_at, self.bus, place, Header.DELIVERY, delivery_id)
            except Unavailable:
                attempts += 1
                await asyncio.sleep(backoff(attempts, 0.1, 2.0, 5.0, 0.1))

    async def carry(self, slot: PendingDelivery) -> bytes | None:
        """The payload of a slot on the wire, within the budget: it may have to wait for others to end."""
        if slot.payload is None:
            async with self.reading:
                while self.held >= self.limits.bytes and self.carrying:
                    self.freed.clear()
                    await self.freed.wait()
                payload = await self.payload(slot.row)
                if payload is None:
                    return None
                slot.payload = payload
                self.held += len(payload)
        self.carrying += 1
        return slot.payload

    def put_down(self, slot: PendingDelivery, *, keep: bool) -> None:
        """The attempt is over; `keep` the bytes for the next one if there is plenty of room."""
        self.carrying -= 1
        self.freed.set()
        if not keep or self.held > self.limits.bytes // 2:
            self.release(slot)

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """The sink's context of a receipt; a sink that fails on it costs the context, not the receipt."""
        try:
            return self.sink.context(delivery)
        except Exception:
            self.alert("context", {"sink": self.sink.name, "delivery": delivery.id})
            return {}

    async def context_of(self, row: Row, payload: bytes | None = None) -> Mapping[str, str]:
        """The same for a row whose bytes may have to be read first."""
        if payload is None:
            payload = await self.payload(row)
        return {} if payload is None else self.context(replace(row.delivery, payload=payload))

    def due(self, row: Row) -> float:
        """Monotonic time of a row's next try; a clock that jumped makes nobody wait longer than the ceiling."""
        delay = min(row.next_try - self.clock.now(), self.policy.ceiling)
        return self.clock.monotonic() + delay if delay > 0 else 0.0
