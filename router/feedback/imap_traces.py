"""The traces of what is done in a mailbox (mssante §11): who, when, which command, on which mail, and the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from router.contracts import Producer
from router.contracts.spoken import listening, saying
from router.errors import RouterError
from router.exchange import JournalEntry, Spoken
from router.wire import journal_record

log = logging.getLogger(__name__)

KIND: Final = "traces"
_SESSION: Final = frozenset({"CONNECT", "LOGIN", "SELECT"})
"""What every look at an empty inbox says: told when something else was done, or when it failed."""
_MOST: Final = 2000
"""Lines that wait while the bus is away; older ones are lost then."""


class ImapTraces:
    """What one mailbox's reader says to its server. Not thread-safe: the reader's thread alone."""

    def __init__(self, server: str, author: str, producer: Producer, now: Callable[[], float]) -> None:
        self._server = server
        self._author = author
        self._producer = producer
        self._now = now
        self._waiting: list[Spoken] = []

    @contextmanager
    def session(self) -> Iterator[None]:
        """What is said within the block is on the bus when it ends, or later when the bus is away."""
        with listening(self._now, most=_MOST) as heard:
            try:
                yield
            finally:
                if any(not one.ok or one.action not in _SESSION for one in heard):
                    self._waiting = [*self._waiting, *heard][-_MOST:]
                self._publish()

    @contextmanager
    def said(self, action: str, request: str = "") -> Iterator[None]:
        """One command, and OK, NO or BYE. `request`: numbers of mails and names of folders."""
        with saying("imap", self._server, self._author, action, request, good="OK") as answer:
            try:
                yield
            except IMAPClientError as error:
                answer.answer = "BYE" if isinstance(error, IMAPClientAbortError) else "NO"
                raise

    def move(self, client: IMAPClient, number: int, folder: str) -> None:
        """MOVE (RFC 6851), else copy, flag and expunge that one message."""
        if client.has_capability("MOVE"):
            with self.said("MOVE", f"uid={number} to={folder}"):
                client.move([number], folder)
            return
        with self.said("COPY", f"uid={number} to={folder}"):
            client.copy([number], folder)
        with self.said("STORE", f"uid={number} +\\Deleted"):
            client.delete_messages([number])
        with self.said("EXPUNGE", f"uid={number}"):
            if client.has_capability("UIDPLUS"):
                client.uid_expunge([number])
            else:
                client.expunge()

    def _publish(self) -> None:
        if not self._waiting:
            return
        entry = JournalEntry(event_id=KIND, kind=KIND, at=self._now(), spoken=tuple(self._waiting))
        try:
            self._producer.publish([journal_record(entry)])
        except RouterError as fault:
            log.warning("traces of a mailbox wait: %s", fault.code)
            return
        self._waiting = []
