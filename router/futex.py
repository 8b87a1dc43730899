"""Sleeping on a word of shared memory until another process changes it: futex(2), or looking where there is none."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
import time
from pathlib import Path
from typing import Final

WORD: Final = struct.Struct("=I")
WORDS: Final = mmap.PAGESIZE // WORD.size
"""Words in a page."""
_EVERYBODY: Final = 2**31 - 1
_SYSCALL: Final = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" and _SYSCALL else None
_WAIT, _WAKE = 0, 1
_LOOK_SECONDS: Final = 0.002


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class SharedPage:
    """One page of counters in a file, which processes of one machine share."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file can't be opened or has no room on its disk: without room a write would end the
        process."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, mmap.PAGESIZE)
            self._page = mmap.mmap(file, mmap.PAGESIZE)
        finally:
            os.close(file)
        start = ctypes.c_char.from_buffer(self._page)
        self._address = ctypes.addressof(start)
        del start  # the page can be closed again

    def count(self, word: int) -> int:
        """The present count of a word."""
        (value,) = WORD.unpack_from(self._page, word * WORD.size)
        return int(value)

    def change(self, word: int) -> None:
        """Give the word another count; who sleeps on it sleeps on until `wake`."""
        WORD.pack_into(self._page, word * WORD.size, (self.count(word) + 1) & 0xFFFFFFFF)

    def wake(self, word: int) -> None:
        """Wake those that sleep on a word."""
        _futex(self._address + word * WORD.size, _WAKE, _EVERYBODY)

    def sleep(self, word: int, seen: int, seconds: float) -> None:
        """Until the word counts something else than `seen`, or for so many seconds. May return early."""
        if _LIBC is None:
            time.sleep(min(seconds, _LOOK_SECONDS))
            return
        whole = int(seconds)
        limit = _Timespec(whole, int((seconds - whole) * 1e9))
        _futex(self._address + word * WORD.size, _WAIT, seen, ctypes.byref(limit))

    def close(self) -> None:
        """Safe to call twice."""
        self._page.close()


def _futex(address: int, operation: int, value: int, limit: object = None) -> None:
    if _LIBC is not None:
        _LIBC.syscall(_SYSCALL, ctypes.c_void_p(address), operation, ctypes.c_uint32(value), limit, None, 0)
