"""The ledger on SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Insert, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Claim, Fence, Row
from router.exchange import Origin
from router.ledger import fences
from router.ledger.database import Database, chunks
from router.ledger.tables import (
    CLAIMS,
    DELIVERIES,
    FORGETTABLE,
    IS_DEAD,
    METADATA,
    MIGRATIONS,
    STATE_COLUMNS,
    UNFINISHED,
    VERSION,
    columns,
    row_of,
    state_columns,
)

_SAVE: Final = (
    update(DELIVERIES)
    .where(DELIVERIES.c.id == bindparam("row_id"))
    .values({name: bindparam(f"new_{name}") for name in STATE_COLUMNS})
)
_SAVED: Final = [(name, f"new_{name}") for name in STATE_COLUMNS]
_CLAIMED_SQLITE: Final = "SELECT id, {} FROM ledger_claims WHERE id IN (SELECT value FROM json_each(?))"
_CLAIMED_POSTGRESQL: Final = "SELECT id, {} FROM ledger_claims WHERE id = ANY(%s)"
_FORGET_ROWS: Final = 1000


class SqlLedger:
    """`contracts.Ledger`. On SQLite in a file of its own: its write lock is not the bus's.

    Raises `Unavailable` (`LEDGER-…`) while the database is away; the next call connects again.
    """

    def __init__(self, url: str) -> None:
        self._database = Database("ledger", url, METADATA, VERSION, MIGRATIONS)
        database = self._database
        self._new_rows = self._insert_new(DELIVERIES)
        self._claim_many = database.many(self._insert_new(CLAIMS), CLAIMS.c.keys())
        self._open_many = database.many(self._new_rows, DELIVERIES.c.keys())
        self._save_many = database.many(_SAVE, ["row_id", *(new for _, new in _SAVED)])

    def claim(self, claims: Sequence[Claim]) -> Sequence[Origin]:
        """See the contract. In one batch the first of two equal ids wins."""
        if not claims:
            return []
        first: dict[str, Claim] = {}
        for claim in claims:
            first.setdefault(claim.id, claim)
        # Sorted: two processes that claim the same ids take their locks in the same order.
        values = [
            {"id": claim.id, "origin": str(claim.origin), "ack": claim.ack, "at": claim.at}
            for _, claim in sorted(first.items())
        ]
        with self._database.write() as connection:
            self._claim_many(connection, values)
            found = self._claimed(connection, "origin", list(first))
        owners = {id_: Origin.parse(origin) for id_, origin in found}
        return [owners[claim.id] for claim in claims]

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        with self._database.glance() as connection:
            return {id_: bytes(ack) for id_, ack in self._claimed(connection, "ack", ids)}

    def take(self, sink: str, partitions: Collection[int]) -> Mapping[int, int]:
        """See the contract. Waits for a transaction of an earlier owner that is being committed."""
        if not partitions:
            return {}
        with self._database.write() as connection:
            return fences.take(connection, sink, partitions)

    def open(self, rows: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        return self.write(rows, (), fence)

    def save(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        self.write((), rows, fence)

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        """See the contract. Of equal ids in `opens` the first one is inserted, and neither is returned."""
        if not opens and not saves:
            return {}
        new: dict[str, Row] = {}
        for row in opens:
            new.setdefault(row.delivery.id, row)
        inserts = [columns(row) for _, row in sorted(new.items())]
        updates = []
        for row in sorted(saves, key=lambda row: row.delivery.id):
            state = state_columns(row)
            updates.append({"row_id": row.delivery.id} | {name: state[old] for old, name in _SAVED})
        with self._database.write() as connection:
            fences.check(connection, map(_place, (*opens, *saves)), fence)
            known = self._insert(connection, inserts) if inserts else {}
            if updates:
                self._save_many(connection, updates)
        return known

    def unfinished(self, sink: str, partitions: Collection[int]) -> Sequence[Row]:
        of = DELIVERIES.c
        query = select(DELIVERIES).where(of.sink == sink, of.partition.in_(list(partitions)), UNFINISHED)
        return self._rows(query.order_by(of.partition, of.sequence))

    def get(self, ids: Sequence[str]) -> Mapping[str, Row]:
        with self._database.read() as connection:
            return self._get(connection, ids)

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        """Rows of one document in one sink, by partition and sequence; none for an empty lineage."""
        if not lineage:
            return []
        of = DELIVERIES.c
        query = select(DELIVERIES).where(of.sink == sink, of.lineage == lineage)
        return self._rows(query.order_by(of.partition, of.sequence, of.id))

    def dead(self, sink: str | None = None) -> Sequence[Row]:
        """Dead-lettered rows, oldest change first."""
        of = DELIVERIES.c
        query = select(DELIVERIES).where(IS_DEAD)
        if sink is not None:
            query = query.where(of.sink == sink)
        return self._rows(query.order_by(of.updated, of.sink, of.partition, of.sequence))

    def needed(self, sink: str) -> Collection[Origin]:
        found: set[str] = set()
        with self._database.read() as connection:
            for unresolved in (UNFINISHED, IS_DEAD):
                query = select(DELIVERIES.c.bytes_at).where(DELIVERIES.c.sink == sink, unresolved)
                found.update(connection.execute(query).scalars())
        return {Origin.parse(place) for place in found}

    def forget(self, before: float) -> int:
        """See the contract. A dead-lettered row stays until a person has resolved it, however old it is."""
        claims = select(CLAIMS.c.id).where(CLAIMS.c.at < before)
        rows = select(DELIVERIES.c.id).where(FORGETTABLE, DELIVERIES.c.updated < before)
        return self._forget(CLAIMS, claims) + self._forget(DELIVERIES, rows)

    def close(self) -> None:
        self._database.close()

    def _insert(self, connection: Connection, values: Sequence[dict[str, Any]]) -> dict[str, Row]:
        """Insert the rows whose id is new; the others as they are."""
        ids = [value["id"] for value in values]
        if self._database.dialect == "sqlite":  # the write lock is ours: nobody inserts between the two
            known = self._get(connection, ids)
            fresh = [value for value in values if value["id"] not in known]
            if fresh:
                self._open_many(connection, fresh)
            return known
        inserted = set(connection.execute(self._new_rows.returning(DELIVERIES.c.id), values).scalars())
        return self._get(connection, [id_ for id_ in ids if id_ not in inserted])

    def _claimed(self, connection: Connection, column: str, ids: Sequence[str]) -> Iterable[tuple[str, Any]]:
        """(id, this column) of those that were claimed: one statement, whose text is the same for any number of ids."""
        if self._database.dialect == "sqlite":
            found = connection.exec_driver_sql(_CLAIMED_SQLITE.format(column), (json.dumps(list(ids)),))
        else:
            found = connection.exec_driver_sql(_CLAIMED_POSTGRESQL.format(column), (list(ids),))
        return [(row[0], row[1]) for row in found]

    def _forget(self, table: Table, old: Any) -> int:
        """Delete in small transactions, so that nobody waits behind the cleaning."""
        gone = 0
        while True:
            with self._database.write() as connection:
                ids = list(connection.execute(old.limit(_FORGET_ROWS)).scalars())
                if ids:
                    connection.execute(delete(table).where(table.c.id.in_(ids)))
            gone += len(ids)
            if len(ids) < _FORGET_ROWS:
                return gone

    def _rows(self, query: Any) -> list[Row]:
        with self._database.read() as connection:
            return [row_of(found) for found in connection.execute(query).mappings()]

    def _get(self, connection: Any, ids: Sequence[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for some in chunks(ids):
            query = select(DELIVERIES).where(DELIVERIES.c.id.in_(some))
            found.update((row["id"], row_of(row)) for row in connection.execute(query).mappings())
        return found

    def _insert_new(self, table: Table) -> Insert | Any:
        """An insert that passes over ids that are there, in this database's words."""
        words = postgresql if self._database.dialect == "postgresql" else sqlite
        return words.insert(table).on_conflict_do_nothing(index_elements=[table.c.id])


def _place(row: Row) -> tuple[str, int]:
    return row.delivery.sink, row.partition
