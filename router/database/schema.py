"""The tables of a room and their version: made where they are missing, migrated by those who may."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, text

from router.errors import OperatorFault

Migrations = Mapping[int, Callable[[Connection], None]]
"""Version -> what makes a database of that version one of the next."""

_OLDER: Final = (
    "the tables are of an older version, which running processes may still need: `segur-router ledger migrate`, or the"
    " start of the router, brings them to this one"
)
_VERSIONS: Final = Table(
    "schema_versions",
    MetaData(),
    Column("room", String, primary_key=True),
    Column("version", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Schema:
    """What one room keeps in a database. `upgrade`: whether tables of an older version are migrated."""

    room: str
    tables: MetaData
    version: int
    migrations: Migrations
    upgrade: bool

    def prepare(self, connection: Connection, unhurried: Callable[[Connection], None]) -> None:
        """The tables are there, in this version, once this returns. `unhurried` lets a transaction take its time.

        Raises `OperatorFault`: `<ROOM>-VERSION` for a newer version, `<ROOM>-OLDER` for an older one without `upgrade`.
        """
        if connection.dialect.name == "postgresql":
            lock = zlib.crc32(b"segur-router schema")
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
        _VERSIONS.create(connection, checkfirst=True)
        of = _VERSIONS.c
        found = connection.execute(_VERSIONS.select().where(of.room == self.room)).first()
        if found is None:
            self.tables.create_all(connection)
            connection.execute(_VERSIONS.insert(), {"room": self.room, "version": self.version})
        elif found.version > self.version:
            text_ = "the database was written by a newer segur-router"
            raise OperatorFault(f"{self.room.upper()}-VERSION", "", text_)
        elif found.version < self.version:
            self._migrate(connection, found.version, unhurried)

    def _migrate(self, connection: Connection, before: int, unhurried: Callable[[Connection], None]) -> None:
        if not self.upgrade:
            raise OperatorFault(f"{self.room.upper()}-OLDER", "", _OLDER)
        unhurried(connection)
        for old in range(before, self.version):
            self.migrations[old](connection)
        connection.execute(_VERSIONS.update().where(_VERSIONS.c.room == self.room), {"version": self.version})
