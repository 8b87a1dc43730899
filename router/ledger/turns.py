"""Turns that every process of a site takes from one row: a leaky bucket without bursts, in the ledger's database.

On PostgreSQL its own clock counts, so machines need not agree on the time. On SQLite the machine's monotonic clock
does: all its processes share it, and a step of the wall clock changes nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Column, Double, MetaData, String, Table, event, text

from router.database import Database

METADATA: Final = MetaData()
TURNS: Final = Table(
    "pace_turns",
    METADATA,
    Column("name", String, primary_key=True),
    Column("next", Double, nullable=False),
)
VERSION: Final = 1
FARTHEST: Final = 120.0
"""Seconds: a next turn that lies farther ahead was written before a restart of the clock, and is forgotten."""

#: `now` of the database's own clock, or a parameter.
_NOW: Final = {"postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)", "sqlite": ":now"}
_TAKE: Final = """
INSERT INTO pace_turns (name, next) VALUES (:name, {now} + :interval)
ON CONFLICT (name) DO UPDATE SET next = :interval + CASE
    WHEN pace_turns.next > {now} + :farthest OR pace_turns.next < {now} THEN {now} ELSE pace_turns.next END
RETURNING next - :interval - {now}
"""


def _unsynchronised(connection: sqlite3.Connection, _record: Any) -> None:
    """A turn that a power cut forgets costs nothing: no need to wait for the disk."""
    connection.execute("PRAGMA synchronous=OFF")


class SqlTurns:
    """`contracts.Turns` over all processes that open the same database. Any thread."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic, *, upgrade: bool = False) -> None:
        """upgrade: migrate a table of an older version, see `Database`"""
        self._database = Database("pace", url, METADATA, VERSION, upgrade=upgrade)
        self._monotonic = monotonic
        if self._database.dialect == "sqlite":
            event.listen(self._database.engine, "connect", _unsynchronised)
            self._database.engine.dispose()  # those that are open already
        self._take = text(_TAKE.format(now=_NOW[self._database.dialect]))

    def take(self, name: str, interval: float) -> float:
        """See the contract. One small transaction."""
        values = {"name": name, "interval": interval, "farthest": FARTHEST}
        with self._database.write() as connection:
            if self._database.dialect == "sqlite":
                values["now"] = self._monotonic()  # once we have the turn to write
            return max(0.0, float(connection.execute(self._take, values).scalar_one()))

    def close(self) -> None:
        self._database.close()
