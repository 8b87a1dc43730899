"""The content of a mail on its connection, after `DATA`: as fast as the server reads, with little of it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, cast

import aiosmtplib
from aiosmtplib import errors
from aiosmtplib.protocol import SMTPProtocol

from router.sinks.mssante.mail import Written

_WRITTEN_AT_ONCE: Final = 1 << 18
_END: Final = b".\r\n"
_REFUSAL: Final = 400
"""From this reply code on (RFC 5321 §4.2.1)."""


async def write_body(client: aiosmtplib.SMTP, mail: Written, timeout: float) -> aiosmtplib.SMTPResponse:
    """Write the mail and its final dot, read the answer.

    `mail` is CRLF throughout and none of its lines begins with a dot (`router.sinks.mssante.mail.build`), so it is
    written as it stands, without the copies a general client must make.
    """
    protocol = client.protocol
    if not isinstance(protocol, SMTPProtocol) or protocol.transport is None:
        raise errors.SMTPServerDisconnected("connection lost")
    transport = cast(asyncio.Transport, protocol.transport)
    try:
        if mail.size > _WRITTEN_AT_ONCE:
            return await _large(client, protocol, mail, timeout)
        for piece in _joined(mail):
            protocol.write(piece)
        return await client.execute_command(b".", timeout=timeout)
    except BaseException:
        transport.abort()  # `close` would send the rest later, behind what the lane's next owner sends
        client.close()
        raise


async def _large(
    client: aiosmtplib.SMTP, protocol: SMTPProtocol, mail: Written, timeout: float
) -> aiosmtplib.SMTPResponse:
    """Write as fast as the server reads, so that little waits in memory. It may refuse before the end."""
    answer = asyncio.ensure_future(protocol.read_response(timeout))
    answer.add_done_callback(_seen)
    try:
        whole = await _written(protocol, mail, answer)
        told = await answer
    finally:
        answer.cancel()
    if not whole:
        if told.code < _REFUSAL:
            raise errors.SMTPServerDisconnected("an answer before the end of the mail")
        if protocol.transport is not None:
            cast(asyncio.Transport, protocol.transport).abort()  # the rest of the mail would be read as commands
        client.close()
    return told


async def _written(protocol: SMTPProtocol, mail: Written, answer: asyncio.Future[aiosmtplib.SMTPResponse]) -> bool:
    """Whether all of it was written: neither an answer nor the end of the connection came first."""
    await asyncio.sleep(0)  # from here on an answer is read
    for piece in chain(_joined(mail), (_END,)):
        if answer.done() or not protocol.is_connected:
            return False
        protocol.write(piece)
        await _room(protocol, answer)
    return True


async def _room(protocol: SMTPProtocol, answer: asyncio.Future[aiosmtplib.SMTPResponse]) -> None:
    """Wait until the server has read most of what was written, or has answered. Others have their turn meanwhile."""
    room = asyncio.ensure_future(protocol._drain_helper())
    try:
        await asyncio.wait((room, answer), return_when=asyncio.FIRST_COMPLETED)
        if room.done() and room.exception() is not None:  # the connection is gone: what was answered before counts
            await asyncio.wait((answer,))
    finally:
        room.cancel()


def _seen(answer: asyncio.Future[aiosmtplib.SMTPResponse]) -> None:
    """asyncio is to log no error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of a quarter of a megabyte: one write each, and never a second copy of a large mail."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _WRITTEN_AT_ONCE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
