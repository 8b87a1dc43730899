"""A TCP listener that can go away and come back on the same port, cutting whoever was connected."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

_HANDSHAKE: Final = 10.0
"""Seconds a client may take for its TLS handshake."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Serves each connection with `serve`. `port` 0 chooses one, kept over `stop` and `start`."""

    def __init__(
        self, serve: Serve, host: str, port: int, context: ssl.SSLContext | None, *, limit: int = 2**20
    ) -> None:
        self._serve = serve
        self._host = host
        self.port = port
        self._context = context
        self._limit = limit
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        patience = _HANDSHAKE if self._context is not None else None
        self._server = await asyncio.start_server(
            self._connected,
            self._host,
            self.port,
            ssl=self._context,
            ssl_handshake_timeout=patience,
            limit=self._limit,
            reuse_address=True,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on and cut those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)
