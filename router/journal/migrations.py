"""What makes a journal of one version one of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateColumn, CreateIndex

from router.journal.rows import ENTRY, Rows
from router.journal.tables import BEGINNING, BY_CODE, BY_DISPOSITION, DELIVERIES, ENTRIES, EVENTS, TERMS

_ROWS: Final = 1000


def _searchable(connection: Connection) -> None:
    """Version 1 found events by their ids alone: the terms are made of the lines that it kept."""
    for column in (EVENTS.c.document_type, EVENTS.c.structure, EVENTS.c.level, EVENTS.c.qualified):
        _add_column(connection, column)
    _add_column(connection, DELIVERIES.c.received)
    received = select(EVENTS.c.received).where(EVENTS.c.event_id == DELIVERIES.c.event_id).scalar_subquery()
    known = select(EVENTS.c.event_id).where(EVENTS.c.event_id == DELIVERIES.c.event_id).exists()
    connection.execute(update(DELIVERIES).where(known).values(received=received))
    TERMS.create(connection, checkfirst=True)
    connection.exec_driver_sql("DROP INDEX IF EXISTS journal_deliveries_disposition")
    BY_DISPOSITION.create(connection, checkfirst=True)
    BY_CODE.create(connection, checkfirst=True)
    if connection.dialect.name == "postgresql":
        connection.execute(CreateIndex(BEGINNING, if_not_exists=True))
    _fill(connection)


def _fill(connection: Connection) -> None:
    """The terms of every line, with the time at which its event was received."""
    words: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = words.insert(TERMS).on_conflict_do_nothing(index_elements=["event_id", "term"])
    after = ""
    while lines := _lines(connection, after):
        rows = Rows.of([ENTRY.validate_json(line["body"]) for line in lines], [])
        times = {line["event_id"]: line["received"] for line in lines if line["received"] is not None}
        values = [row | {"at": times.get(row["event_id"], row["at"])} for row in rows.terms.values()]
        if values:
            connection.execute(new, values)
        after = lines[-1]["digest"]


def _lines(connection: Connection, after: str) -> Sequence[Mapping[Any, Any]]:
    query = select(ENTRIES.c.digest, ENTRIES.c.event_id, ENTRIES.c.body, EVENTS.c.received)
    query = query.outerjoin_from(ENTRIES, EVENTS, EVENTS.c.event_id == ENTRIES.c.event_id)
    return (
        connection.execute(query.where(ENTRIES.c.digest > after).order_by(ENTRIES.c.digest).limit(_ROWS))
        .mappings()
        .all()
    )


def _add_column(connection: Connection, column: Column[Any]) -> None:
    present = {one["name"] for one in inspect(connection).get_columns(column.table.name)}
    if column.name not in present:
        text = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {text}")


MIGRATIONS: Final = {1: _searchable}
