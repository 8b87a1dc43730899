"""Looks at the state of the site in a thread of its own, as long as somebody wants to know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from router.errors import RouterError
from router.runtime.status.gather import Gatherer
from router.runtime.status.views import Status

log = structlog.get_logger()

EVERY: Final = 5.0
"""Seconds between two looks."""
_WANTED: Final = 60.0
"""Seconds after the last question for which the thread goes on looking."""
_FIRST: Final = 10.0


class StatusWatch:
    """The last `Status`, and a number that grows with each look. Any thread.

    A look that fails keeps the one before: its age is told by `Status.at`.
    """

    def __init__(self, open_gatherer: Callable[[], Gatherer], *, every: float = EVERY) -> None:
        self._open = open_gatherer
        self._every = every
        self._changed = threading.Condition()
        self._status: Status | None = None
        self._looks = 0
        self._asked = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def looks(self) -> int:
        return self._looks

    def latest(self, *, patience: float = _FIRST) -> Status | None:
        """The last status, not older than the thread's rhythm; None when the first look failed or takes too long."""
        with self._changed:
            stale = time.monotonic() - self._asked > _WANTED
            self._asked = time.monotonic()
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="console-status", daemon=True)
                self._thread.start()
            before = self._looks
            if self._status is None or stale:
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._looks > before, patience)
            return self._status

    def known(self) -> Status | None:
        """The last status, whatever its age, without waiting."""
        return self._status

    def wanted(self) -> None:
        """Somebody still looks (a stream is open)."""
        with self._changed:
            self._asked = time.monotonic()
            self._changed.notify_all()

    def close(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        gatherer: Gatherer | None = None
        try:
            while not self._stop.is_set():
                gatherer = self._look(gatherer)
                self._rest()
        finally:
            if gatherer is not None:
                gatherer.close()

    def _look(self, gatherer: Gatherer | None) -> Gatherer | None:
        found: Status | None = None
        try:
            gatherer = gatherer or self._open()
            found = gatherer.gather()
        except RouterError as fault:
            log.warning("console can't look at the state", code=fault.code, place=fault.place)
        except Exception:  # the next look may succeed, and the page tells the age of the last one
            log.error("console failed to look at the state", exc_info=True)
        with self._changed:
            self._status = found or self._status
            self._looks += 1
            self._changed.notify_all()
        return gatherer

    def _rest(self) -> None:
        """Until the next look is due, and somebody wants it."""
        until = time.monotonic() + self._every
        with self._changed:
            while not self._stop.is_set():
                now = time.monotonic()
                wanted = now - self._asked < _WANTED
                if now >= until and wanted:
                    return
                self._changed.wait(max(0.05, until - now) if wanted else None)
