"""MLLP framing of the simulators' own (hl7-input §7.1): `0x0B … 0x1C 0x0D`."""

from __future__ import annotations

import asyncio

START, END = b"\x0b", b"\x1c\r"
LIMIT = 64 * 2**20
"""Largest frame a simulator reads, in bytes."""


def frame(message: bytes) -> bytes:
    return START + message + END


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message, what stands before its start ignored; None at the end of the stream.

    The stream must have been opened with `limit=LIMIT`. Raises ConnectionError when cut inside a frame.
    """
    try:
        await reader.readuntil(START)
    except asyncio.IncompleteReadError:
        return None
    try:
        return (await reader.readuntil(END))[: -len(END)]
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("cut inside a frame") from error


def field(message: bytes, segment: bytes, number: int) -> str:
    """A raw field of the first such segment (`MSH` counted as the standard does); "" when it isn't there."""
    for line in message.replace(b"\n", b"\r").split(b"\r"):
        if line[:3] == segment:
            parts = line.split(line[3:4])
            index = number - 1 if segment == b"MSH" else number
            return parts[index].decode("utf-8", "replace") if index < len(parts) else ""
    return ""
