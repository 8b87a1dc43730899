"""Files that must stay where they are while a process works on them.

A file that was removed or replaced goes on taking writes: they succeed, and nobody finds them again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from router.errors import OperatorFault

#: What SQLite keeps beside a database in WAL mode. A commit stands in the first of them for a while, and only there.
BESIDE: Final = ("-wal", "-shm")


class KeptFiles:
    """Which files a process has open, by path. `verify` costs one `stat` for each. Any thread.

    code: beginning of the error's code (`BUS`, `LEDGER`)
    """

    def __init__(self, code: str) -> None:
        self._code = code
        self._known: dict[str, tuple[int, int]] = {}

    def note(self, database: Path, *others: Path) -> None:
        """Remember the files of a database that is open in WAL mode, and others. Raises OSError for a missing one."""
        paths = [database, *(Path(f"{database}{end}") for end in BESIDE), *others]
        self._known = {str(path): _place(str(path)) for path in paths}

    def verify(self) -> None:
        """Raises `OperatorFault` (`<code>-REPLACED`) when one of them is gone, or another file stands in its place.

        Nothing is remembered of that: who puts the file back, the same one, is believed again.
        """
        if gone := [path for path, place in self._known.items() if _moved(path, place)]:
            names = ", ".join(Path(path).name for path in gone)
            raise OperatorFault(f"{self._code}-REPLACED", names, _TEXT)


_TEXT: Final = (
    "removed or replaced while the router uses it: nothing more is stored; put the same file back (mv, not cp), or "
    "stop the router and start it again"
)


def _moved(path: str, place: tuple[int, int]) -> bool:
    try:
        return _place(path) != place
    except OSError:  # gone, or its folder is, or its disk no longer answers: a commit can't be vouched for
        return True


def _place(path: str) -> tuple[int, int]:
    """Device and number of the file at this path."""
    found = os.stat(path)  # noqa: PTH116 - before every commit is reported: a Path costs more than the question
    return found.st_dev, found.st_ino
