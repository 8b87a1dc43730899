"""What was counted a moment ago for a key, so that each page may ask for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Fresh(Generic[K, V]):
    """Any thread. One of them counts for a key, the others wait for it. seconds: for which a count is good"""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._counting: dict[K, threading.Lock] = {}
        self._counted: dict[K, tuple[float, tuple[V, ...]]] = {}

    def of(self, key: K, count: Callable[[], Iterable[V]]) -> tuple[V, ...]:
        """What `count` said, not longer ago than `seconds`. Raises what it raises."""
        with self._lock:
            turn = self._counting.setdefault(key, threading.Lock())
        with turn:
            at, found = self._counted.get(key, (float("-inf"), ()))
            if time.monotonic() - at > self._seconds:
                found = tuple(count())
                self._counted[key] = (time.monotonic(), found)
            return found
