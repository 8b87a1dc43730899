"""Long waits leave memory and pin nothing: rows go back to the ledger, bytes to `held.<sink>`, which never expires.

Bytes first, then the rows that point to them. The lane can't start meanwhile, and everything that could touch
its rows runs in the same intake, one thing at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from router.contracts import Outgoing, Row, held_topic
from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import MAX_BYTES
from router.engine.delivery.supersession_rules import FINAL
from router.engine.delivery.worker_context import WorkerContext
from router.exchange import Origin
from router.wire import delivery_record

AT_ONCE = 200
"""Rows of one lane moved in one go; the rest follow in the next sweep."""
LANES_AT_ONCE = 32


class Spill:
    """Moves waiting lanes out of the window of one sink worker."""

    def __init__(self, parts: WorkerContext) -> None:
        self._parts = parts

    async def sweep(self) -> None:
        """Send away the lanes that have been waiting for longer than a minute."""
        parts = self._parts
        before = parts.clock.monotonic() - parts.limits.hold_after
        for lane in parts.lanes.backlog.waiting_since(before)[:LANES_AT_ONCE]:
            if (gone := parts.lanes.backlog.evict(lane)) is None:
                continue  # it went on while others were moved: its rows have another writer now
            for pending in gone:
                parts.release(pending)
            ids = parts.lanes.backlog.unspilled(lane, AT_ONCE)
            try:
                await self._hold(ids)
            finally:
                parts.lanes.backlog.spilled(lane, ids)

    async def _hold(self, ids: list[str]) -> None:
        parts = self._parts
        topic = held_topic(parts.sink.name)
        found = await parts.writer.ask(lambda ledger: ledger.get(ids))
        rows = [found[id_] for id_ in ids if id_ in found]
        batch: list[tuple[Row, Outgoing]] = []
        weight = 0
        for row in rows:
            if row.state in FINAL or row.bytes_at.topic == topic:
                continue
            payload = await parts.payload(row)
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
        rows, now = [row for row, _ in batch], self._parts.clock.now()

        def moved(origins: object) -> list[Row]:
            places: list[Origin] = list(origins)  # type: ignore[call-overload]
            return [replace(row, bytes_at=at, updated=now) for row, at in zip(rows, places, strict=True)]

        partitions = sorted({row.partition for row in rows})
        await self._parts.writer.write(partitions, records=[record for _, record in batch], rows=moved)


class SpillLoader:
    """Brings rows back from the ledger when their lane runs empty and the window has room."""

    def __init__(self, parts: WorkerContext) -> None:
        self._parts = parts
        self._tasks: set[asyncio.Task[None]] = set()

    def pump(self) -> None:
        """Start to fetch what the lanes want; returns at once."""
        if asked := self._parts.lanes.backlog.wanted(LANES_AT_ONCE):
            task = asyncio.get_running_loop().create_task(self._load(asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _load(self, asked: list[tuple[str, list[str]]]) -> None:
        parts = self._parts
        ids = [id_ for _, some in asked for id_ in some]
        found = await parts.writer.ask(lambda ledger: ledger.get(ids))
        for lane, some in asked:
            rows = [
                row_transitions.restarted(found[id_]) for id_ in some if id_ in found and found[id_].state not in FINAL
            ]
            parts.lanes.backlog.load(lane, [(row, parts.due(row)) for row in rows])
        parts.pump()
