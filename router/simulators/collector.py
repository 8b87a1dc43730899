"""An audit record repository: syslog over TLS (RFC 5425) that keeps every message, and can go away."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self

from router.simulators.listener import Listener

_LONGEST: Final = 1 << 20


class Collector:
    """`async with Collector(context) as collector:` listens on `collector.port`; `received` keeps every SYSLOG-MSG."""

    def __init__(self, context: ssl.SSLContext | None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.received: list[bytes] = []
        self._listener = Listener(self._serve, host, port, context)

    @property
    def port(self) -> int:
        return self._listener.port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listener.start()

    async def stop(self) -> None:
        """Go away, and cut who is connected."""
        await self._listener.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while length := (await reader.readuntil(b" ")).strip():
                if not length.isdigit() or not 0 < int(length) <= _LONGEST:
                    break  # no frame of RFC 5425
                self.received.append(await reader.readexactly(int(length)))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()
