"""A small HTTP/1.1 server on asyncio streams: enough for a simulator, quick, and able to misbehave on purpose."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from router.simulators.listener import Listener

_LIMIT: Final = 2**20
_MAX_BODY: Final = 80 * 2**20
_REASONS: Final = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case; `certificate` is the client's, DER, or None."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    certificate: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them, beside those that every answer has."""


Handler = Callable[[Request], Awaitable[Response | None]]
"""Answers a request; None cuts the connection without a word."""


class HttpServer(Listener):
    """Answers requests on `host:port` with `handler`."""

    def __init__(
        self, handler: Handler, *, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(self._talk, host, port, context, limit=_LIMIT)
        self._handler = handler

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("ssl_object")
        certificate = shown.getpeercert(binary_form=True) if shown is not None else None
        try:
            while (request := await _read(reader, writer, certificate)) is not None:
                response = await self._handler(request)
                if response is None:
                    writer.transport.abort()
                    return
                keep = request.headers.get("connection", "").lower() != "close"
                _write(writer, response, keep)
                await writer.drain()
                if not keep:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # a client that went away, or doesn't speak HTTP: nobody to tell
        finally:
            writer.close()


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, certificate: bytes | None
) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(method, path, headers, await _body(reader, headers), certificate)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunks: list[bytes] = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            chunks.append(await reader.readexactly(size))
            await reader.readexactly(2)
            if sum(map(len, chunks)) > _MAX_BODY:
                raise ValueError("body too large")
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(chunks)
    length = int(headers.get("content-length", "0"))
    if length > _MAX_BODY:
        raise ValueError("body too large")
    return await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, response: Response, keep: bool) -> None:
    head = (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Status')}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in response.headers.items()) + "\r\n"
    writer.write(head.encode("latin-1") + response.body)
