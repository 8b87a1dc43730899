"""Files that must stay where they are while a process works on them.

A file that was removed or replaced goes on taking writes: they succeed, and nobody finds them again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from router.errors import OperatorFault

#: What SQLite keeps beside a database in WAL mode. A commit stands in the first of them for a while, and only there.
BESIDE: Final = ("-wal", "-shm")


SETTLED: Final = 1.0
"""Seconds for which a folder must have stayed unchanged before its time of change says that nothing happened in it:
two changes within one tick of the file system's clock have the same time. The files are looked at as often anyway."""


class KeptFiles:
    """Which files a process has open, by path. Any thread.

    `verify` costs one `stat`, of their folder, and one more for each file when something in that folder has changed.
    code: beginning of the error's code (`BUS`, `LEDGER`)
    """

    def __init__(self, code: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._code = code
        self._monotonic = monotonic
        self._known: dict[str, tuple[int, int]] = {}
        self._folders: tuple[str, ...] = ()
        self._seen: _Seen | None = None

    def note(self, database: Path, *others: Path) -> None:
        """Remember the files of a database that is open in WAL mode, and others. Raises OSError for a missing one."""
        paths = [database, *(Path(f"{database}{end}") for end in BESIDE), *others]
        self._known = {str(path): _place(str(path)) for path in paths}
        folders = (folder for path in paths for folder in (path.parent, path.resolve().parent))
        self._folders, self._seen = tuple(dict.fromkeys(map(str, folders))), None

    def verify(self) -> None:
        """Raises `OperatorFault` (`<code>-REPLACED`) when one of them is gone, or another file stands in its place.

        Nothing is remembered of that: who puts the file back, the same one, is believed again.
        """
        now, seen = self._monotonic(), self._seen
        changes = [_changed(folder) for folder in self._folders]  # before the files: what comes later is seen then
        if seen is not None and changes == seen.changes and seen.since + SETTLED <= seen.looked and now < seen.again:
            return
        if gone := [path for path, place in self._known.items() if _moved(path, place)]:
            names = ", ".join(Path(path).name for path in gone)
            raise OperatorFault(f"{self._code}-REPLACED", names, _TEXT)
        since = seen.since if seen is not None and changes == seen.changes else now
        self._seen = _Seen(changes, since, now, now + SETTLED)


class _Seen(NamedTuple):
    """The files were in their places at `looked`, when their folders had these changes, first seen at `since`.

    again: when the files are looked at though their folders say nothing
    """

    changes: list[tuple[int, int, int] | None]
    since: float
    looked: float
    again: float


_TEXT: Final = (
    "removed or replaced while the router uses it: nothing more is stored; put the same file back (mv, not cp), or "
    "stop the router and start it again"
)


def _moved(path: str, place: tuple[int, int]) -> bool:
    try:
        return _place(path) != place
    except OSError:  # gone, or its folder is, or its disk no longer answers: a commit can't be vouched for
        return True


def _changed(folder: str) -> tuple[int, int, int] | None:
    """Which folder it is, and when something was last added to it, removed or renamed."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - see _place
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _place(path: str) -> tuple[int, int]:
    """Device and number of the file at this path."""
    found = os.stat(path)  # noqa: PTH116 - before every commit is reported: a Path costs more than the question
    return found.st_dev, found.st_ino
