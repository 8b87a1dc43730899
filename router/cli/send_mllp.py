"""How `segur-router send` speaks with a listener: messages over MLLP, one after the other, and what answers say."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

from router.cli.output import fail
from router.hl7.ack import parse_ack
from router.hl7.message import Message
from router.hl7.mllp import Decoder, Frame, frame
from router.language import _
from router.tls import client_context


@dataclass(frozen=True)
class Answer:
    """One file and what the listener said of it."""

    file: str
    control_id: str
    ack: str
    errors: list[str]


def tls_of(ca: Path | None, cert: Path | None) -> ssl.SSLContext | None:
    """What the options ask for; None: no TLS. Fails with a sentence for files that can't be used."""
    if ca is None:
        return None
    try:
        return client_context(ca, cert)
    except ssl.SSLError as error:
        names = ", ".join(str(path) for path in (ca, cert) if path is not None)
        fail(_("{names} holds no certificate that can be used ({reason})", names=names, reason=error.reason))


async def send_all(
    files: list[Path], host: str, port: int, context: ssl.SSLContext | None, timeout: float
) -> list[Answer]:
    """The answers to these files. Raises `OSError`, `IncompleteReadError`, `TimeoutError` (of one answer)."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=context), timeout)
    decoder = Decoder(limit=2**20)
    answers = []
    try:
        for file in files:
            writer.write(frame(file.read_bytes()))
            await writer.drain()
            ack = await asyncio.wait_for(_one_frame(reader, decoder), timeout)
            answers.append(_answer(file, ack))
    finally:
        writer.close()
    return answers


async def _one_frame(reader: asyncio.StreamReader, decoder: Decoder) -> bytes:
    while True:
        data = await reader.read(65536)
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        for found in decoder.feed(data):
            if isinstance(found, Frame):
                return found.data


def _answer(file: Path, ack: bytes) -> Answer:
    parsed = parse_ack(ack)
    message = Message.parse(ack)
    errors = []
    for segment in message.segments("ERR"):
        where = bytes(segment.raw("2")).decode("ascii", "replace")
        parts = (where, segment.text("3.1"), segment.text("5.1"), segment.text("8") or segment.text("3.2"))
        errors.append(" ".join(part for part in parts if part))
    return Answer(file.name, parsed.control_id, parsed.code, errors)
