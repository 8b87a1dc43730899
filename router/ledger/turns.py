"""Turns that every process of a site takes from one row: a leaky bucket without bursts, in the ledger's database.

On PostgreSQL its own clock counts, so machines need not agree on the time. On SQLite the machine's monotonic clock
does: all its processes share it, and a step of the wall clock changes nothing.

A process that has been alone with its turns for a while reserves those of the next moment in one transaction and gives
them out by itself. What it does not use is lost: so a block is short, and another process that comes waits no longer.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Double, MetaData, String, Table, event

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
BLOCK: Final = 0.05
"""Seconds of turns that are reserved at once, if they hold two turns."""
ALONE: Final = 1.0
"""Seconds for which nobody else has taken a turn before more than one is reserved."""
_ROUNDING: Final = 1e-6

#: By dialect: `now` of the database's own clock, or a parameter; and a parameter of this name.
_NOW: Final = {"postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)", "sqlite": ":now"}
_PARAMETER: Final = {"postgresql": "%({})s", "sqlite": ":{}"}
_LAST: Final = "SELECT next FROM pace_turns WHERE name = {name}"
_TAKE: Final = """
INSERT INTO pace_turns (name, next) VALUES ({name}, {now} + {length})
ON CONFLICT (name) DO UPDATE SET next = {length} + CASE
    WHEN pace_turns.next > {now} + {farthest} OR pace_turns.next < {now} THEN {now} ELSE pace_turns.next END
RETURNING next, next - {length} - {now}
"""


def _unsynchronised(connection: sqlite3.Connection, _record: Any) -> None:
    """A turn that a power cut forgets costs nothing: no need to wait for the disk."""
    connection.execute("PRAGMA synchronous=OFF")


@dataclass(slots=True, eq=False)
class _Block:
    """Turns of one name that this process has reserved: from `next` on, all over by `end` (monotonic seconds)."""

    asking: threading.Lock = field(default_factory=threading.Lock)
    next: float = 0.0
    end: float = 0.0
    written: float | None = None
    """What the row said after our last taking."""
    alone_since: float = 0.0

    def turn(self, now: float, interval: float) -> float | None:
        """Seconds until the next turn in it, which is taken; None when none is left."""
        mine = max(now, self.next)
        if mine + interval > self.end + _ROUNDING:
            return None
        self.next = mine + interval
        return mine - now


class SqlTurns:
    """`contracts.Turns` over all processes that open the same database. Any thread."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic, *, upgrade: bool = False) -> None:
        """upgrade: migrate a table of an older version, see `Database`"""
        self._database = Database("pace", url, METADATA, VERSION, upgrade=upgrade)
        self._monotonic = monotonic
        self._blocks: dict[str, _Block] = {}
        self._lock = threading.Lock()
        dialect = self._database.dialect
        self._own_clock = dialect == "postgresql"
        if not self._own_clock:
            event.listen(self._database.engine, "connect", _unsynchronised)
            self._database.engine.dispose()  # those that are open already
        names = {name: _PARAMETER[dialect].format(name) for name in ("name", "length", "farthest")}
        self._last, self._take = _LAST.format(**names), _TAKE.format(now=_NOW[dialect], **names)

    def at_hand(self, name: str, interval: float) -> float | None:
        """See the contract."""
        with self._lock:
            block = self._blocks.get(name)
            return block.turn(self._monotonic(), interval) if block is not None else None

    def take(self, name: str, interval: float) -> float:
        """See the contract. At most one small transaction."""
        with self._lock:
            block = self._blocks.setdefault(name, _Block())
        with block.asking:
            wait = self.at_hand(name, interval)  # who asked before may have got a block
            return wait if wait is not None else self._ask(name, interval, block)

    def close(self) -> None:
        self._database.close()

    def _ask(self, name: str, interval: float, block: _Block) -> float:
        """The first turn of a new block."""
        with self._database.write_straight() as connection:
            before = self._monotonic()  # once we have the turn to write
            length = interval * self._count(connection, name, interval, block, before)
            values = {"name": name, "length": length, "farthest": FARTHEST}
            values |= {} if self._own_clock else {"now": before}
            block.written, ahead = connection.execute(self._take, values).fetchone()
        # where the database's clock counts, its `now` was between these two
        now, wait = self._monotonic() if self._own_clock else before, max(0.0, float(ahead))
        with self._lock:
            block.next, block.end = now + wait + interval, before + wait + length
        return wait

    def _count(self, connection: Any, name: str, interval: float, block: _Block, now: float) -> int:
        """How many turns to reserve."""
        most = int(BLOCK / interval)
        if most < 2:
            return 1
        row = connection.execute(self._last, {"name": name}).fetchone()
        if row is None or row[0] != block.written:
            block.alone_since = now
        return most if now - block.alone_since >= ALONE else 1
