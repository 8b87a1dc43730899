"""How many mails a minute an operator takes, and from one mailbox (mssante §7: no figure is published, the site says).

The turns are those of all processes of the site (`contracts.Turns`). A few mails wait here for theirs; the others go
back to their lanes and come again at about their time, so that one mailbox's queue holds up no other mailbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from router.contracts import Turns
from router.errors import Unavailable
from router.language import N_
from router.sinks.mssante.settings import SLOWED, MssanteConfig
from router.sinks.tools import next_turn

WAITING: Final = 8
"""Mails of one queue that wait here for their turn; deletions are not counted: they go first (decisions D1)."""


@dataclass(slots=True)
class _Queue:
    """The mails of one mailbox, or of one operator, that wait for a turn."""

    interval: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    until: float = 0.0
    """Monotonic time up to which mails were sent back to come again."""


class Pace:
    """Lives on one event loop."""

    def __init__(
        self,
        config: MssanteConfig,
        turns: Turns,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._server = f"smtp|{config.host.lower()}:{config.port}"
        self._operator = config.mails_per_minute
        self._mailbox = config.mailbox_mails_per_minute
        self._turns = turns
        self._monotonic = monotonic
        self._sleep = sleep
        self._queues: dict[str, _Queue] = {}

    async def turn(self, mailbox: str, *, urgent: bool) -> None:
        """Wait until a mail of this mailbox may leave. urgent: before those that wait already.

        Raises `Unavailable` `MSS-DEBIT` when it is to come again later, at no cost to its budget.
        """
        if self._mailbox is not None:
            await self._wait(f"{self._server}|{mailbox.lower()}", self._mailbox, urgent)
        if self._operator is not None:
            await self._wait(self._server, self._operator, urgent)

    async def _wait(self, name: str, per_minute: float, urgent: bool) -> None:
        queue = self._queues.setdefault(name, _Queue(60 / per_minute))
        if urgent:
            await self._take(name, queue)
            return
        if queue.waiting >= WAITING:
            raise self._later(queue)
        queue.waiting += 1
        try:
            async with queue.lock:  # one of them has its turn reserved: turns are not given back
                await self._take(name, queue)
        finally:
            queue.waiting -= 1

    async def _take(self, name: str, queue: _Queue) -> None:
        wait = await next_turn(self._turns, name, queue.interval)
        if wait > 0:
            await self._sleep(wait)

    def _later(self, queue: _Queue) -> Unavailable:
        """When the turn of one more mail will have come, by what waits here and was sent back before it."""
        now = self._monotonic()
        queue.until = max(queue.until, now + queue.waiting * queue.interval) + queue.interval
        text = N_("débit de la boîte ou de l'opérateur atteint : l'envoi attend son tour")
        return Unavailable(SLOWED, "pace", text, circuit=False, counted=False, retry_after=queue.until - now)
