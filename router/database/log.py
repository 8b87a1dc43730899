"""The log (WAL) of an SQLite file that somebody copies into the file beside its writers.

By itself SQLite copies it in the commit that has filled it up, and all writers wait for that one. Who copies while
they write never comes to its end: so a long log is copied to its end in a turn to write, when little of it is left.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from sqlalchemy import Engine, event

PAGES: Final = 8000
"""A log of so many pages, which nobody has copied, is copied by a commit after all."""
LONG: Final = PAGES // 2
_PAGE_BYTES: Final = 4096


def copied_beside(engine: Engine) -> None:
    """The connections of this engine leave the copying to `copy`."""
    event.listen(engine, "connect", _on_connect)


def copy(connection: Any) -> int:
    """Copy what stands in the log up to now; returns how many pages the log has, copied ones too."""
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute(f"PRAGMA wal_autocheckpoint={PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={2 * PAGES * _PAGE_BYTES}")
