"""What makes a journal of one version one of the next.

A journal may hold millions of events: at the start its tables are only set aside, which takes a moment. The journal's
worker then writes their lines into the new tables, the newest events first, a few at a time between what comes from
the bus. Whatever stops it, it goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, Text, delete, inspect, select, union

from router.database import Database
from router.journal.rows import ENTRY, RECEIPT, Rows
from router.journal.tables import METADATA
from router.journal.writing import Writer
from router.locks import make_way

_EVENTS_AT_ONCE: Final = 200
_OLD: Final = MetaData()


def _old(name: str, *columns: Column[Any]) -> Table:
    return Table(f"journal_old_{name}", _OLD, Column("event_id", String), *columns)


_EVENTS: Final = _old("events", Column("received", Float))
_LINES: Final = (_old("entries", Column("body", Text)), _old("receipts", Column("body", Text)))
_DERIVED: Final = tuple(_old(name) for name in ("deliveries", "identifiers", "terms"))
"""What the lines themselves say again."""


def _nothing(_: Connection) -> None:
    """Version 2 had more tables than version 1: both are set aside alike."""


def _set_aside(connection: Connection) -> None:
    """Until version 2 the tables did not go by the day."""
    present = set(inspect(connection).get_table_names())
    for table in _OLD.sorted_tables:
        name = table.name.replace("old_", "")
        if name in present:
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {table.name}")
    METADATA.create_all(connection)


MIGRATIONS: Final = {1: _nothing, 2: _set_aside}


class OldLines:
    """The lines of a journal of version 1 or 2, until they are in the tables of today."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._tables: list[Table] | None = None

    def left(self) -> bool:
        """Whether there are some, which no search finds yet."""
        if self._tables is None:
            with self._database.read() as connection:
                present = set(inspect(connection).get_table_names())
            self._tables = [table for table in _OLD.sorted_tables if table.name in present]
        return bool(self._tables)

    def move(self) -> bool:
        """Take a few events' lines; returns whether some are left. Whoever else writes gets his turn afterwards."""
        if not self.left():
            return False
        begun = time.monotonic()
        with self._database.write() as connection:
            ids = self._next(connection)
            if ids:
                self._take(connection, ids)
            else:
                for table in self._tables or ():
                    table.drop(connection)
        if not ids:
            self._tables = []
        make_way(begun)
        return bool(ids)

    @staticmethod
    def _next(connection: Connection) -> Sequence[str]:
        """The newest events; then those of which there are lines but no reception."""
        newest = select(_EVENTS.c.event_id).order_by(_EVENTS.c.received.desc()).limit(_EVENTS_AT_ONCE)
        if ids := connection.execute(newest).scalars().all():
            return ids
        unknown = union(*(select(table.c.event_id) for table in _LINES)).limit(_EVENTS_AT_ONCE)
        return connection.execute(unknown).scalars().all()

    def _take(self, connection: Connection, ids: Sequence[str]) -> None:
        bodies = [
            connection.execute(select(table.c.body).where(table.c.event_id.in_(ids))).scalars().all()
            for table in _LINES
        ]
        entries, receipts = map(ENTRY.validate_json, bodies[0]), map(RECEIPT.validate_json, bodies[1])
        self._writer.write(connection, Rows.of(list(entries), list(receipts)), None)
        for table in self._tables or ():
            connection.execute(delete(table).where(table.c.event_id.in_(ids)))
