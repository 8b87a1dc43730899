"""What the ledger is asked for every message, on SQLite: an open transaction holds the file's write lock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from router.contracts import Claim, Fence, Offsets, Row
from router.database import Database
from router.ledger import fences, marks
from router.ledger.tables import CLAIM_NAMES, NAMES, STATE_COLUMNS, claim_columns, rows_of, saved_values, values

_THESE: Final = "WHERE id IN (SELECT value FROM json_each(?))"
_CLAIM: Final = (
    f"INSERT INTO ledger_claims({', '.join(CLAIM_NAMES)}) VALUES ({', '.join(f':{name}' for name in CLAIM_NAMES)}) "
    "ON CONFLICT(id) DO NOTHING"
)
_OWNERS: Final = f"SELECT id, origin FROM ledger_claims {_THESE}"
_ACKS: Final = f"SELECT id, ack FROM ledger_claims {_THESE}"
_EPOCHS: Final = "SELECT partition, epoch FROM ledger_fences WHERE sink = ?"
_KNOWN: Final = f"SELECT id FROM ledger_deliveries {_THESE}"
_ROWS: Final = f"SELECT {', '.join(NAMES)} FROM ledger_deliveries {_THESE}"
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
# One question each: asked for both at once, SQLite reads every row of the sink.
_OVERTAKERS: Final = " UNION ALL ".join(
    f"SELECT {', '.join(NAMES)} FROM ledger_deliveries WHERE sink = ? AND {linked} {_AMONG} "
    "AND action IN ('delete', 'replace')"
    for linked in ("lineage", "replaces != '' AND replaces")
)
_OPEN: Final = f"INSERT INTO ledger_deliveries({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"
_SAVE: Final = f"UPDATE ledger_deliveries SET {', '.join(f'{name} = ?' for name in STATE_COLUMNS)} WHERE id = ?"
_SAW: Final = (
    "INSERT INTO ledger_marks(topic, partition, next) VALUES (:topic, :partition, :next) "
    "ON CONFLICT(topic, partition) DO UPDATE SET next = max(next, excluded.next)"
)


class SqliteFastPath:
    """See `SqlLedger`, whose methods these are; batches are not empty, and hold an id once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, claims: Sequence[Claim], seen: Offsets) -> dict[str, str]:
        """Id -> origin of its owner."""
        with self._transaction() as connection:
            connection.executemany(_SAW, marks.columns(seen))
            connection.executemany(_CLAIM, map(claim_columns, claims))
            return dict(connection.execute(_OWNERS, _ids(claim.id for claim in claims)).fetchall())

    def acks(self, ids: Sequence[str]) -> dict[str, bytes]:
        with self._database.raw_driver() as connection:
            return dict(connection.execute(_ACKS, _ids(ids)).fetchall())

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None) -> Mapping[str, Row]:
        with self._transaction() as connection:
            if fence is not None:
                _check(connection, (*opens, *saves), fence)
            known = self._known(connection, opens)
            connection.executemany(_OPEN, [values(row) for row in opens if row.delivery.id not in known])
            connection.executemany(_SAVE, map(saved_values, saves))
            connection.executemany(_SAW, marks.columns(marks.of_rows(opens)))
            return rows_of(connection.execute(_ROWS, _ids(known))) if known else {}

    def get(self, ids: Sequence[str]) -> dict[str, Row]:
        with self._database.raw_driver() as connection:
            return rows_of(connection.execute(_ROWS, _ids(ids)))

    def overtakers(self, sink: str, names: Sequence[str]) -> dict[str, Row]:
        with self._database.raw_driver() as connection:
            return rows_of(connection.execute(_OVERTAKERS, (sink, *_ids(names)) * 2))

    def _known(self, connection: sqlite3.Connection, opens: Sequence[Row]) -> set[str]:
        """Ids of those that are there already: nobody else inserts before the commit."""
        if not opens:
            return set()
        return {id_ for (id_,) in connection.execute(_KNOWN, _ids(row.delivery.id for row in opens))}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._database.write_straight() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, rows: Sequence[Row], fence: Fence) -> None:
    """Raise `Fenced` unless the fence holds the present epochs of all these rows' partitions."""
    lost: set[int] = set()
    for sink in {row.delivery.sink for row in rows}:
        present = dict(connection.execute(_EPOCHS, (sink,)).fetchall())
        numbers = {row.partition for row in rows if row.delivery.sink == sink}
        lost |= {n for n in numbers if n not in present or fence.get((sink, n)) != present[n]}
    fences.refuse(lost)


def _ids(ids: Iterable[str]) -> tuple[Any]:
    """Of any number, as one parameter."""
    return (json.dumps(list(ids)),)
