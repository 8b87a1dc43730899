"""Long waits leave memory and pin nothing: rows go back to the ledger, bytes to `held.<sink>`, which never expires.

Bytes first, then the rows that point to them. The lane can't start meanwhile, and everything that could touch
its rows runs in the same dispatcher, one thing at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.contracts import Outgoing, Row, held_topic
from router.engine.delivery.durable_writer import MAX_BYTES, DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.supersession_rules import FINAL
from router.engine.delivery.worker_settings import WorkerSettings
from router.exchange import Origin
from router.wire import delivery_record

AT_ONCE: Final = 200
"""The most rows of one lane that one sweep moves. The rest follow in the next sweep."""
LANES_AT_ONCE: Final = 32


class Spill:
    """Moves waiting lanes of one sink worker out of memory."""

    def __init__(self, settings: WorkerSettings, lanes: Lanes, payloads: PayloadCache, writer: DurableWriter) -> None:
        self._settings = settings
        self._lanes = lanes
        self._payloads = payloads
        self._writer = writer

    async def sweep(self) -> None:
        """Evict the lanes that have been waiting for longer than `Limits.hold_after`. Raises `Fenced`."""
        backlog = self._lanes.backlog
        before = self._settings.clock.monotonic() - self._settings.limits.hold_after
        for lane in backlog.waiting_since(before)[:LANES_AT_ONCE]:
            if (gone := backlog.evict(lane)) is None:
                continue  # it went on while others were moved: its rows have another writer now
            for pending in gone:
                self._payloads.release(pending)
            ids = backlog.unspilled(lane, AT_ONCE)
            try:
                await self._hold(ids)
            finally:
                backlog.spilled(lane, ids)

    async def _hold(self, ids: list[str]) -> None:
        topic = held_topic(self._settings.sink)
        found = await self._writer.ask(lambda ledger: ledger.get(ids))
        rows = [found[id_] for id_ in ids if id_ in found]
        batch: list[tuple[Row, Outgoing]] = []
        weight = 0
        for row in rows:
            if row.state in FINAL or row.bytes_at.topic == topic:
                continue
            payload = await self._payloads.read(row)
            if payload is None:
                continue  # its attempt will find that out and say so
            if batch and weight + len(payload) > MAX_BYTES:
                await self._move(batch)
                batch, weight = [], 0
            batch.append((row, delivery_record(replace(row.delivery, payload=payload), topic)))
            weight += len(payload)
        await self._move(batch)

    async def _move(self, batch: list[tuple[Row, Outgoing]]) -> None:
        if not batch:
            return
        rows, now = [row for row, _ in batch], self._settings.clock.now()

        def moved(origins: Sequence[Origin]) -> list[Row]:
            return [replace(row, bytes_at=at, updated=now) for row, at in zip(rows, origins, strict=True)]

        partitions = sorted({row.partition for row in rows})
        await self._writer.write(partitions, records=[record for _, record in batch], rows=moved)
