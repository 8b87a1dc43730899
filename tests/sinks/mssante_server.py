"""An SMTP server whose every answer a test can choose, and which keeps what it was really told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CUT = "cut"
EHLO = "250-relais\r\n250-SIZE 30000000\r\n250-DSN\r\n250 8BITMIME"


@dataclass
class Script:
    """What to answer per command, in turn; a list that runs out repeats the normal answer. `CUT` closes instead."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    ehlo: str = EHLO
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0

    def answer(self, command: str, normal: str) -> str:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else normal


NORMAL = {"MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "RSET": "250 Ok", "NOOP": "250 Ok", "QUIT": "221 Bye"}


async def _talk(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def say(text: str) -> bool:
        if text == CUT:
            return False
        writer.write(f"{text}\r\n".encode())
        await writer.drain()
        return True

    if not await say(script.answer("CONNECT", "220 relais")):
        return
    while line := await reader.readline():
        text = line.decode().rstrip("\r\n")
        script.commands.append(text)
        verb = text[:4].upper()
        if verb == "EHLO":
            going = await say(script.answer("EHLO", script.ehlo))
        elif verb == "DATA":
            answer = script.answer("DATA", "354 go")
            going = await say(answer)
            if answer.startswith("354"):
                mail = await reader.readuntil(b"\r\n.\r\n")
                final = script.answer("BODY", "250 2.0.0 Ok: queued as 4XyZ1234")
                if final.startswith("250"):
                    script.mails.append(mail[:-3])
                going = await say(final)
        else:
            going = await say(script.answer(verb, NORMAL.get(verb, "500 5.5.1 unknown")))
        if not going or verb == "QUIT":
            return


@asynccontextmanager
async def server(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listens on a free port, which it gives. context: TLS begins at once; a connection counts after its handshake"""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script.connections += 1
        script.open += 1
        script.most_open = max(script.most_open, script.open)
        try:
            await _talk(script, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            script.open -= 1
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=64 * 2**20, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
