"""Notifications between the processes of one machine, in shared memory. A process that waits for a topic sleeps.

The memory is one page of counters. After a commit, the writer raises the counter of each topic it wrote to, the
counter of the topic's family (`in` of `in.sil`) and the common counter. It wakes the processes that sleep on these
counters (futex(2)), and no others. Where the system has no futex, a process that waits looks at the counters every few
milliseconds. A notification is a hint only: readers also look at the tables from time to time, so a notification that
was missed costs a moment and loses nothing.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
import time
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

_WORD: Final = struct.Struct("=I")
_WORDS: Final = mmap.PAGESIZE // _WORD.size
_COMMON: Final = 0
_SYSCALL: Final = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" and _SYSCALL else None
_WAIT, _WAKE = 0, 1
_EVERYBODY: Final = 2**31 - 1
_LOOK_SECONDS: Final = 0.002


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Notifier:
    """See the module. `ring` by one process at a time: it is called while the turn to write is held."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file can't be opened or has no room on its disk."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size < mmap.PAGESIZE:
                os.ftruncate(file, mmap.PAGESIZE)
            self._page = mmap.mmap(file, mmap.PAGESIZE)
        finally:
            os.close(file)
        start = ctypes.c_char.from_buffer(self._page)
        self._address = ctypes.addressof(start)
        del start  # the page can be closed again

    def ring(self, topics: Iterable[str]) -> None:
        """Tell who waits for these topics that something was written."""
        for word in {_COMMON, *(word for topic in topics for word in (_word(topic), _family(topic)))}:
            (count,) = _WORD.unpack_from(self._page, word * _WORD.size)
            _WORD.pack_into(self._page, word * _WORD.size, (count + 1) & 0xFFFFFFFF)
            _futex(self._address + word * _WORD.size, _WAKE, _EVERYBODY)

    def listener(self, topics: Collection[str]) -> NotifierListener:
        """What hears of these topics, and of as few others as may be."""
        words = {_word(topic) for topic in topics}
        if len(words) > 1:
            words = {_family(topic) for topic in topics}
        return NotifierListener(self, words.pop() if len(words) == 1 else _COMMON, [_word(topic) for topic in topics])

    def count(self, word: int) -> int:
        """The present count of a word."""
        (value,) = _WORD.unpack_from(self._page, word * _WORD.size)
        return int(value)

    def sleep(self, word: int, heard: int, seconds: float) -> None:
        """Until the word counts something else than `heard`, or for so many seconds. May return early."""
        if _LIBC is None:
            time.sleep(min(seconds, _LOOK_SECONDS))
            return
        whole = int(seconds)
        limit = _Timespec(whole, int((seconds - whole) * 1e9))
        _futex(self._address + word * _WORD.size, _WAIT, heard, ctypes.byref(limit))

    def close(self) -> None:
        self._page.close()


class NotifierListener:
    """Listens for a consumer's topics. One thread."""

    def __init__(self, notifier: Notifier, word: int, topics: Collection[int]) -> None:
        self._notifier = notifier
        self._word = word
        self._topics = tuple(topics)

    def listen(self) -> tuple[int, ...]:
        """The counters as they are now. Ask for them before you look at the tables, and give them to `wait`."""
        return tuple(map(self._notifier.count, self._topics))

    def wait(self, heard: tuple[int, ...], seconds: float) -> bool:
        """Sleep until something was written to our topics since `heard` (True), or for so many seconds."""
        until = time.monotonic() + seconds
        while True:
            common = self._notifier.count(self._word)
            if self.listen() != heard:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._notifier.sleep(self._word, common, left)


def _futex(address: int, operation: int, value: int, limit: object = None) -> None:
    if _LIBC is not None:
        _LIBC.syscall(_SYSCALL, ctypes.c_void_p(address), operation, ctypes.c_uint32(value), limit, None, 0)


def _word(name: str) -> int:
    return 1 + zlib.crc32(name.encode()) % (_WORDS - 1)


def _family(topic: str) -> int:
    """The word of all topics with the same beginning; a full stop keeps it apart from a topic of that name."""
    return _word(f"{topic.partition('.')[0]}.")
