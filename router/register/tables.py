"""The register's tables (SQLite or PostgreSQL) and how it speaks to the database.

Every identity is a pseudonym. `register_departure` and `register_work` survive a rebuild; the others are derived
from the ADT topic alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from router.errors import Unavailable

METADATA: Final = sa.MetaData()
_PSEUDONYM = sa.String(32)

PATIENT: Final = sa.Table(
    "register_patient",
    METADATA,
    sa.Column("id", _PSEUDONYM, primary_key=True),
    sa.Column("ins", _PSEUDONYM, nullable=False, default=""),
    sa.Column("qualified", sa.Boolean, nullable=True),
    sa.Column("status", sa.String(200), nullable=False, default=""),
    sa.Column("opposition", sa.String(3), nullable=False, default=""),
    sa.Column("opposition_at", sa.String(32), nullable=False, default=""),
    sa.Column("consent", sa.String(3), nullable=False, default=""),
    sa.Column("consent_at", sa.String(32), nullable=False, default=""),
    sa.Column("dmp", sa.String(10), nullable=False, default=""),
    sa.Column("merged_into", _PSEUDONYM, nullable=False, default="", index=True),
    sa.Column("last_event", sa.String(3), nullable=False, default=""),
    sa.Column("recorded", sa.String(32), nullable=False, default=""),
    sa.Column("topic", sa.String(249), nullable=False, default=""),
    sa.Column("partition", sa.Integer, nullable=False, default=-1),
    sa.Column("offset", sa.BigInteger, nullable=False, default=-1),
    sa.Column("since", sa.Float, nullable=False, default=0.0),
    sa.Column("updated", sa.Float, nullable=False, default=0.0),
)

#: An IPP or INS that names a patient. `retired`: the event after which it no longer does, "" while it does.
ALIAS: Final = sa.Table(
    "register_alias",
    METADATA,
    sa.Column("alias", _PSEUDONYM, primary_key=True),
    sa.Column("patient", _PSEUDONYM, primary_key=True, index=True),
    sa.Column("kind", sa.String(3), nullable=False),
    sa.Column("retired", sa.String(64), nullable=False, default=""),
    sa.Column("retired_by", sa.String(3), nullable=False, default=""),
)

#: Events already applied.
EVENT: Final = sa.Table(
    "register_event",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

#: What has left, under which identifiers.
DEPARTURE: Final = sa.Table(
    "register_departure",
    METADATA,
    sa.Column("alias", _PSEUDONYM, primary_key=True),
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("document", sa.String(160), nullable=False),
    sa.Column("sink", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

#: What somebody must look at.
WORK: Final = sa.Table(
    "register_work",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("alias", _PSEUDONYM, nullable=False, index=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(3), nullable=False),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("document", sa.String(160), nullable=False),
    sa.Column("sink", sa.String(64), nullable=False),
    sa.Column("left", sa.Float, nullable=False),
    sa.Column("opened", sa.Float, nullable=False),
    sa.Column("closed", sa.Float, nullable=False, default=0.0),
    sa.Column("closed_by", sa.String(64), nullable=False, default=""),
    sa.Column("outcome", sa.String(200), nullable=False, default=""),
)

#: Rebuilt by replaying the ADT topic.
DERIVED: Final = (PATIENT, ALIAS, EVENT)

_WRITES: Final = {"register_writes": True}


class Database:
    """One engine; `reading` and `writing` give a connection in a transaction and let no foreign exception out."""

    def __init__(self, url: str | URL) -> None:
        parsed = make_url(url)
        self._engine: Engine = sa.create_engine(parsed, **_options(parsed))
        if parsed.get_backend_name() == "sqlite":
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._ready = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises `Unavailable` when the database is away."""
        with _translated(), self._connection() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, durable when the block ends. Raises `Unavailable`; `IntegrityError` in a race."""
        with _translated(), self._connection().execution_options(**_WRITES) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _connection(self) -> Connection:
        if not self._ready:
            self._create()
        return self._engine.connect()

    def _create(self) -> None:
        """Create what is missing; several processes may start at once."""
        try:
            with self._engine.connect().execution_options(**_WRITES) as connection, connection.begin():
                METADATA.create_all(connection)
        except (IntegrityError, sa.exc.ProgrammingError, sa.exc.OperationalError):
            with self._engine.connect() as connection, connection.begin():
                missing = set(METADATA.tables) - set(sa.inspect(connection).get_table_names())
            if missing:
                raise
        self._ready = True


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 30, "check_same_thread": False}}
    return {"pool_pre_ping": True}


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: a write transaction must start as one
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("register_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Nothing of the database leaves but `IntegrityError`: its texts may quote values."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise Unavailable("REGISTER", "database", type(error).__name__) from None
    except sa.exc.TimeoutError:
        raise Unavailable("REGISTER", "database", "no connection free") from None
