"""Mailboxes in memory, with what IMAP needs of them, and a copy of every mail on disk when a folder is given."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

INBOX = "INBOX"


@dataclass(slots=True)
class Message:
    """One mail in one folder."""

    uid: int
    raw: bytes = field(repr=False)
    at: dt.datetime
    flags: set[str] = field(default_factory=set)


class Folder:
    """Messages by UID, ascending; `changed` wakes those who idle."""

    def __init__(self, validity: int) -> None:
        self.validity = validity
        self.messages: dict[int, Message] = {}
        self.next_uid = 1
        self.changed = asyncio.Event()

    def add(self, raw: bytes, at: dt.datetime, flags: set[str] | None = None) -> Message:
        message = Message(self.next_uid, raw, at, set(flags or ()))
        self.messages[message.uid] = message
        self.next_uid += 1
        self.wake()
        return message

    def remove(self, uid: int) -> None:
        self.messages.pop(uid, None)
        self.wake()

    def wake(self) -> None:
        """Whoever waits on `changed` sees it set, the next one gets a new event."""
        self.changed.set()
        self.changed = asyncio.Event()


class Mailbox:
    """The folders of one address."""

    def __init__(self, validity: int) -> None:
        self._validity = itertools.count(validity)
        self.folders: dict[str, Folder] = {}
        self.create(INBOX)

    def create(self, name: str) -> Folder:
        """A new folder. Raises KeyError when there is one of that name."""
        key = self.key(name)
        if key in self.folders:
            raise KeyError(name)
        self.folders[key] = Folder(next(self._validity))
        return self.folders[key]

    def get(self, name: str) -> Folder | None:
        return self.folders.get(self.key(name))

    @staticmethod
    def key(name: str) -> str:
        return INBOX if name.upper() == INBOX else name


class Post:
    """Every mailbox of the operator and of its neighbours; they come to be with the first mail or login."""

    def __init__(self, folder: Path | None, validity: int) -> None:
        self._folder = folder
        self._validity = validity
        self.mailboxes: dict[str, Mailbox] = {}

    def mailbox(self, address: str) -> Mailbox:
        key = address.lower()
        if key not in self.mailboxes:
            self.mailboxes[key] = Mailbox(self._validity)
        return self.mailboxes[key]

    def deliver(self, address: str, raw: bytes) -> Message:
        """Put a mail in the INBOX of an address, and on disk as `<address>/<uid>.eml`."""
        message = self.mailbox(address).folders[INBOX].add(raw, dt.datetime.now(dt.UTC))
        if self._folder is not None:
            place = self._folder / re.sub(r"[^\w.@+-]", "_", address.lower())
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{message.uid:06d}.eml").write_bytes(raw)
        return message
