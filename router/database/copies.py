"""Copies of whole databases, made while others write to them: SQLite by its online backup, PostgreSQL by pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from router.errors import OperatorFault, Unavailable
from router.language import filled

ROOMS: Final = ("ledger", "journal", "register", "pace", "access", "audit", "traces", "archive", "keyring")
"""Beginnings of the names of our tables; those of a shared database that begin otherwise are not ours."""
VERSIONS: Final = "schema_versions"
_BUSY_SECONDS: Final = 30.0


@contextmanager
def _mapped(code: str, place: str) -> Iterator[None]:
    """No exception of sqlite3 leaves; its text may quote a value, its name does not."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR")):
            raise Unavailable(code, place, filled("the database can't be copied now: {name}", name=name)) from error
        raise OperatorFault(code, place, filled("not a whole database: {name}", name=name)) from error


def _uri(path: Path, how: str) -> str:
    """Opened so, a file that is not there is never made."""
    return f"{path.absolute().as_uri()}?{how}"


def copy_sqlite(source: Path, target: Path) -> None:
    """One consistent view of `source`, whoever writes to it meanwhile. The log is within it: `target` is one file."""
    with (
        _mapped("BACKUP-COPY", source.name),
        closing(sqlite3.connect(_uri(source, "mode=rw"), uri=True, timeout=_BUSY_SECONDS)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)  # in one step: after several, every commit of another process would begin it again
        new.execute("PRAGMA journal_mode=DELETE").fetchall()  # else opening the copy would make files beside it


def count_sqlite(path: Path, *, thorough: bool) -> dict[str, int]:
    """Rows of each table. thorough: every page is read and compared (`integrity_check`), else their order only.

    Raises `OperatorFault` for a file that is no whole database.
    """
    with (
        _mapped("BACKUP-DAMAGED", path.name),
        closing(sqlite3.connect(_uri(path, "immutable=1"), uri=True)) as database,
    ):
        check = "integrity_check" if thorough else "quick_check"
        if (said := database.execute(f"PRAGMA {check}(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(said)
        found = database.execute("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name").fetchall()
        names = [name for (name,) in found if not name.startswith("sqlite_")]
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608


def sqlite_versions(path: Path, *, live: bool = False) -> dict[str, int]:
    """Room -> version of its tables, as the file says. Empty for the bus, which has a number of its own.

    live: others may write to the file; else it is one of a backup, and nothing is made beside it
    """
    name = _uri(path, "mode=rw" if live else "immutable=1")
    with _mapped("BACKUP-DAMAGED", path.name), closing(sqlite3.connect(name, uri=True)) as found:
        if not found.execute("SELECT 1 FROM sqlite_schema WHERE name=?", (VERSIONS,)).fetchone():
            return {}
        return dict(found.execute(f"SELECT room, version FROM {VERSIONS}"))  # noqa: S608


# ------------------------------------------------------------------------------------------------ PostgreSQL


def sqlite_path(url: str) -> Path:
    """The file of an SQLite URL."""
    return Path(make_url(url).database or "")


def versions(url: str) -> dict[str, int]:
    """Room -> version of its tables in a database that may be in use; empty for one that holds none of ours."""
    if not is_postgresql(url):
        path = sqlite_path(url)
        return sqlite_versions(path, live=True) if path.is_file() else {}
    with _connected(url) as connection:
        return _versions(connection) if VERSIONS in _ours(connection) else {}


def is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"


def dump_postgresql(url: str, target: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Our tables into a file of pg_dump; returns (rows of each table, room -> version), of that very moment.

    Raises `OperatorFault` (`BACKUP-PG-DUMP`) when pg_dump is missing or refuses, `Unavailable` when nobody answers.
    """
    with _connected(url) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        tables = _ours(connection)
        if VERSIONS not in tables:
            raise OperatorFault("BACKUP-PG-DUMP", "database", "the database holds no tables of ours")
        schema = connection.execute(text("SELECT current_schema()")).scalar_one()
        named = [f'--table="{schema}"."{name}"' for name in tables]
        _run("pg_dump", url, ["--format=custom", f"--snapshot={snapshot}", *named, f"--file={target}"])
        rows = {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in tables}  # noqa: S608
        return rows, _versions(connection)


def load_postgresql(url: str, source: Path) -> dict[str, int]:
    """Our tables from a file of pg_dump, all or none, into a database that has none; returns the rows of each."""
    with _connected(url) as connection:
        if _ours(connection):
            text_ = "the database holds a router's tables already: give an empty one (createdb), or drop them"
            raise OperatorFault("RESTORE-DATABASE", "database", text_)
    _run("pg_restore", url, ["--single-transaction", "--exit-on-error", str(source)])
    return count_postgresql(url)


def read_postgresql(source: Path) -> None:
    """Read a whole file of pg_dump, without a server. Raises `OperatorFault` when it can't be read to its end."""
    _run("pg_restore", "", ["--file=/dev/null", str(source)])


def count_postgresql(url: str) -> dict[str, int]:
    """Rows of each table of ours."""
    with _connected(url) as connection:
        names = _ours(connection)
        return {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names}  # noqa: S608


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise Unavailable("BACKUP-DATABASE", "database", "the database can't be used now") from error
    finally:
        engine.dispose()


def _ours(connection: Connection) -> list[str]:
    beginnings = tuple(f"{room}_" for room in ROOMS)
    return sorted(n for n in inspect(connection).get_table_names() if n.startswith(beginnings) or n == VERSIONS)


def _versions(connection: Connection) -> dict[str, int]:
    return {row.room: row.version for row in connection.execute(text(f"SELECT room, version FROM {VERSIONS}"))}  # noqa: S608


def _run(program: str, url: str, arguments: Sequence[str]) -> None:
    """A program of PostgreSQL's. The connection stands in a file of ours: arguments can be read by every account."""
    if shutil.which(program) is None:
        missing = filled(
            "{program} is not installed (Debian: postgresql-client); or leave the database to its own backups:"
            " --without-database",
            program=program,
        )
        raise OperatorFault("BACKUP-PG-DUMP", program, missing)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ}
        words = ["--no-owner", "--no-privileges", *arguments]
        if url:
            service = Path(folder, "service")
            service.write_text(_service(url))
            environment |= {"PGSERVICEFILE": str(service), "PGSERVICE": "segur"}
            words = ["--dbname=service=segur", "--no-password", *words]
        done = subprocess.run([program, *words], env=environment, capture_output=True, check=False)
    if done.returncode:
        # What pg_restore says may quote a row.
        raise OperatorFault(
            "BACKUP-PG-DUMP", program, filled("{program} ended with {code}", program=program, code=done.returncode)
        )


def _service(url: str) -> str:
    """The URL as a service file of libpq."""
    parsed = make_url(url)
    facts = {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
        **{name: value for name, value in parsed.query.items() if isinstance(value, str)},
    }
    return "\n".join(["[segur]", *(f"{name}={value}" for name, value in facts.items() if value is not None), ""])
