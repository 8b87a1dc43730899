"""An MLLP client as hospital systems have them: one message at a time per connection, resent when unanswered."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from router.simulators.framing import LIMIT, frame, read_frame
from router.simulators.framing import field as hl7_field


@dataclass(slots=True)
class Sent:
    """What became of one message. Times are `time.monotonic()` seconds; `ack` is None when none came."""

    control_id: str
    due: float = 0.0
    written: float = 0.0
    answered: float = 0.0
    ack: bytes | None = field(default=None, repr=False)
    tries: int = 0

    @property
    def code(self) -> str:
        """MSA-1 of the answer, "" without one."""
        return hl7_field(self.ack, b"MSA", 1) if self.ack else ""

    @property
    def latency(self) -> float:
        """Seconds from when it was due, so that a queue in front of a slow peer counts (open loop)."""
        return self.answered - self.due


class MllpSender:
    """Sends over `connections` connections; reconnects, and sends again what got no answer, `retries` times.

    Closed loop by default: each connection sends its next message once the last is answered. With `rate` (per
    second) messages are due at fixed instants whatever the answers: an open loop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connections: int = 1,
        context: ssl.SSLContext | None = None,
        timeout: float = 30.0,
        retries: int = 0,
        pause: float = 0.2,
    ) -> None:
        self._target = (host, port, context)
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._links: list[_Link | None] = [None] * connections
        self._locks = [asyncio.Lock() for _ in range(connections)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for index in range(len(self._links)):
            self._drop(index)

    async def send(self, message: bytes, *, connection: int = 0, due: float | None = None) -> Sent:
        """Send one message and wait for its answer; no exception for a peer that is away, only no `ack`."""
        sent = Sent(hl7_field(message, b"MSH", 10), due=time.monotonic() if due is None else due)
        async with self._locks[connection]:
            for attempt in range(self._retries + 1):
                if attempt:
                    await asyncio.sleep(self._pause)
                sent.tries += 1
                with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError):
                    sent.ack = await asyncio.wait_for(self._exchange(connection, message, sent), self._timeout)
                if sent.ack is not None:
                    sent.answered = time.monotonic()
                    return sent
                self._drop(connection)
        return sent

    async def send_all(
        self,
        messages: Iterable[bytes],
        *,
        rate: float | None = None,
        lane: Callable[[int, bytes], int] | None = None,
    ) -> list[Sent]:
        """Send them all; the answers in the order of `messages`.

        `lane` gives a number for a message: those of one number keep their order, on one connection. Without it
        messages go to the connections in turn.
        """
        count = len(self._links)
        queues: list[list[tuple[int, bytes]]] = [[] for _ in range(count)]
        for index, message in enumerate(messages):
            queues[(lane(index, message) if lane else index) % count].append((index, message))
        start = time.monotonic()
        parts = await asyncio.gather(*(self._drain(number, queue, start, rate) for number, queue in enumerate(queues)))
        answers = dict(pair for part in parts for pair in part)
        return [answers[index] for index in sorted(answers)]

    async def _drain(
        self, connection: int, queue: Sequence[tuple[int, bytes]], start: float, rate: float | None
    ) -> list[tuple[int, Sent]]:
        out = []
        for index, message in queue:
            due = start + index / rate if rate else None
            if due is not None:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            out.append((index, await self.send(message, connection=connection, due=due)))
        return out

    async def _exchange(self, connection: int, message: bytes, sent: Sent) -> bytes | None:
        link = self._links[connection]
        if link is None:
            host, port, context = self._target
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=LIMIT)
            link = self._links[connection] = _Link(reader, writer)
        sent.written = time.monotonic()
        link.writer.write(frame(message))
        await link.writer.drain()
        return await read_frame(link.reader)

    def _drop(self, connection: int) -> None:
        link, self._links[connection] = self._links[connection], None
        if link is not None:
            link.writer.close()


@dataclass(slots=True)
class _Link:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
