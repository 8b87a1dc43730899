"""The journal's tables.

`entries` and `receipts` keep each line as it came, under a digest of itself: a topic that is read again adds
nothing. `events` and `deliveries` sum them up for searches, `identifiers` leads from any id to its event.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

VERSION: Final = 1
METADATA: Final = MetaData()


def _text(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, String, nullable=False, default="", index=index)


EVENTS: Final = Table(
    "journal_events",
    METADATA,
    Column("event_id", String, primary_key=True),
    Column("received", Float, nullable=False, index=True),
    Column("touched", Float, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    *(_text(name) for name in ("feed", "control_id", "sender", "source", "dialect", "action", "asked", "ack", "code")),
    Index("journal_events_feed", "feed", "received"),
)

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
    Index("journal_deliveries_disposition", "disposition", "sink", "at"),
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
