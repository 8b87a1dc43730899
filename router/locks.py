"""File locks of the operating system.

They are `flock`: they end with their process, however it dies, and no clock can break them. They belong to
the open file, so two locks of one process exclude each other like those of two processes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from router.futex import SharedPage

_LOOK_SECONDS = 0.01
"""A holder that is killed wakes nobody: who waits looks again after so many seconds."""
_TURN = 0
"""The word on which those sleep who wait for a turn."""
_BREATH_SECONDS = 0.005
_NO_LOCKS = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.EISDIR})
"""What file systems answer that can't lock a folder."""


def file_name(text: str) -> str:
    """A file name for any text: nothing in it can leave its folder."""
    return quote(text, safe="").replace(".", "%2E") if text.startswith(".") else quote(text, safe="")


class FileLock:
    """An exclusive lock on one file. Not shared with child processes: a fork closes it on the child's side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        _open_locks.add(self)

    @property
    def held(self) -> bool:
        return self._file is not None

    def try_take(self, flags: int = os.O_RDWR | os.O_CREAT) -> bool:
        """Take it if nobody has it. Raises OSError when the file can't be opened."""
        if self._file is not None:
            return True
        file = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    def write(self, content: bytes) -> None:
        """Replace the content of a file that is held."""
        if self._file is None:
            raise ValueError("not held")
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def forget(self) -> None:
        """In a forked child: close our copy, the parent goes on holding it."""
        self.release()


class FolderLock:
    """An exclusive lock on a folder itself: nobody can move it away or delete it, as a lock file can be."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def try_take(self) -> bool:
        """Take it if nobody has it. True also where folders can't be locked (NFS). Raises OSError as opening does."""
        try:
            return self._lock.try_take(os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return True
            raise

    def release(self) -> None:
        self._lock.release()


class TurnLock:
    """The turn to write, among processes: kept open, taken for a millisecond, waited for with a limit.

    The lock is `flock`. In the first page of its file is a word that each holder changes when it lets go; who waits
    sleeps on it (futex), so that a turn goes on at once and nobody looks in vain. Without room for that page, who
    waits looks every few milliseconds.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._page: SharedPage | None = None
        with suppress(OSError):
            self._page = SharedPage(path)

    def take(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds. The waits are short and bounded: a frozen holder can't freeze us."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self._page.count(_TURN) if self._page is not None else 0
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
            if self._page is not None:
                self._page.sleep(_TURN, seen, min(left, _LOOK_SECONDS))
            else:
                time.sleep(min(left, _LOOK_SECONDS / 4))

    def release(self) -> None:
        """Let go, then wake all who wait: the one that gets a processor first takes it, the others sleep again."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        if self._page is not None:
            self._page.change(_TURN)
            self._page.wake(_TURN)

    def close(self) -> None:
        """Safe to call twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
        if self._page is not None:
            self._page.close()


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on this file now."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in tuple(_open_locks):
        lock.forget()


os.register_at_fork(after_in_child=_after_fork)


def make_way(since: float) -> None:
    """Between two small transactions of a long cleaning, the last of them begun at `since` (monotonic): as long again.

    A `TurnLock` has no queue. Who waits for it is woken when it is free, and comes too late for most turns of one who
    takes the next at once.
    """
    time.sleep(max(_BREATH_SECONDS, time.monotonic() - since))
