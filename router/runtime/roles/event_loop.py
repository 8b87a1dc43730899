"""A role that lives on an event loop; and the alerts of every role."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

import structlog
import uvloop

from router.contracts import RECOVERIES
from router.runtime.roles import Ready

log = structlog.get_logger()


def alert(what: str, facts: Mapping[str, str]) -> None:
    """Something a person should look at: a line that the alert rules of the log count. A recovery calls nobody."""
    if what in RECOVERIES:
        log.info(what, recovery=what, **facts)
    else:
        log.error(what, alert=what, **facts)


class EventLoopRole(ABC):
    """A role that lives on an event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False

    def run(self, ready: Ready) -> None:
        uvloop.run(self._run(ready))

    async def _run(self, ready: Ready) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopped:
            return
        await self._work(self._stop, ready)

    @abstractmethod
    async def _work(self, stop: asyncio.Event, ready: Ready) -> None:
        """Until `stop` is set; `ready` is called once."""

    def stop(self) -> None:
        self._stopped = True
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
