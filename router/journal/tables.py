"""The journal's tables.

`entries` and `receipts` keep each line as it came, under a digest of itself: a topic that is read again adds
nothing. `events` and `deliveries` sum them up for searches; `terms` leads from what a person knows (an id, a recipient,
a sender, a type of document) to the events, newest first.

All but `events` and `orphans` go by the day on which the event was received: on SQLite the key of every table and
index begins with it. So a day is read, and forgotten, as one piece; on PostgreSQL it is a partition of its own.
Events, terms and lines have a number there in the place of their text (`numbers`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION: Final = 3
METADATA: Final = MetaData()
DAY: Final = 86_400
"""Seconds of a day in UTC, by which the tables are divided."""


def day_of(at: float) -> int:
    """Number of the day (UTC, from 1970) of a Unix time."""
    return int(at // DAY)


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False, default="")


def _number(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=False, primary_key=key, autoincrement=False)


def _by_day(name: str, key: tuple[str, ...], *parts: Any, short: bool) -> Table:
    """A table that is divided by days. short: its rows are, so that they may stand in the order of their key itself.

    Within a partition of PostgreSQL the day says nothing: its indexes end with it.
    """
    day = Column("day", Integer, nullable=False, autoincrement=False)
    primary = PrimaryKeyConstraint("day", *key).ddl_if(dialect="sqlite")
    unique = UniqueConstraint(*key, "day", name=f"{name}_key").ddl_if(dialect="postgresql")
    how: dict[str, Any] = {"sqlite_with_rowid": not short, "postgresql_partition_by": "LIST (day)"}
    return Table(name, METADATA, day, *parts, primary, unique, **how)


def _index(name: str, *columns: Column[Any], where: ColumnElement[bool] | None = None) -> None:
    """An index of a table that is divided by days."""
    day = columns[0].table.c.day
    Index(name, day, *columns, sqlite_where=where).ddl_if(dialect="sqlite")
    Index(f"{name}_of_day", *columns, postgresql_where=where).ddl_if(dialect="postgresql")


EVENTS: Final = Table(
    "journal_events",
    METADATA,
    _number("event", key=True),
    Column("event_id", String, nullable=False),
    Column("received", Float, nullable=False),
    Column("touched", Float, nullable=False),
    Column("size", BigInteger, nullable=False),
    *(_text(name) for name in ("feed", "control_id", "sender", "source", "dialect", "action", "asked", "ack", "code")),
    *(_text(name) for name in ("document_type", "structure")),
    Column("level", Integer, nullable=False),
    Column("qualified", Boolean),
    Index("journal_events_when", "received", "event"),
    Index("journal_events_of_feed", "feed", "received", "event"),
)
#: Events of which lines came, but no reception yet; their lines stand under this day until it comes.
ORPHANS: Final = Table(
    "journal_orphans",
    METADATA,
    _number("event", key=True),
    Column("event_id", String, nullable=False),
    Column("day", Integer, nullable=False, index=True),
)

ENTRIES: Final = _by_day(
    "journal_entries",
    ("event", "line"),
    _number("event"),
    _number("line"),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    short=False,
)

RECEIPTS: Final = _by_day(
    "journal_receipts",
    ("event", "line"),
    _number("event"),
    _number("line"),
    Column("at", Float, nullable=False),
    Column("body", Text, nullable=False),
    short=False,
)

DELIVERIES: Final = _by_day(
    "journal_deliveries",
    ("event", "delivery_id"),
    _number("event"),
    Column("delivery_id", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
    *(_text(name) for name in ("sink", "label", "pipeline", "disposition", "state", "code", "text")),
    Column("received", Float, nullable=False),
    short=True,
)
"""`received`: of its event, so that a search by outcome goes by the same time as every other one."""
_of = DELIVERIES.c
_index("journal_deliveries_ended", _of.disposition, _of.received, _of.event)
_index("journal_deliveries_coded", _of.code, _of.received, _of.event, where=_of.code != "")

#: `term`: number of its kind, a colon, and a normalised value; `at`: when the event was received.
TERMS: Final = _by_day(
    "journal_terms",
    ("term", "at", "event"),
    _number("term"),
    Column("at", Float, nullable=False),
    _number("event"),
    short=True,
)

PROGRESS: Final = Table(
    "journal_progress",
    METADATA,
    Column("name", String, primary_key=True),
    Column("at", Float, nullable=False),
)

BY_DAY: Final = (ENTRIES, RECEIPTS, DELIVERIES, TERMS)
