"""Mails that were just read, for the pictures and files of the same page; nothing of them stands on a disk."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

_KEPT: Final = 4
_FRESH: Final = 60.0
"""Seconds for which what was read serves the parts of the same page: pictures of a PDF ask for it one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was read of it already, by name: each reading is a process of its own."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Shelf:
    """What sessions have just read, for the parts of the same page. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, str], tuple[float, Sent]] = OrderedDict()
        self.making = threading.Lock()
        """One mail is made again at a time."""

    def get(self, session: str, key: str, now: float) -> Sent | None:
        with self._lock:
            until, sent = self._found.get((session, key), (0.0, None))
            return sent if now < until else None

    def put(self, session: str, key: str, now: float, sent: Sent) -> None:
        with self._lock:
            self._found[session, key] = (now + _FRESH, sent)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)

    def forget(self, session: str) -> None:
        """The content was hidden."""
        with self._lock:
            self._found = OrderedDict((key, one) for key, one in self._found.items() if key[0] != session)
