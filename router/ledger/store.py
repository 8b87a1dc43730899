"""The ledger on SQLite or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, delete, func, or_, select, update

from router.contracts import (
    Beyond,
    Claim,
    DeadGroup,
    DeadWanted,
    Fence,
    LetterGroup,
    Offsets,
    Record,
    Row,
    Standing,
)
from router.database import Database, Took, unheard
from router.exchange import Origin, State
from router.ledger import fences, groups, letters, marks, reconciling
from router.ledger.fast_path_postgresql import PostgresqlFastPath
from router.ledger.fast_path_sqlite import SqliteFastPath
from router.ledger.migrations import MIGRATIONS
from router.ledger.tables import (
    CLAIMS,
    DELIVERIES,
    FORGETTABLE,
    IS_DEAD,
    IS_GIVEN_UP,
    IS_REPLACEMENT,
    METADATA,
    UNFINISHED,
    VERSION,
    row_of,
)
from router.locks import make_way

_FORGET_ROWS: Final = 1000
_OVERTAKING: Final = ("delete", "replace")
_YEAR: Final = 365 * 86_400.0


class SqlLedger:
    """`contracts.Ledger`. On SQLite in a file of its own: its write lock is not the bus's.

    Raises `Unavailable` (`LEDGER-…`) while the database is away; the next call connects again.
    away: why it was so when the ledger was opened, None when it was not
    took: hears how long each transaction or statement took
    upgrade: migrate tables of an older version, see `Database`
    """

    def __init__(self, url: str, took: Took = unheard, *, upgrade: bool = False) -> None:
        self._database = Database("ledger", url, METADATA, VERSION, MIGRATIONS, beside=True, upgrade=upgrade)
        self._database.timing.took = took
        self.away = self._database.away
        hot = PostgresqlFastPath if self._database.dialect == "postgresql" else SqliteFastPath
        self._hot = hot(self._database)

    def claim(self, claims: Sequence[Claim], seen: Offsets | None = None) -> Sequence[Origin]:
        """See the contract. In one batch the first of two equal ids wins."""
        if not claims and not seen:
            return []
        first: dict[str, Claim] = {}
        for claim in claims:
            first.setdefault(claim.id, claim)
        # Sorted: two processes that claim the same ids take their locks in the same order.
        owners = self._hot.claim([claim for _, claim in sorted(first.items())], seen or {})
        return [Origin.parse(owners[claim.id]) for claim in claims]

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._hot.acks(ids)

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
        """See the contract. Of equal ids in `opens` the first one is inserted, in `saves` the last one saved.

        A row that is new is not saved by the same call; one that was there may be, and is returned as saved.
        """
        if not opens and not saves:
            return {}
        new = {row.delivery.id: row for row in reversed(opens)}
        changed = {row.delivery.id: row for row in saves}
        return self._hot.write([new[id_] for id_ in sorted(new)], [changed[id_] for id_ in sorted(changed)], fence)

    def unfinished(self, sink: str, partitions: Collection[int]) -> Sequence[Row]:
        of = DELIVERIES.c
        query = select(DELIVERIES).where(of.sink == sink, of.partition.in_(list(partitions)), UNFINISHED)
        return self._rows(query.order_by(of.partition, of.sequence))

    def standing(self) -> Sequence[Standing]:
        of = DELIVERIES.c
        keys = (of.sink, of.state, of.code, func.coalesce(of.structure, ""))
        query = select(*keys, func.count(), func.min(of.created)).where(UNFINISHED).group_by(*keys).order_by(*keys)
        with self._database.read() as connection:
            return [
                Standing(sink, State(state), code, count, oldest, structure)
                for sink, state, code, structure, count, oldest in connection.execute(query)
            ]

    def get(self, ids: Sequence[str]) -> Mapping[str, Row]:
        return self._hot.get(ids)

    def saw(self, offsets: Offsets) -> None:
        if offsets:
            with self._database.write() as connection:
                marks.note(connection, offsets)

    def seen(self, topic: str) -> Mapping[int, int]:
        with self._database.read() as connection:
            return marks.seen(connection, topic)

    def topics(self) -> Mapping[str, str]:
        with self._database.read() as connection:
            return marks.identities(connection)

    def remember(self, identities: Mapping[str, str]) -> None:
        with self._database.write() as connection:
            marks.remember(connection, identities, marks.identities(connection).keys())

    def remade(self, topics: Collection[str]) -> None:
        with self._database.write() as connection:
            for topic in topics:
                marks.forget(connection, topic)

    def regress(self, ends: Offsets) -> Sequence[tuple[str, Origin]]:
        with self._database.write() as connection:
            self._database.unhurried(connection)
            reconciling.lower(connection, ends)
            return reconciling.release(connection, ends)

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        """Rows of one document in a sink and of what replaces it, by partition and sequence."""
        if not lineage:
            return []
        of = DELIVERIES.c
        query = select(DELIVERIES).where(of.sink == sink)
        # One question each: asked for both at once, SQLite reads every row of the sink.
        found = self._rows(query.where(of.lineage == lineage))
        found += self._rows(query.where(IS_REPLACEMENT, of.replaces == lineage))
        rows = {row.delivery.id: row for row in found}
        return sorted(rows.values(), key=lambda row: (row.partition, row.sequence, row.delivery.id))

    def overtakers(self, sink: str, names: Sequence[str]) -> Sequence[Row]:
        """See the contract; in no order."""
        return list(self._hot.overtakers(sink, names).values()) if names else []

    def dead(
        self, sink: str | None = None, within: Collection[str] | None = None, *, strict: bool = False
    ) -> Sequence[Row]:
        """Dead-lettered rows, oldest change first."""
        of = DELIVERIES.c
        query = select(DELIVERIES).where(IS_DEAD)
        if sink is not None:
            query = query.where(of.sink == sink)
        if within is not None:
            query = query.where(of.structure.in_(sorted(within)))
        if strict:
            query = query.where(of.strict)
        return self._rows(query.order_by(of.updated, of.sink, of.partition, of.sequence))

    def held(self, sink: str, code: str) -> Sequence[Row]:
        of = DELIVERIES.c
        return self._rows(
            select(DELIVERIES).where(of.sink == sink, UNFINISHED, of.state == State.PARKED, of.code == code)
        )

    def dead_groups(self, wanted: DeadWanted) -> Sequence[DeadGroup]:
        with self._named() as connection:
            return groups.dead(connection, wanted)

    def dead_page(
        self, wanted: DeadWanted, limit: int | None, *, newest: bool = True, beyond: Beyond | None = None
    ) -> Sequence[Row]:
        with self._named() as connection:
            ids = groups.page(connection, wanted, limit, newest=newest, beyond=beyond)
        rows = self.get(ids)
        return [rows[id_] for id_ in ids if id_ in rows]

    def dead_owners(self, wanted: DeadWanted) -> Collection[str]:
        with self._named() as connection:
            return groups.owners(connection, wanted)

    def letters_seen(self, topic: str, identity: str) -> Offsets:
        with self._database.read() as connection:
            return letters.seen(connection, topic, identity)

    def note_letters(
        self, topic: str, identity: str, found: Sequence[Record], resolved: Collection[Origin], ends: Offsets
    ) -> None:
        with self._database.write() as connection:
            letters.note(connection, topic, identity, found, resolved, ends)

    def letters(self, topic: str, within: Collection[str] | None = None) -> Sequence[Record]:
        with self._database.read() as connection:
            return letters.records(connection, topic, within)

    def letter_groups(self, topic: str, wanted: DeadWanted) -> Sequence[LetterGroup]:
        with self._lettered(wanted) as connection:
            return letters.groups(connection, topic, wanted)

    def letter_page(
        self,
        topic: str,
        wanted: DeadWanted,
        any_of: Sequence[LetterGroup] | None,
        limit: int | None,
        *,
        newest: bool = True,
        beyond: Beyond | None = None,
    ) -> Sequence[tuple[float, str, Record]]:
        with self._lettered(wanted) as connection:
            return letters.page(connection, topic, wanted, any_of, limit, newest=newest, beyond=beyond)

    def letter_owners(self, topic: str, wanted: DeadWanted, any_of: Sequence[LetterGroup] | None) -> Collection[str]:
        with self._lettered(wanted) as connection:
            return letters.owners(connection, topic, wanted, any_of)

    def needed(self, sink: str, given_up_since: float) -> Collection[Origin]:
        found: set[str] = set()
        may_be_taken_back = and_(IS_GIVEN_UP, DELIVERIES.c.updated >= given_up_since)
        with self._database.read() as connection:
            for wanted in (UNFINISHED, IS_DEAD, may_be_taken_back):
                query = select(DELIVERIES.c.bytes_at).where(DELIVERIES.c.sink == sink, wanted)
                found.update(connection.execute(query).scalars())
        return {Origin.parse(place) for place in found}

    def outdate(self, sink: str) -> None:
        """See the contract. Their order among themselves stays; to do it twice does no harm."""
        of = DELIVERIES.c
        with self._database.write() as connection:
            self._database.unhurried(connection)
            earlier = update(DELIVERIES).where(of.sink == sink).values(sequence=of.sequence - reconciling.AN_AGE)
            connection.execute(earlier)

    def forget(self, before: float) -> int:
        """See the contract. A dead-lettered row stays until a person has resolved it, however old it is; deletions and
        replacements stay a year longer, for dead letters of pipelines have no row and may be replayed at any time."""
        of = DELIVERIES.c
        claims = select(CLAIMS.c.id).where(CLAIMS.c.at < before)
        old = or_(and_(of.updated < before, of.action.not_in(_OVERTAKING)), of.updated < before - _YEAR)
        rows = select(of.id).where(FORGETTABLE, of.updated < before, old)
        return self._forget(CLAIMS, claims) + self._forget(DELIVERIES, rows)

    def checkpoint(self) -> int:
        """Copy the log of an SQLite file into it, see `Database`."""
        return self._database.checkpoint()

    def close(self) -> None:
        self._database.close()

    def _forget(self, table: Table, old: Any) -> int:
        """Delete in small transactions, so that nobody waits behind the cleaning."""
        gone = 0
        while True:
            begun = time.monotonic()
            with self._database.write() as connection:
                ids = list(connection.execute(old.limit(_FORGET_ROWS)).scalars())
                if ids:
                    connection.execute(delete(table).where(table.c.id.in_(ids)))
            gone += len(ids)
            if len(ids) < _FORGET_ROWS:
                return gone
            make_way(begun)

    @contextmanager
    def _named(self) -> Iterator[Connection]:
        """A view in which each dead row has its cause; a worker of an earlier version may still write some without."""
        with self._database.read() as connection:
            unnamed = groups.unnamed(connection)
        while unnamed:
            with self._database.write() as connection:
                unnamed = groups.name(connection)
        with self._database.read() as connection:
            yield connection

    @contextmanager
    def _lettered(self, wanted: DeadWanted) -> Iterator[Connection]:
        """A view in which each letter has its event, where letters are asked for by events; likewise."""
        if wanted.events is not None:
            with self._database.read() as connection:
                nameless = letters.nameless(connection)
            if nameless:
                with self._database.write() as connection:
                    connection.execute(letters.of_version_6(connection))
        with self._database.read() as connection:
            yield connection

    def _rows(self, query: Any) -> list[Row]:
        with self._database.read() as connection:
            return [row_of(found) for found in connection.execute(query).mappings()]
