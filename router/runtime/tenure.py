"""One router a data folder: who runs holds an operating system lock on it (decisions D12).

Two routers on one folder have the same names on the bus and fence each other without end. The lock ends with its
process, however that dies. Commands that only look take no lock.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from router.errors import OperatorFault
from router.language import N_, filled
from router.locks import FileLock, FolderLock, is_held

FILE: Final = "router.lock"
CODE: Final = "SITE-IN-USE"
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.05


class Tenure:
    """The right to run on one data folder, from `__init__` to `end`."""

    def __init__(self, data: Path) -> None:
        """Raises `OperatorFault`: `SITE-IN-USE` names the holder's process, `SITE-DATA` a folder without locks."""
        data.mkdir(parents=True, exist_ok=True)
        path = data / FILE
        self._lock, self._folder = FileLock(path), FolderLock(data)
        try:
            taken = self._take()
        except OSError as error:
            raise OperatorFault(
                "SITE-DATA", str(path), filled("can't be locked: {reason}", reason=error.strerror)
            ) from error
        if not taken:
            self._folder.release()
            text = filled(
                "a router runs on this data folder already ({what}): stop it, or give this one its own",
                what=_holder(path),
            )
            raise OperatorFault(CODE, str(data), text)
        written = filled("process {number} on {name}", number=os.getpid(), name=platform.node())
        self._lock.write(f"{written}\n".encode())

    def _take(self) -> bool:
        """Who deletes or moves the file away frees no place: the folder itself is locked too.

        Who only asks whether a router runs holds the locks for an instant (`locks.is_held`): we try again.
        """
        for _ in range(_TRIES):
            if self._folder.try_take() and self._lock.try_take():
                return True
            time.sleep(_PAUSE_SECONDS)
        return self._folder.try_take() and self._lock.try_take()

    def end(self) -> None:
        """Let another run. Safe to call twice."""
        self._lock.release()
        self._folder.release()


def runs(data: Path) -> bool:
    """Whether a router runs on this data folder now. Raises `OSError` when the folder can't be looked into."""
    if is_held(data / FILE):
        return True
    with suppress(OSError):  # folders can't be locked everywhere (NFS)
        return is_held(data)
    return False


def _holder(path: Path) -> str:
    """What the holder wrote of itself; it may not have written it yet."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace")[:200]
    except OSError:
        said = ""
    return "".join(dead_letter for dead_letter in said if dead_letter.isprintable()) or N_("process unknown")
