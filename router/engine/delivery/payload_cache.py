"""The payloads of a sink worker's deliveries: in memory up to a budget, otherwise read from where they stand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from router.contracts import Bus, Header, Record, Row, out_topic
from router.engine.delivery.pending_delivery import PendingDelivery
from router.engine.retry_policy import backoff
from router.errors import RouterError, Unavailable
from router.exchange import Origin
from router.wire import delivery_at, record_at

AHEAD_SECONDS: Final = 0.02
"""For so long payloads are read in advance: lanes wait for it, and on Kafka each one is a question to the broker."""


class PayloadCache:
    """Owns `PendingDelivery.payload`. `budget`: bytes of all payloads in memory.

    An attempt needs its payload: when the budget is spent it waits until another attempt gives its bytes back. If no
    other attempt has any, it goes on: one payload may be larger than the whole budget.
    """

    def __init__(self, bus: Bus, budget: int) -> None:
        self._bus = bus
        self._budget = budget
        self._attempts = 0
        """Attempts under way that hold their payload."""
        self._one_reader = asyncio.Lock()
        self._freed = asyncio.Event()
        self._pool = ThreadPoolExecutor(2, "payloads")
        self.held = 0
        """Payload bytes in memory."""

    @property
    def room(self) -> int:
        """Bytes that are left of the budget; negative when it is overdrawn."""
        return self._budget - self.held

    def keep(self, pending: PendingDelivery, payload: bytes) -> None:
        """Leave the payload with its delivery if the budget allows."""
        if pending.payload is None and len(payload) <= self.room:
            pending.payload = payload
            self.held += len(payload)

    def release(self, pending: PendingDelivery) -> None:
        """The delivery leaves memory, its bytes too."""
        if pending.payload is not None:
            self.held -= len(pending.payload)
            pending.payload = None
            self._freed.set()

    async def acquire(self, pending: PendingDelivery) -> bytes | None:
        """The payload for an attempt, within the budget; None when the bus no longer has it (then nothing is acquired).

        Each payload that was acquired must be given back.
        """
        if pending.payload is None:
            async with self._one_reader:
                while self.room <= 0 and self._attempts:
                    self._freed.clear()
                    await self._freed.wait()
                payload = await self.read(pending.row)
                if payload is None:
                    return None
                pending.payload = payload
                self.held += len(payload)
        self._attempts += 1
        return pending.payload

    def give_back(self, pending: PendingDelivery, *, keep: bool) -> None:
        """The attempt is over; `keep` the bytes for the next one if more than half of the budget is free."""
        self._attempts -= 1
        self._freed.set()
        if not keep or self.held > self._budget // 2:
            self.release(pending)

    async def read_ahead(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """By delivery id the payloads of rows that come into memory, in this order: what fits, and is read soon.

        One errand instead of one for each attempt. They are for `keep`.
        """
        space = self.room // 2
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read_some, rows, space)

    def _read_some(self, rows: Sequence[Row], space: int) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        until = time.monotonic() + AHEAD_SECONDS
        for row in rows:
            if space <= 0 or time.monotonic() > until:
                break
            try:
                record = delivery_at(self._bus, row)
            except RouterError:  # the attempt that needs it meets the trouble again
                break
            if record is not None:
                found[row.delivery.id] = record.value
                space -= len(record.value)
        return found

    async def read(self, row: Row) -> bytes | None:
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
                return await loop.run_in_executor(self._pool, record_at, self._bus, place, Header.DELIVERY, delivery_id)
            except Unavailable:
                attempts += 1
                await asyncio.sleep(backoff(attempts, 0.1, 2.0, 5.0, 0.1))

    def close(self) -> None:
        """End the threads once they have read what they are at."""
        self._pool.shutdown(wait=False)
