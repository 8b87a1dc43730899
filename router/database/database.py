"""One SQL database, SQLite or PostgreSQL: engine, transactions, schema version, and errors that become ours."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Insert,
    MetaData,
    Update,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from router.database import log
from router.database.raw_driver import RawDriver
from router.database.schema import Migrations, Schema
from router.database.time_limit import limited
from router.database.timing import Timing
from router.errors import Bug, OperatorFault, RouterError, Unavailable
from router.files import KeptFiles
from router.language import filled
from router.locks import TurnLock

_BUSY_SECONDS: Final = 10
_POSTGRESQL: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    # A process frozen in the middle of a transaction keeps its locks: the server ends its session for it.
    "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=15000"
    " -c client_encoding=UTF8",
}

#: SQLSTATE class -> what a person must mend. Anything else may pass by itself.
_OPERATOR_STATES: Final = {
    "28": "the database refuses our name or password",
    "3D": "the database does not exist",
    "42": "the database lacks a table, a column or a right of ours",
    "3F": "the schema of the database does not exist",
}
#: SQLite's result code -> what a person must mend.
_OPERATOR_CODES: Final = {
    "SQLITE_CANTOPEN": "the file of the database can't be opened",
    "SQLITE_READONLY": "the file of the database can't be written",
    "SQLITE_PERM": "the file of the database can't be written",
    "SQLITE_CORRUPT": "the file of the database is damaged: restore it from its backup",
    "SQLITE_NOTADB": "the file is not a database",
    "SQLITE_ERROR": "the database lacks a table or a column of ours",
}
#: SQLSTATE (unique violation; serialization failure, deadlock) and SQLite's results after which to begin again.
_CLASHES: Final = ("23505", "40", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
#: The same, and those of a statement whose time was up.
_ENDED: Final = (*_CLASHES, "57014", "SQLITE_INTERRUPT")

_REFUSED: Final = (
    "the database server answers but lets us not in: name, password, database or rights are wrong, or it starts, stops"
    " or is full"
)


class Clash(Unavailable):
    """Two transactions met on one row: begin this one again."""


class TooSlow(Unavailable):
    """A statement was cut because its time was up."""


class Database:
    """An engine for one room's tables. Thread-safe; every `write` is one durable transaction.

    room:    `ledger`, `journal`, `register`: the beginning of its error codes
    url:     `sqlite:////path/file.db` or `postgresql://user@host/name` (a driver may be named)
    tables:  made at start where they are missing, under a lock; where the database is away then, when it is back
    version: of those tables; a database of a newer version is refused
    beside:  somebody calls `checkpoint` all the time, so that no commit copies the log of an SQLite file
    upgrade: migrate an older one step by step. Otherwise it is refused (`<ROOM>-OLDER`) and stays as it is: in a
             rolling upgrade, processes of the older version still need it
    """

    def __init__(
        self,
        room: str,
        url: str,
        tables: MetaData,
        version: int,
        migrations: Migrations = MappingProxyType({}),
        *,
        beside: bool = False,
        upgrade: bool = False,
    ) -> None:
        self._code = room.upper()
        try:
            self.engine = _engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise OperatorFault(
                f"{self._code}-URL",
                "",
                "not the URL of an SQLite or PostgreSQL database: sqlite:////… or postgresql://…",
            ) from error
        self.dialect = self.engine.dialect.name
        if beside and self.dialect == "sqlite":
            log.copied_beside(self.engine)
        self._straight = RawDriver(self.engine)
        self._turn = self._turn_of_file()
        self._files = KeptFiles(self._code)
        self._anchor: Any = None
        event.listen(self.engine, "do_connect", self._before_connect)
        self._threads = threading.Lock()
        self._schema = Schema(room, tables, version, migrations, upgrade)
        self._unprepared = True
        self._preparing = threading.Lock()
        self.timing = Timing()
        self.away: Unavailable | None = None
        """Why the database could not be used at the start; whoever asks it for something tries again."""
        try:
            self._prepared()
        except Unavailable as error:
            self.away = error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, durable when the block ends; rolled back when it raises.

        Raises `OperatorFault` (`<ROOM>-REPLACED`) when the file it stands in was removed or replaced meanwhile.
        """
        self._prepared()
        with self.timing.block("write"):
            with self._transaction() as connection:
                yield connection
            self._files.verify()

    @contextmanager
    def read(self, seconds: float | None = None) -> Iterator[Connection]:
        """One consistent view; takes no lock that a writer waits for.

        seconds: a statement that is still running then is cut (`TooSlow`); the block may go on and ask for less
        """
        self._prepared()
        with self.timing.block("read"), self.mapped(), self.engine.connect() as plain:
            connection = plain.execution_options(reading=True)
            with connection.begin(), limited(connection, seconds):
                yield connection

    @contextmanager
    def raw_driver(self) -> Iterator[Any]:
        """A connection of the driver's own, for the hot path: each statement is a transaction of its own."""
        self._prepared()
        with self.timing.block("statement"), self.mapped(), self._straight.connection() as connection:
            yield connection

    @contextmanager
    def write_straight(self) -> Iterator[Any]:
        """The same, in the caller's turn to write an SQLite file; its transaction is its own to begin and end."""
        self._prepared()
        with self.timing.block("write"), self.mapped(), self._my_turn(), self._straight.connection() as connection:
            yield connection
            self._files.verify()

    def checkpoint(self) -> int:
        """Copy the log of an SQLite file into it, see `log`; returns how many pages it had."""
        with self.raw_driver() as connection:
            pages = log.copy(connection)
        if pages >= log.LONG:
            with self.write_straight() as connection:
                log.copy(connection)
        return pages

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """No exception of SQLAlchemy or of a driver leaves."""
        try:
            yield
        except (SQLAlchemyError, self._straight.driver.Error) as error:
            raise self._trouble(error) from error

    def many(self, statement: Insert | Update, names: Sequence[str]) -> Many:
        """A statement compiled once, for batches. `names`: its parameters."""
        return Many(statement, names, self.engine)

    def close(self) -> None:
        self._straight.close()
        if self._anchor is not None:
            self._anchor.close()
        self.engine.dispose()
        if self._turn is not None:
            self._turn.close()

    def _turn_of_file(self) -> TurnLock | None:
        """The lock beside an SQLite file; None for a database that is no file. Raises `OperatorFault`."""
        path = self.engine.url.database
        if self.dialect != "sqlite" or not path or path == ":memory:":
            return None
        try:
            return TurnLock(Path(f"{path}.lock"))
        except OSError as error:
            text = filled("the folder of the database can't be used: {reason}", reason=error.strerror)
            raise OperatorFault(f"{self._code}-CANTOPEN", "", text) from error

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """Writers of one SQLite file take turns by a lock of ours: SQLite's own waiting sleeps up to 0.1 s."""
        if self._turn is None:
            yield
            return
        with self._threads:
            if not self._turn.take(_BUSY_SECONDS):
                raise Unavailable(f"{self._code}-BUSY", "", "another process holds the database for too long")
            try:
                yield
            finally:
                self._turn.release()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self.mapped(), self._my_turn(), self.engine.begin() as connection:
            yield connection

    def _prepared(self) -> None:
        """Returns once the tables are there. Raises `Unavailable` while the database is away, `OperatorFault`."""
        if not self._unprepared:
            return
        with self._preparing:
            if self._unprepared:
                with self._transaction() as connection:
                    self._schema.prepare(connection, self.unhurried)
                self._keep_files()
                self._unprepared = False

    def _keep_files(self) -> None:
        """From now on an SQLite file must stay this very one; a connection stays open, which keeps its log in place."""
        path = self.engine.url.database
        if self._turn is None or path is None or self._anchor is not None:
            return
        with self.mapped():
            pooled = self.engine.raw_connection()
            self._anchor = pooled.dbapi_connection
            pooled.detach()
            self._anchor.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        try:
            self._files.note(Path(path), Path(f"{path}.lock"))
        except OSError as error:
            text = filled("a file of the database: {reason}", reason=error.strerror)
            raise OperatorFault(f"{self._code}-REPLACED", "", text) from error

    def _before_connect(self, *_: Any) -> None:
        """A connection is never opened on another file than the one the others have open."""
        self._files.verify()

    def unhurried(self, connection: Connection) -> None:
        """Let this transaction take its time: it is about every row there is, and comes once in a long while."""
        if self.dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))

    def _trouble(self, error: Exception) -> RouterError:
        """The texts of a driver may quote values: only codes are kept."""
        if isinstance(error, PoolTimeout):
            return Unavailable(f"{self._code}-BUSY", "", "no connection to the database is free")
        driver, cause = self._straight.driver, error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, driver.Error):
            return Bug.of(error, self._code)
        state = getattr(cause, "sqlstate", None) or ""
        result = str(getattr(cause, "sqlite_errorname", "") or "")
        if state.startswith(_ENDED) or result in _ENDED:
            slow = TooSlow(f"{self._code}-SLOW", "", "the database took too long to answer: ask for less")
            clash = Clash(f"{self._code}-CLASH", "", "another transaction wrote the same row", circuit=False)
            return slow if state == "57014" or result == "SQLITE_INTERRUPT" else clash
        name = "_".join(result.split("_")[:2])
        refused = _shown_the_door(cause)
        code = f"{self._code}-{state or name.removeprefix('SQLITE_') or ('REFUSED' if refused else 'AWAY')}"
        if sentence := _OPERATOR_STATES.get(state[:2]) or _OPERATOR_CODES.get(name):
            return OperatorFault(code, "", sentence)
        may_pass = state or name or isinstance(cause, driver.OperationalError | driver.InterfaceError)
        if may_pass and not isinstance(cause, driver.DataError):
            return Unavailable(code, "", _REFUSED if refused else "the database can't be used now")
        return Bug.of(error, self._code)


def _shown_the_door(cause: Any) -> bool:
    """Whether a server of PostgreSQL answered a connection with an error: libpq hands out no SQLSTATE for that."""
    said: bytes = getattr(getattr(cause, "pgconn", None), "error_message", b"")
    return not getattr(cause, "sqlstate", None) and (b"FATAL:" in said or b"fe_sendauth" in said)


class Many:
    """A statement executed for a batch of values, straight by the driver: half the time of the usual way."""

    def __init__(self, statement: Insert | Update, names: Sequence[str], engine: Engine) -> None:
        compiled = statement.compile(engine, column_keys=list(names))
        self._sql = compiled.string
        positions = compiled.positiontup if compiled.positional else None
        self._pick = itemgetter(*positions) if positions is not None else None

    def __call__(self, connection: Connection, values: Sequence[dict[str, Any]]) -> None:
        picked: Any = values if self._pick is None else list(map(self._pick, values))
        connection.exec_driver_sql(self._sql, picked)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        return engine
    if parsed.get_backend_name() != "postgresql":
        raise ArgumentError("neither SQLite nor PostgreSQL")
    arguments = {name: value for name, value in _POSTGRESQL.items() if name not in parsed.query}
    return create_engine(parsed.set(drivername="postgresql+psycopg"), connect_args=arguments, pool_timeout=10)


def _on_sqlite_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are ours to begin: see _on_sqlite_begin
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8192"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    """A writer takes the write lock at once, so that two of them wait instead of failing half-way."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
