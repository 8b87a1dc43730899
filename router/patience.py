"""How long a peer may take: one silence, and one whole call.

A limit of silences alone is no limit: a peer that sends a byte now and then would hold a call for ever. A whole call
may take `TOTAL` silences, and the time that its bytes need at `SLOWEST`; or a time that its caller says.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

TOTAL: Final = 10
SLOWEST: Final = 16 * 1024
"""Bytes per second: a slow line that moves so many is no trickle."""


class Patience:
    """One call of a peer.

    silence:   seconds without a byte after which it is over
    monotonic: of the clock that `until` is compared with
    total:     seconds for the whole, however much moves; None: as the module says
    """

    def __init__(
        self, silence: float, monotonic: Callable[[], float] = time.monotonic, *, total: float | None = None
    ) -> None:
        self._silence, self._monotonic = silence, monotonic
        self._end = monotonic() + (TOTAL * silence if total is None else total)
        self._slowest = SLOWEST if total is None else math.inf

    def moved(self, size: int) -> None:
        """So many bytes came or left."""
        self._end += size / self._slowest

    def until(self) -> float:
        """The moment until which the next piece may be waited for, counted from now."""
        return min(self._monotonic() + self._silence, self._end)

    def left(self) -> float:
        """Seconds for the next piece. Raises `TimeoutError` when the call is over."""
        left = self.until() - self._monotonic()
        if left <= 0:
            raise TimeoutError("the whole call takes too long")
        return left

    def receive(self, line: socket.socket, most: int) -> bytes:
        """The next piece of what a peer sends, at most so many bytes; b"" at its end. Raises `OSError`."""
        line.settimeout(self.left())
        piece = line.recv(most)
        self.moved(len(piece))
        return piece


class Timer:
    """The patience of a call that is awaited: see `patient`."""

    def __init__(self, patience: Patience, timeout: asyncio.Timeout) -> None:
        self._patience, self._timeout = patience, timeout

    def moved(self, size: int) -> None:
        """So many bytes came or left: the next silence begins."""
        self._patience.moved(size)
        self._timeout.reschedule(self._patience.until())


@asynccontextmanager
async def patient(silence: float, first: float = 0.0, *, total: float | None = None) -> AsyncIterator[Timer]:
    """Ends the block with `TimeoutError` when the peer is silent, or the whole takes too long.

    first: seconds that the first silence may last longer, e.g. to connect;  total: see `Patience`
    """
    loop = asyncio.get_running_loop()
    patience = Patience(silence, loop.time, total=total)
    async with asyncio.timeout_at(patience.until() + first) as timeout:
        yield Timer(patience, timeout)
