"""The file in which one process leaves its measures, with room that is really there.

The library makes a sparse file and maps it. On a full disk the first write to a page of it then ends the process with
SIGBUS, and each process that follows it. Here the room is taken from the disk first. Measures for which there is none
stay in memory, where `/metrics` does not see them, until there is.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from typing import Any, ClassVar, Final

import structlog
from prometheus_client.mmap_dict import MmapedDict

_SIZE: Final = 1 << 16
"""Bytes of a new file. It doubles when it is full."""
_AGAIN: Final = 10.0
"""Seconds after which room is asked for again."""
_ROUND: Final = 8 + 8 + 16
"""Bytes that an entry has beside its key at most: length, padding, value and time."""


class MeasureFile(MmapedDict):
    """`MmapedDict` of which no write can fail. The library calls it under its own lock."""

    _told: ClassVar[bool] = False
    """A process has several files, and one disk: it is told once."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._fname = filename
        self._f: Any = None
        self._m: Any = None
        self._used = self._capacity = 0
        self._positions: dict[str, int] = {}
        self._in_memory: dict[str, tuple[float, float]] = {}
        self._again = float("-inf")
        if read_mode:
            super().__init__(filename, read_mode=True)  # type: ignore[no-untyped-call]
        else:
            self._reserved("")

    def read_value(self, key: str) -> tuple[float, float]:
        if key in self._positions or self._reserved(key):
            found: tuple[float, float] = super().read_value(key)  # type: ignore[no-untyped-call]
            return found
        return self._in_memory.setdefault(key, (0.0, 0.0))

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        if key in self._positions or self._reserved(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        else:
            self._in_memory[key] = value, timestamp

    def _reserved(self, key: str) -> bool:
        """Make room for this key and for those in memory, and write those down. False while there is none."""
        if time.monotonic() < self._again:
            return False
        needed = sum(map(_room, [key, *self._in_memory]))
        try:
            if self._m is None:
                self._make()
            while self._used + needed > self._capacity:
                self._grow()
        except OSError as error:
            self._again = time.monotonic() + _AGAIN
            self._tell(error)
            return False
        kept, self._in_memory = self._in_memory, {}
        for name, (value, timestamp) in kept.items():
            super().write_value(name, value, timestamp)  # type: ignore[no-untyped-call]
        return True

    def _make(self) -> None:
        """The file appears under its name only once it has its room: others read it."""
        part = Path(f"{self._fname}.part")
        try:
            if not os.path.exists(self._fname):  # noqa: PTH110  # the library's name is a text
                with part.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, _SIZE)
                part.replace(self._fname)
            else:  # a process of the same number was here before
                with open(self._fname, "r+b") as file:  # noqa: PTH123
                    os.posix_fallocate(file.fileno(), 0, max(_SIZE, os.fstat(file.fileno()).st_size))
        finally:
            part.unlink(missing_ok=True)
        super().__init__(self._fname)  # type: ignore[no-untyped-call]

    def _grow(self) -> None:
        number = self._f.fileno()
        os.posix_fallocate(number, 0, self._capacity * 2)
        self._m = mmap.mmap(number, self._capacity * 2)
        self._capacity *= 2

    def _tell(self, error: OSError) -> None:
        if not self._told:
            MeasureFile._told = True
            reason = error.strerror or type(error).__name__
            structlog.get_logger().error("metrics-lost", alert="metrics-lost", code="METRICS", reason=reason)


def _room(key: str) -> int:
    """Bytes that an entry takes at most; 0 for no key."""
    return len(key.encode()) + _ROUND if key else 0
