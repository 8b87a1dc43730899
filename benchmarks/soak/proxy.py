"""A TCP relay on loopback that can cut connections in the middle of a body or of an answer, and hold answers back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Literal, Self

Side = Literal["body", "answer"]
_CHUNK = 65_536


class Proxy:
    """`async with Proxy(port) as proxy:` clients connect to `proxy.port`. Bytes of a connection keep their order.

    `body` flows towards the server, `answer` back from it.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port
        self.cuts = 0
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._strikes: dict[Side, list[float]] = {"body": [], "answer": []}
        self._hold = (0.0, 0.0)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()

    # --------------------------------------------------------------------------------------------- trouble

    def cut(self, side: Side, share: float) -> None:
        """Cut the next connection on which bytes flow that way, after this share (0 to 1) of what flows at once."""
        self._strikes[side].append(share)

    def cut_all(self) -> None:
        """Cut every open connection now."""
        for link in list(self._links):
            link.abort()

    def hold(self, seconds: float, during: float) -> None:
        """For so long, let every answer pass so many seconds late: what it answers has happened already."""
        self._hold = (time.monotonic() + during, seconds)

    def calm(self) -> None:
        """End all trouble."""
        self._hold = (0.0, 0.0)
        for strikes in self._strikes.values():
            strikes.clear()

    # -------------------------------------------------------------------------------------------- carrying

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, "body", link), self._carry(far_reader, writer, "answer", link)
            )
        except (OSError, RuntimeError):  # RuntimeError: uvloop's word for a connection that is closed already
            link.abort()
        finally:
            link.close()
            self._links.discard(link)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, side: Side, link: _Link) -> None:
        while data := await reader.read(_CHUNK):
            until, late = self._hold
            if side == "answer" and time.monotonic() < until:
                await asyncio.sleep(late)
            if self._strikes[side]:
                share = self._strikes[side].pop(0)
                self.cuts += 1
                writer.write(data[: int(len(data) * share)])
                with contextlib.suppress(OSError, RuntimeError):
                    await writer.drain()
                await asyncio.sleep(0.02)  # let the other side read what came before the cut
                link.abort()
                return
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


class _Link:
    """The two ends of one connection."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends

    def abort(self) -> None:
        for end in self._ends:
            end.transport.abort()

    def close(self) -> None:
        for end in self._ends:
            end.close()
