"""The file of the embedded bus: its schema, its connections, and the one place where sqlite3's errors become ours."""

from __future__ import annotations

import errno
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.errors import OperatorFault, RouterError, Unavailable
from router.files import KeptFiles
from router.language import filled

#: A record's rowid is its partition's number in this file and its offset: a partition is one range of the B-tree.
SHIFT: Final = 40
PAGE_SIZE: Final = 4096
"""Of a new file. A commit writes whole pages into the log, four to six for a small message; earlier files have 8192."""
BUSY_SECONDS: Final = 10.0
_WAL_PAGES: Final = 8000
"""So many pages in the log make a commit copy them into the file; `SqliteBus.checkpoint` keeps it from that."""
LONG_LOG: Final = _WAL_PAGES // 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS topics(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
    retention REAL, max_bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS partitions(
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, number INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE(topic, number));
CREATE TABLE IF NOT EXISTS records(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, headers TEXT NOT NULL, timestamp REAL NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS offsets(
    groupname TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER,
    PRIMARY KEY(groupname, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS producers(name TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
"""
_IDENTITY: Final = "CREATE TABLE IF NOT EXISTS identity(name TEXT NOT NULL)"
"""This table has one row. An older file gets the table when it is opened. An older router works without it."""
_VERSION: Final = 1
SEALED_VERSION: Final = 2
"""Of a file that may hold sealed records: a router that can't open them refuses it (`BUS-VERSION`)."""

#: SQLite's result code -> (our code, is it the operator's to mend?, a sentence). Anything else is BUS-SQLITE.
_TROUBLES: Final = {
    "SQLITE_FULL": ("BUS-FULL", False, "the disk of the bus is full"),
    "SQLITE_BUSY": ("BUS-LOCKED", False, "another process holds the bus for too long"),
    "SQLITE_LOCKED": ("BUS-LOCKED", False, "another connection holds the bus for too long"),
    "SQLITE_IOERR": ("BUS-IO", False, "the disk of the bus answers with an error"),
    "SQLITE_NOMEM": ("BUS-MEMORY", False, "no memory left for the bus"),
    "SQLITE_PROTOCOL": ("BUS-LOCKED", False, "too many processes open the bus at once"),
    "SQLITE_CANTOPEN": ("BUS-OPEN", True, "the file of the bus can't be opened"),
    "SQLITE_READONLY": ("BUS-READONLY", True, "the file of the bus can't be written"),
    "SQLITE_PERM": ("BUS-READONLY", True, "the file of the bus can't be written"),
    "SQLITE_CORRUPT": ("BUS-CORRUPT", True, "the file of the bus is damaged: restore it from its backup"),
    "SQLITE_NOTADB": ("BUS-CORRUPT", True, "the file of the bus is not a bus"),
}
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


def trouble(error: sqlite3.Error | OSError) -> RouterError:
    """Our error for one of SQLite or of the lock files. Its text names no value."""
    if isinstance(error, OSError):
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            return OperatorFault(
                "BUS-OPEN", "", filled("the folder of the bus can't be used: {reason}", reason=error.strerror)
            )
        code = "BUS-FULL" if error.errno in _FULL_DISK else "BUS-IO"
        return Unavailable(code, "", filled("the folder of the bus can't be used now: {reason}", reason=error.strerror))
    name = getattr(error, "sqlite_errorname", "") or ""
    primary = "_".join(name.split("_")[:2])
    code, operator, text = _TROUBLES.get(
        primary, ("BUS-SQLITE", False, filled("the bus can't be used now: {name}", name=name))
    )
    return OperatorFault(code, "", text) if operator else Unavailable(code, "", text)


@contextmanager
def mapped() -> Iterator[None]:
    """No exception of sqlite3 or of the lock files leaves the embedded bus."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise trouble(error) from error


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it stands in the file. `ids[number]` is the partition's id."""

    id: int
    name: str
    ids: tuple[int, ...]
    retention: float | None
    max_bytes: int


class Store:
    """Opens connections on one file, and remembers its topics (which are never removed)."""

    def __init__(self, path: Path, max_pages: int | None = None) -> None:
        self.path = path
        self._max_pages = max_pages
        self._topics: dict[str, Topic] = {}
        self._free: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._files = KeptFiles("BUS")
        self._anchor: sqlite3.Connection | None = None
        self.identity = ""
        """Of the file, once `prepare` has returned: a copy of it has the same, a new file another."""

    def anchor(self, *others: Path) -> None:
        """From now on the files must stay these very ones, and `others` too.

        One connection stays open for as long: the last one that is closed would take the log away.
        """
        self._anchor = self.connect()
        self._anchor.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        self._files.note(self.path, *others)

    def verify(self) -> None:
        """Raises `OperatorFault` (`BUS-REPLACED`) when what is written would be found by nobody."""
        self._files.verify()

    def connect(self) -> sqlite3.Connection:
        """A connection that any one thread at a time may use; autocommit, transactions are explicit."""
        self.verify()
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_PAGES * PAGE_SIZE * 2}")
        connection.execute("PRAGMA cache_size=-8192")
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count={self._max_pages}")
        return connection

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables where they are missing; the caller has the turn to write."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SEALED_VERSION:
            raise OperatorFault("BUS-VERSION", "", "the file of the bus was written by a newer segur-router")
        if version < _VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT")
        self.identity = self.identity or _identity(connection)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection for a short reading, from any thread."""
        with self._lock:
            connection = self._free.pop() if self._free else None
        connection = connection or self.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._free.append(connection)

    def topic(self, connection: sqlite3.Connection, name: str) -> Topic | None:
        """A topic that exists in the file, or None."""
        known = self._topics.get(name)
        return known or self.reload(connection).get(name)

    def reload(self, connection: sqlite3.Connection) -> dict[str, Topic]:
        """Every topic of the file, read again."""
        ids: dict[int, list[int]] = {}
        for topic, number in connection.execute("SELECT topic, id FROM partitions ORDER BY topic, number"):
            ids.setdefault(topic, []).append(number)
        rows = connection.execute("SELECT id, name, retention, max_bytes FROM topics").fetchall()
        found = {
            name: Topic(topic, name, tuple(ids[topic]), retention, size)
            for topic, name, retention, size in rows
            if topic in ids
        }
        self._topics = found
        return found

    def close(self) -> None:
        with self._lock:
            while self._free:
                self._free.pop().close()
            anchor, self._anchor = self._anchor, None
        if anchor is not None:
            anchor.close()


def _identity(connection: sqlite3.Connection) -> str:
    """The name this file was given by whoever opened it first; the caller has the turn to write."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_IDENTITY)
    found = connection.execute("SELECT name FROM identity").fetchone()
    if found is None:
        found = (uuid.uuid4().hex,)
        connection.execute("INSERT INTO identity VALUES (?)", found)
    connection.execute("COMMIT")
    return str(found[0])
