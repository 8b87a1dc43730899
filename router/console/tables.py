"""What the console keeps for people: how they like their pages, and their searches."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, MetaData, String, Table, Text

VERSION: Final = 1
METADATA: Final = MetaData()

CHOICES: Final = Table(
    "console_choices",
    METADATA,
    Column("person", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

SEARCHES: Final = Table(
    "console_searches",
    METADATA,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("name", String, nullable=False),
    Column("query", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("at", Float, nullable=False),
)
"""`query`: of the address of the search; it holds no identity, since no address does."""

TYPED: Final = Table(
    "console_typed",
    METADATA,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
"""What the box of the pages did not understand, under the handle that its address shows; forgotten after a day."""
