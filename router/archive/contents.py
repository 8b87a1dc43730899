"""The sealed contents: files that are only appended to, in one folder for each day on which they expire.

To purge a day is to remove a folder. Each writer has files of its own, so nobody waits for anybody.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from router import private

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY: Final = 86_400.0


def day_of(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


class Contents:
    """One thread writes; any thread reads. OSError leaves: its caller knows what it means."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[str, BinaryIO]] = {}

    def append(self, until: float, pieces: Iterable[bytes]) -> tuple[str, int, int]:
        """Write these bytes behind what is there; returns (place, offset, length). Durable after `sync`."""
        place, file = self._open(day_of(until + DAY))  # the folder of a day may go once that day has begun
        offset, length = file.tell(), 0
        for piece in pieces:
            length += file.write(piece)
        return place, offset, length

    def sync(self) -> None:
        """All that was appended is on the disk."""
        for _, file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def read(self, place: str, offset: int, length: int) -> bytes:
        """Raises OSError (a file that is gone) or gives fewer bytes (one that was cut)."""
        with (self._folder / place).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def purge(self, now: float) -> int:
        """Remove the days that are over; returns how many bytes that frees."""
        today, freed = day_of(now), 0
        for folder in sorted(self._folder.glob("*")):
            if _DAY.fullmatch(folder.name) and folder.name <= today and not folder.is_symlink():
                freed += sum(path.stat().st_size for path in folder.iterdir())
                shutil.rmtree(folder)
        return freed

    def close(self) -> None:
        files, self._files = self._files, {}
        for _, file in files.values():
            file.close()

    def abandon(self) -> None:
        """After an error: what comes next goes into new files; what these hold behind it is named by no line."""
        files, self._files = self._files, {}
        for _, file in files.values():
            with suppress(OSError):
                file.close()

    def forget_old(self, now: float) -> None:
        """Close the files of days that nobody writes to any more."""
        for day in [day for day in self._files if day <= day_of(now)]:
            self._files.pop(day)[1].close()

    def _open(self, day: str) -> tuple[str, BinaryIO]:
        held = self._files.get(day)
        if held is None:
            private.make(self._folder / day)
            place = f"{day}/{secrets.token_hex(8)}"
            path = self._folder / place
            path.touch(mode=0o600, exist_ok=False)
            held = self._files[day] = place, path.open("ab")
        return held
