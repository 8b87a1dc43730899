"""A backup is read again, all of it: digests, every page of its databases, their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from router.database import copies
from router.errors import OperatorFault
from router.language import filled
from router.runtime.backup import manifest
from router.runtime.backup.manifest import DUMP, Manifest

_DATABASE: Final = ".db"


def verify(folder: Path, *, thorough: bool = True) -> Manifest:
    """The manifest of a backup that is whole. thorough: databases are read page by page, not their bytes only.

    Raises `OperatorFault` (`BACKUP-DAMAGED`, `BACKUP-VERSION`, `BACKUP-NONE`). It names the first file that is not as
    it was written.
    """
    said = manifest.read(folder)
    for name, written in said.files.items():
        path = folder / name
        if not path.is_file():
            raise OperatorFault("BACKUP-DAMAGED", str(path), "a file of the backup is missing")
        found = manifest.digest(path)
        if (found.bytes, found.sha256) != (written.bytes, written.sha256):
            text = filled("{bytes} bytes that are not those that were written", bytes=found.bytes)
            raise OperatorFault("BACKUP-DAMAGED", str(path), text)
        if thorough:
            _read(path, written.rows)
    return said


def _read(path: Path, rows: dict[str, int]) -> None:
    if path.name == DUMP:
        copies.read_postgresql(path)
    elif path.suffix == _DATABASE and rows and copies.count_sqlite(path, thorough=True) != rows:
        raise OperatorFault("BACKUP-DAMAGED", str(path), "its tables do not hold the rows that were written")
