"""A buffered, line-oriented view of one connection, shared by SMTP and IMAP, that survives STARTTLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

_CHUNK: Final = 2**16
_LONGEST_LINE: Final = 2**16


class Closed(Exception):
    """The peer went away, or spoke without measure."""


class Wire:
    """Reads lines, counted bytes and dot-terminated data from a stream; writes and cuts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    async def _fill(self) -> None:
        try:
            chunk = await self._reader.read(_CHUNK)
        except (OSError, ssl.SSLError) as error:
            raise Closed from error
        if not chunk:
            raise Closed
        self._buffer += chunk

    async def line(self) -> bytes:
        """The next line without its end. Raises Closed at the end of the stream."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > _LONGEST_LINE:
                raise Closed
            await self._fill()
        out = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return out.removesuffix(b"\r")

    async def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._fill()
        out = bytes(self._buffer[:count])
        del self._buffer[:count]
        return out

    async def data(self, limit: int) -> bytes | None:
        """The text of an SMTP DATA, dots unstuffed; None when it was longer than `limit` (it is read to its end)."""
        self._buffer[:0] = b"\r\n"  # so that a lone dot on the first line ends it as any other does
        start, too_long = 0, False
        while (end := self._buffer.find(b"\r\n.\r\n", start)) < 0:
            if len(self._buffer) > limit + 4:
                too_long = True
                del self._buffer[:-4]
            start = max(0, len(self._buffer) - 4)
            await self._fill()
        out = bytes(self._buffer[2 : end + 2])
        del self._buffer[: end + 5]
        return None if too_long or len(out) > limit else out.replace(b"\r\n..", b"\r\n.").removeprefix(b".")

    async def send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, ssl.SSLError) as error:
            raise Closed from error

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go over to TLS; what was sent in clear behind the command is thrown away (RFC 3207 §4.2)."""
        try:
            await self._writer.start_tls(context)
        except (OSError, ssl.SSLError) as error:
            raise Closed from error
        self._buffer.clear()

    @property
    def secure(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

    def certificate(self) -> bytes | None:
        """The client's certificate, DER."""
        shown = self._writer.get_extra_info("ssl_object")
        certificate: bytes | None = shown.getpeercert(binary_form=True) if shown is not None else None
        return certificate

    def cut(self) -> None:
        """Hang up without a word."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
