"""PostgreSQL, where the site has it: its version, our rights, its connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from router.database.examination import Server, examine, is_postgresql
from router.language import filled, filled_plural
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong

LEAST: Final = 14
"""The oldest release that still got mends when this version of the router was made (postgresql.org, versioning)."""
FULL: Final = 0.8


def look(installation: Installation) -> Iterator[Verdict]:
    """Raises `OperatorFault` or `Unavailable` when the server does not let us in."""
    database = installation.site.config.database
    url = database.resolve(installation.site.data / "ledger.db")
    if not is_postgresql(url):
        return
    found = examine(url)
    major = found.version // 10_000
    told = f"PostgreSQL {major}.{found.version % 10_000}"
    if major < LEAST:
        fix = f"PostgreSQL >= {LEAST}"
        yield wrong("version", filled("{name} is no longer mended by its makers", name=told), fix)
    else:
        yield good("version", told)
    yield from _rights(found)
    yield from _connections(found)


def _rights(found: Server) -> Iterator[Verdict]:
    if found.read_only:
        text = "this server is a copy that can't be written: name the primary in `database.url`"
        yield wrong("server", text, "postgresql://primary,replica/router?target_session_attrs=read-write")
    if found.encoding != "UTF8":
        text = filled("the database is in {name}: accents would be lost", name=found.encoding)
        yield wrong("encoding", text, "createdb --encoding=UTF8 --template=template0 …")
    if not found.may_create:
        text = filled("{name} may not make tables: the first start, and a migration, need it", name=found.user)
        yield wrong("rights", text, f'GRANT CREATE, USAGE ON SCHEMA public TO "{found.user}"')
    for table in found.closed:
        text = filled("{name} may not read and write {table}", name=found.user, table=table)
        yield wrong("rights", text, f'GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO "{found.user}"')
    if found.may_create and not found.closed:
        yield good("rights", found.user)


def _connections(found: Server) -> Iterator[Verdict]:
    told = filled_plural(
        "{count} connection of {most} is taken",
        "{count} connections of {most} are taken",
        found.connections,
        most=found.most_connections,
    )
    if found.connections > FULL * found.most_connections:
        yield remark("connections", told, "max_connections")
    else:
        yield good("connections", told)
