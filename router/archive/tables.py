"""The archive's tables: a line for each item, and the receipts that ended a delivery. Contents stand in files."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, MetaData, String, Table, Text

VERSION: Final = 1
METADATA: Final = MetaData()

#: `place`: `<day>/<file>` of its content, "" once that was removed or when there never was one; `coding`: how it was
#: packed before it was sealed.
ITEMS: Final = Table(
    "archive_items",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("delivery_id", String(64), nullable=False, index=True),
    Column("event_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(32), nullable=False),
    Column("at", Float, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_until", Float, nullable=False),
    Column("proof_until", Float, nullable=False, index=True),
    Column("place", String(80), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("coding", String(8), nullable=False),
)
Index(
    "archive_items_content",
    ITEMS.c.content_until,
    sqlite_where=ITEMS.c.place != "",
    postgresql_where=ITEMS.c.place != "",
)

#: Receipts as they stood on the bus, under a digest of themselves: one that is read again adds nothing.
RECEIPTS: Final = Table(
    "archive_receipts",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("delivery_id", String(64), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("proof_until", Float, nullable=False, index=True),
    Column("body", Text, nullable=False),
)
