"""Refused files whose answers are awaited while the next files are read: some at once, of some bytes.

A file that is refused changes no order of messages, so nothing has to wait for its line in the dead letters to be
durable. Otherwise many of them, one sync of the disk each, would delay the good file behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from router.gateway.writer import BATCH_BYTES

_AT_ONCE: Final = 32


class Aside:
    """Belongs to one event loop. `put` waits while there is no room."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], int] = {}

    async def put(self, size: int, work: Coroutine[Any, Any, None]) -> None:
        """Do this work beside the caller's; `size`: bytes that it holds. It must raise nothing."""
        self._tasks[asyncio.create_task(work)] = size
        while len(self._tasks) > _AT_ONCE or (len(self._tasks) > 1 and sum(self._tasks.values()) > BATCH_BYTES):
            await self._some(asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """Wait until all has ended."""
        if self._tasks:
            await self._some(asyncio.ALL_COMPLETED)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _some(self, which: str) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=which)
        for task in done:
            del self._tasks[task]
            task.result()
