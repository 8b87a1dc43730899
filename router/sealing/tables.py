"""The keyring's tables: data keys, wrapped, and which master keys may wrap no more."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table

VERSION: Final = 1
METADATA: Final = MetaData()

#: One a day. `id`: 16 hex digits;  `created`: Unix seconds.
KEYS: Final = Table(
    "keyring_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("created", Float, nullable=False, index=True),
)

#: A data key under a master key. During a rotation a data key has two wraps: whoever has either master reads it.
WRAPS: Final = Table(
    "keyring_wraps",
    METADATA,
    Column("key_id", String(16), primary_key=True),
    Column("master", String(60), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
)

#: Master keys whose wraps were removed: they wrap no more, even in a process that started before.
RETIRED: Final = Table(
    "keyring_retired",
    METADATA,
    Column("master", String(60), primary_key=True),
    Column("at", Float, nullable=False),
)
