"""What the reader told a sink worker and the worker did not handle yet, in the order in which it was told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.contracts import Header, Record
from router.engine.delivery.partition_reader import MAX_RECORDS, News, Polled
from router.wire import weight


@dataclass(frozen=True, slots=True)
class Command:
    """A record that is a person's command, not a delivery."""

    record: Record


@dataclass(frozen=True, slots=True)
class Sweep:
    """The worker's own: it is time to look for what has been waiting for long."""


SWEEP: Final = Sweep()
Message = News | Command | Sweep


def _pieces(records: Sequence[Record]) -> list[Message]:
    """Runs of deliveries, and between them the commands, each by itself."""
    pieces: list[Message] = []
    run: list[Record] = []
    for record in records:
        if Header.COMMAND in record.headers and not record.damaged:
            pieces += [Polled(run), Command(record)] if run else [Command(record)]
            run = []
        else:
            run.append(record)
    return [*pieces, Polled(run)] if run else pieces


class Inbox:
    """Owns the messages of one sink worker. Used on its event loop only.

    A poll's records are told in pieces: deliveries, and between them the commands, each by itself.
    """

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._heard = asyncio.Event()
        self._closed = False
        self.outstanding = 0
        """Records told and not yet handled."""
        self.outstanding_bytes = 0

    def put(self, message: Message) -> None:
        """Called in the order of the reader."""
        if isinstance(message, Polled):
            self.outstanding += len(message.records)
            self.outstanding_bytes += weight(message.records)
            self._messages += _pieces(message.records)
        else:
            self._messages.append(message)
        self._heard.set()

    async def next(self) -> Message | None:
        """The next message; None once the inbox is closed.

        Deliveries that came in several polls are one message. Say `handled` when it is.
        """
        while not self._messages or self._closed:
            if self._closed:
                return None
            self._heard.clear()
            await self._heard.wait()
        message = self._messages.popleft()
        if not isinstance(message, Polled):
            return message
        records = list(message.records)
        while self._messages and isinstance(more := self._messages[0], Polled) and len(records) < MAX_RECORDS:
            records += more.records
            self._messages.popleft()
        return Polled(records)

    def handled(self, message: Message) -> None:
        """This message was handled: its records are in their lanes, or done."""
        match message:
            case Polled(records):
                self.outstanding -= len(records)
                self.outstanding_bytes -= weight(records)
            case Command(record):
                self.outstanding -= 1
                self.outstanding_bytes -= weight([record])

    def close(self) -> None:
        """`next` returns None from now on."""
        self._closed = True
        self._heard.set()
