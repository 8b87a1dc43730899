"""Hostile peers, for tests and for the soak: what they do to the ways in of a gateway, from addresses of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

from tests.gateway.gateway_parts import hl7

DOCUMENT = "OBX|1|ED|||" + "x" * 300_000
GONE: Final = (OSError, RuntimeError)
"""What a write on a connection that the other side has ended raises: the second by uvloop."""


class Crowd:
    """`async with Crowd(source) as crowd:` connections from one loopback address; all are aborted at the end."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.keep(0)

    async def opened(self, port: int, data: bytes) -> asyncio.StreamWriter:
        """A connection on which so much was sent. Raises OSError when nobody listens."""
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(self.source, 0))
        self.writers.append(writer)
        writer.write(data)
        return writer

    def keep(self, last: int) -> None:
        """Abort all but the last ones."""
        end = max(0, len(self.writers) - last)
        for writer in self.writers[:end]:
            writer.transport.abort()
        del self.writers[:end]

    async def trickle(self, data: bytes, every: float) -> None:
        """For ever, so much on each connection."""
        while True:
            for writer in self.writers:
                with contextlib.suppress(*GONE):
                    writer.write(data)
            await asyncio.sleep(every)


async def half_frames(ports: dict[str, int], source: str) -> None:
    """175 half frames of 400 kB, then silence."""
    async with Crowd(source) as crowd:
        for _ in range(175):
            await crowd.opened(ports["sil"], b"\x0bMSH|^~\\&|LAB|" + b"x" * 400_000)
        await asyncio.sleep(60)


async def idle(ports: dict[str, int], source: str) -> None:
    """More connections than there are descriptors, on every port, which say nothing and come again."""
    async with Crowd(source) as crowd:
        while True:
            for port in ports.values():
                for _ in range(40):
                    with contextlib.suppress(OSError):
                        await crowd.opened(port, b"")
            crowd.keep(600)
            await asyncio.sleep(0.3)


async def slow_bodies(ports: dict[str, int], source: str, feed: str = "ris") -> None:
    """HTTP requests that trickle."""
    head = f"POST /feeds/{feed} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 900000\r\n\r\nMSH"
    async with Crowd(source) as crowd:
        for _ in range(100):
            await crowd.opened(ports["http"], head.encode())
        await crowd.trickle(b"x", 0.2)


async def half_closes(ports: dict[str, int], source: str, *, readable: bool = True) -> None:
    """Messages after which the sender closes its side, cuts the connection, or ends its frame oddly."""
    number = 0
    async with Crowd(source) as crowd:
        while True:
            number += 1
            message = b"\x0b" + (hl7(f"{source}-{number}", DOCUMENT) if readable else b"no message" * 40_000)
            with contextlib.suppress(*GONE):
                end = (b"\x1c\r", b"\x1c\n", b"\x1c\x00", b"")[number % 4]
                writer = await crowd.opened(ports["sil"], message + end)
                await writer.drain()
                writer.write_eof()
                if number % 3 == 0:
                    writer.transport.abort()
            crowd.keep(100)
            await asyncio.sleep(0.05)


async def trickles(ports: dict[str, int], source: str) -> None:
    """Frames of one byte now and then, and control ids without end."""
    async with Crowd(source) as crowd:
        for _ in range(60):
            await crowd.opened(ports["ris"], b"\x0bMSH|^~\\&|A|B|C|D|2026||ORU^R01|")
        await crowd.trickle(b"7" * 1000, 0.1)


async def nothing(_ports: dict[str, int], _source: str) -> None:
    """No attack: what the machine can do at all."""


Attack = Callable[[dict[str, int], str], Coroutine[Any, Any, None]]
