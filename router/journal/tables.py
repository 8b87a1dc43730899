"""The journal's tables.

`entries` and `receipts` keep each line as it came, under a digest of itself: a topic that is read again adds
nothing. `events` and `deliveries` sum them up for searches, `identifiers` leads from any id to its event, `terms`
from what a person knows (a recipient, a sender, a type of document) to the events, newest first.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    collate,
)

VERSION: Final = 2
METADATA: Final = MetaData()


def _text(name: str, *, server: bool = False) -> Column[str]:
    """server: the column came after the first version, and rows of before have it empty."""
    return Column(name, String, nullable=False, default="", server_default="" if server else None)


EVENTS: Final = Table(
    "journal_events",
    METADATA,
    Column("event_id", String, primary_key=True),
    Column("received", Float, nullable=False, index=True),
    Column("touched", Float, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    *(_text(name) for name in ("feed", "control_id", "sender", "source", "dialect", "action", "asked", "ack", "code")),
    _text("document_type", server=True),
    _text("structure", server=True),
    Column("level", Integer, nullable=False, server_default="0"),
    Column("qualified", Boolean),
    Index("journal_events_feed", "feed", "received"),
)
#: A beginning of an id is looked for byte by byte; on PostgreSQL the order of the primary key is the language's.
BY_BYTES: Final = collate(EVENTS.c.event_id, "C")
BEGINNING: Final = Index("journal_events_beginning", BY_BYTES).ddl_if(dialect="postgresql")

ENTRIES: Final = Table(
    "journal_entries",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("event_id", String, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
)

RECEIPTS: Final = Table(
    "journal_receipts",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("event_id", String, nullable=False, index=True),
    Column("delivery_id", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("body", Text, nullable=False),
)

DELIVERIES: Final = Table(
    "journal_deliveries",
    METADATA,
    Column("delivery_id", String, primary_key=True),
    Column("event_id", String, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
    *(_text(name) for name in ("sink", "label", "pipeline", "disposition", "state", "code", "text")),
    Column("received", Float, nullable=False, server_default="0"),
)
"""`received`: of its event, so that a search by outcome goes by the same time as every other one."""
BY_DISPOSITION: Final = Index(
    "journal_deliveries_outcome", DELIVERIES.c.disposition, DELIVERIES.c.received, DELIVERIES.c.event_id
)
_coded = DELIVERIES.c.code != ""
BY_CODE: Final = Index(
    "journal_deliveries_code",
    DELIVERIES.c.code,
    DELIVERIES.c.received,
    DELIVERIES.c.event_id,
    sqlite_where=_coded,
    postgresql_where=_coded,
)

#: `term`: its kind, a colon, and a normalised value; `at`: when the event was received.
TERMS: Final = Table(
    "journal_terms",
    METADATA,
    Column("event_id", String, primary_key=True),
    Column("term", String, primary_key=True),
    Column("at", Float, nullable=False),
    Index("journal_terms_term", "term", "at", "event_id"),
    sqlite_with_rowid=False,
)

IDENTIFIERS: Final = Table(
    "journal_identifiers",
    METADATA,
    Column("value", String, primary_key=True),
    Column("event_id", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Index("journal_identifiers_event", "event_id"),
)

PROGRESS: Final = Table(
    "journal_progress",
    METADATA,
    Column("name", String, primary_key=True),
    Column("at", Float, nullable=False),
)
