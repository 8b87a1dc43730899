"""Mails that were just read, for the pictures and files of the same page; nothing of them stands on a disk."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from router.console.mail_view import MailView

_KEPT: Final = 4
_FRESH: Final = 60.0
"""Seconds for which what was read serves the parts of the same page: pictures of a PDF ask for it one by one."""
_PARTS_BYTES: Final = 32 * 1024 * 1024
"""Of unpacked files that are kept of one mail; a larger one is unpacked for each picture."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """A mail. again: it was made once more;  same: whether it is what left, byte for byte; None: nothing tells

    fault: why there is nothing to show, "" when there is
    """

    data: bytes = field(default=b"", repr=False)
    again: bool = False
    same: bool | None = None
    tried: bool = True
    """Whether it was ever tried to be sent: the Date of one that was not is that of now."""
    fault: str = ""
    view: MailView | None = field(default=None, repr=False, compare=False)
    """How it looks, once it was read: each reading is a process of its own. So are these, by place:"""
    parts: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    pages: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def keep(self, place: str, content: bytes) -> None:
        """Keep a part for the next request; the oldest ones go when they are too large together."""
        kept = {**self.parts, place: content} if len(content) <= _PARTS_BYTES else dict(self.parts)
        while sum(map(len, kept.values())) > _PARTS_BYTES:
            del kept[next(iter(kept))]
        self.parts = kept

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Shelf:
    """What sessions have just read, for the parts of the same page. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, str], tuple[float, Sent]] = OrderedDict()
        self._sweeping: threading.Timer | None = None
        self.making = threading.Lock()
        """One mail is made again at a time."""

    def get(self, session: str, key: str, now: float) -> Sent | None:
        with self._lock:
            self._drop(now)
            _until, sent = self._found.get((session, key), (0.0, None))
            return sent

    def put(self, session: str, key: str, now: float, sent: Sent) -> None:
        with self._lock:
            self._drop(now)
            self._found[session, key] = (now + _FRESH, sent)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
            self._sweep_later()

    def _sweep_later(self) -> None:
        """Under the lock. What nobody asks for any more stays no longer than it may be asked for."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._sweeping = threading.Timer(_FRESH, self._sweep)
        self._sweeping.daemon = True
        self._sweeping.start()

    def _sweep(self) -> None:
        """Nothing came for so long: everything is old."""
        with self._lock:
            self._found.clear()
            self._sweeping = None

    def _drop(self, now: float) -> None:
        """Under the lock: what is old."""
        self._found = OrderedDict((key, one) for key, one in self._found.items() if now < one[0])

    def forget(self, session: str) -> None:
        """The content was hidden."""
        with self._lock:
            self._found = OrderedDict((key, one) for key, one in self._found.items() if key[0] != session)
