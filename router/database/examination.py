"""What a PostgreSQL server is, and what it lets us do, for `doctor`. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from router.database.copies import ROOMS
from router.database.database import _OPERATOR_STATES, _engine
from router.errors import OperatorFault, Unavailable

_FACTS: Final = text(
    "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),"
    " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), current_setting('max_connections')::int,"
    " (SELECT count(*) FROM pg_stat_activity), extract(epoch FROM clock_timestamp())::float8, current_user"
)
#: Our tables that we may not read and write.
_CLOSED: Final = text(
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    " AND c.relname ~ :ours AND NOT (has_table_privilege(c.oid, 'SELECT')"
    " AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')"
    " AND has_table_privilege(c.oid, 'DELETE')) ORDER BY c.relname"
)
_OURS: Final = f"^({'|'.join((*ROOMS, 'schema'))})_"


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it answered. `version`: as `server_version_num` (150018); `clock`: its Unix time.

    may_create: whether we may make tables;  closed: tables of ours that we may not read and write
    """

    version: int
    encoding: str
    read_only: bool
    may_create: bool
    most_connections: int
    connections: int
    clock: float
    user: str
    closed: tuple[str, ...]


def host_of(url: str) -> str:
    """The host of a database's URL; "" for a file, or a socket of this machine, or what is no URL."""
    try:
        host = make_url(url).host or ""
    except ArgumentError:
        return ""
    return "" if host.startswith("/") else host


def is_postgresql(url: str) -> bool:
    """Whether this is the URL of a PostgreSQL database."""
    try:
        return make_url(url).get_backend_name() == "postgresql"
    except ArgumentError:
        return False


def examine(url: str) -> Server:
    """Ask the server. Raises `OperatorFault` for what a person must mend, `Unavailable` when it can't be reached."""
    try:
        engine = _engine(url)
        try:
            with engine.connect() as connection:
                facts = connection.execute(_FACTS).one()
                closed = tuple(connection.execute(_CLOSED, {"ours": _OURS}).scalars())
        finally:
            engine.dispose()
    except DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if state[:2] in _OPERATOR_STATES:
            raise OperatorFault(f"DATABASE-{state}", "database", _OPERATOR_STATES[state[:2]]) from error
        raise Unavailable(
            f"DATABASE-{state or 'AWAY'}", "database", "the database server does not let us in"
        ) from error
    except SQLAlchemyError as error:
        raise OperatorFault("DATABASE-URL", "database", "the database can't be used") from error
    version, encoding, read_only, may_create, most, connections, clock, user = facts
    return Server(version, encoding, read_only, may_create, most, connections, clock, user, closed)
