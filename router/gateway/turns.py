"""The thread that checks messages, and whose turn it is: it goes round the senders.

Who sends many messages at once waits behind his own; another's message waits for one of each sender at most.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")
_Waiting = tuple["asyncio.Future[T]", Callable[[], T]]

_AHEAD: Final = 2
"""Pieces of work that the thread has: one in work, and one that it starts next."""


class Turns:
    """Belongs to one event loop. `pool`: an executor of one thread."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._queues: OrderedDict[tuple[str, ...], deque[_Waiting[object]]] = OrderedDict()
        self._handed = 0

    async def run(self, sender: tuple[str, ...], work: Callable[[], T]) -> T:
        """Do it in the thread when it is this sender's turn; raises what it raises."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(sender, deque()).append((future, work))
        self._hand_over()
        return await future  # type: ignore[return-value]  # what `work` gave

    def _hand_over(self) -> None:
        while self._queues and self._handed < _AHEAD:
            sender, queue = self._queues.popitem(last=False)
            future, work = queue.popleft()
            if queue:
                self._queues[sender] = queue  # behind the others
            if future.cancelled():
                continue
            self._handed += 1
            done = asyncio.get_running_loop().run_in_executor(self._pool, work)
            done.add_done_callback(partial(self._done, future))

    def _done(self, future: asyncio.Future[object], done: asyncio.Future[object]) -> None:
        self._handed -= 1
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            future.cancel()
        elif not future.done() and error is not None:
            future.set_exception(error)
        elif not future.done():
            future.set_result(done.result())
        self._hand_over()
