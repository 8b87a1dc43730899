"""The journal on SQLite or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Clock
from router.database import Database, Many, Took, TooSlow, unheard
from router.exchange import JournalEntry, Receipt
from router.journal import search
from router.journal.criteria import ANY, Counts, Criteria, Cursor, Found
from router.journal.migrations import MIGRATIONS
from router.journal.rows import ENTRY, RECEIPT, Rows, asked_ids, beginning
from router.journal.search import SECONDS
from router.journal.tables import (
    BY_BYTES,
    DELIVERIES,
    ENTRIES,
    EVENTS,
    IDENTIFIERS,
    METADATA,
    PROGRESS,
    RECEIPTS,
    TERMS,
    VERSION,
)
from router.journal.timeline import outline, tell
from router.journal.views import Activity, DeliveryState, EventStory
from router.locks import make_way

_PRUNED_AT_ONCE: Final = 500
_ASKED_AT_ONCE: Final = 500


class Journal:
    """What happened, for people. Any thread.

    Raises `Unavailable` (`JOURNAL-…`) while the database is away: nothing waits for it but the journal worker.
    """

    def __init__(self, url: str, clock: Clock, took: Took = unheard) -> None:
        """`took` hears how long each transaction took."""
        self._database = Database("journal", url, METADATA, VERSION, MIGRATIONS)
        self._database.timing.took = took
        self._clock = clock
        self._entries = self._new(ENTRIES, ["digest"])
        self._receipts = self._new(RECEIPTS, ["digest"])
        self._identifiers = self._new(IDENTIFIERS, ["value", "event_id", "kind"])
        self._terms = self._new(TERMS, ["event_id", "term"])
        self._events = self._earliest_event()
        self._deliveries = self._latest_delivery()
        self._touched = self._database.many(
            update(EVENTS)
            .where(EVENTS.c.event_id == bindparam("of"), EVENTS.c.touched < bindparam("to"))
            .values(touched=bindparam("to")),
            ["of", "to"],
        )
        self._redated = self._database.many(
            update(DELIVERIES)
            .where(DELIVERIES.c.event_id == bindparam("of"), DELIVERIES.c.received != bindparam("to"))
            .values(received=bindparam("to")),
            ["of", "to"],
        )

    # ------------------------------------------------------------------------------------------- writing

    def write(self, entries: Sequence[JournalEntry], receipts: Sequence[Receipt], *, seen: float | None = None) -> None:
        """Add these lines in one transaction; lines that are there already add nothing.

        seen: the bus's time of the newest record of the batch, see `written_up_to`
        """
        rows = Rows.of(entries, receipts)
        with self._database.write() as connection:
            # Sorted: two writers take their locks in the same order.
            self._add(connection, self._entries, rows.entries)
            self._add(connection, self._receipts, rows.receipts)
            self._add(connection, self._events, rows.events)
            self._date(connection, rows)
            self._add(connection, self._deliveries, rows.deliveries)
            self._add(connection, self._terms, rows.terms)
            self._add(connection, self._identifiers, rows.identifiers)
            if rows.touched:
                self._touched(connection, [{"of": name, "to": rows.touched[name]} for name in sorted(rows.touched)])
            if seen is not None:
                self._progress(connection, seen)

    def written_up_to(self) -> float | None:
        """The bus's time of the newest record that is in the journal; None before the first."""
        with self._database.read() as connection:
            found: float | None = connection.execute(select(func.max(PROGRESS.c.at))).scalar()
            return found

    def received(self, begin: float, end: float) -> dict[str, int]:
        """Events received from `begin` on and before `end` (Unix seconds), by feed."""
        within = (EVENTS.c.received >= begin) & (EVENTS.c.received < end)
        with self._database.read() as connection:
            found = connection.execute(select(EVENTS.c.feed, func.count()).where(within).group_by(EVENTS.c.feed))
            return {feed: count for feed, count in found if feed}

    def clear(self) -> None:
        """Forget everything, before it is rebuilt from the bus."""
        with self._database.write() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(delete(table))

    def prune(self, before: float) -> int:
        """Forget the events that nothing happened to since this Unix time, unless a delivery has not ended."""
        waiting = select(DELIVERIES.c.event_id).where(DELIVERIES.c.disposition == "")
        old = select(EVENTS.c.event_id).where(EVENTS.c.touched < before, EVENTS.c.event_id.not_in(waiting))
        gone = 0
        while True:
            begun = time.monotonic()
            with self._database.write() as connection:
                ids = list(connection.execute(old.limit(_PRUNED_AT_ONCE)).scalars())
                for table in (ENTRIES, RECEIPTS, DELIVERIES, IDENTIFIERS, TERMS, EVENTS) if ids else ():
                    connection.execute(delete(table).where(table.c.event_id.in_(ids)))
            gone += len(ids)
            if len(ids) < _PRUNED_AT_ONCE:
                break
            make_way(begun)
        with self._database.write() as connection:  # lines of no event that is known: commands, mostly
            for table in (ENTRIES, RECEIPTS):
                known = select(EVENTS.c.event_id).where(EVENTS.c.event_id == table.c.event_id)
                connection.execute(delete(table).where(table.c.at < before, ~known.exists()))
        return gone

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------------------------------------- reading

    def story(self, any_id: str, limit: int = 20, wanted: Criteria = ANY) -> list[EventStory]:
        """The stories of every event this id leads to, newest first.

        Event id (or the first 8 digits of it), MSH-10, document OID with or without extension, Message-ID,
        delivery id, ENVID, identifiers of the DMP or of an HL7 ACK, pseudonym of a patient.
        wanted: its feed and its period narrow what an id used several times leads to; an event of none of its
        structures (`within`) is as unknown as any id that nobody has used
        """
        with self._database.read() as connection:
            ids = self._find(connection, any_id, limit, wanted)
            stories = [self._story(connection, event_id) for event_id in ids]
        return sorted(stories, key=lambda story: story.event.received, reverse=True)

    def search(
        self, criteria: Criteria, limit: int = 100, seconds: float = SECONDS, after: Cursor | None = None
    ) -> Found:
        """Events that meet all criteria, newest first; cut after so many seconds. Raises `BadCriterion`.

        after: the place that the page before named (`Found.next`); None for the first page
        """
        asked = search.Search(criteria, limit, seconds, after)
        with suppress(TooSlow), self._database.read(seconds=seconds) as connection:
            asked.look(connection)
        with self._database.read() as connection:
            return asked.found(connection)

    def counts(self, criteria: Criteria, seconds: float = SECONDS) -> Counts:
        """How many events meet the criteria, by outcome; cut after so many seconds. Raises `BadCriterion`."""
        asked = search.Count(criteria, seconds)
        with suppress(TooSlow), self._database.read(seconds=seconds) as connection:
            asked.look(connection)
        return asked.counted()

    def control_ids(self, events: Iterable[str]) -> dict[str, str]:
        """MSH-10 by event id, of those that have one."""
        found: dict[str, str] = {}
        ids = sorted(set(events))
        with self._database.read() as connection:
            for start in range(0, len(ids), _ASKED_AT_ONCE):
                some = EVENTS.c.event_id.in_(ids[start : start + _ASKED_AT_ONCE])
                rows = connection.execute(select(EVENTS.c.event_id, EVENTS.c.control_id).where(some))
                found.update((event_id, name) for event_id, name in rows if name)
        return found

    def owners(self, events: Iterable[str]) -> dict[str, str]:
        """FINESS of the structure to which each event belongs, by event id, of those that belong to one."""
        found: dict[str, str] = {}
        ids = sorted(set(events))
        with self._database.read() as connection:
            for start in range(0, len(ids), _ASKED_AT_ONCE):
                some = EVENTS.c.event_id.in_(ids[start : start + _ASKED_AT_ONCE])
                rows = connection.execute(select(EVENTS.c.event_id, EVENTS.c.structure).where(some))
                found.update((event_id, finess) for event_id, finess in rows if finess)
        return found

    def dispositions(self, since: float = 0.0) -> Mapping[tuple[str, str], int]:
        """Number of deliveries per (sink, disposition) since this time; "" are those that have not ended."""
        of = DELIVERIES.c
        query = select(of.sink, of.disposition, func.count()).where(or_(of.at >= since, of.ended.is_(False)))
        with self._database.read() as connection:
            found = connection.execute(query.group_by(of.sink, of.disposition))
            return {(sink, disposition): count for sink, disposition, count in found}

    def activity(self, feed: str, since: float) -> Activity:
        """What came by a feed: its last message ever, and how many since this Unix time."""
        of = EVENTS.c
        mine = of.feed == feed
        counted = select(func.count(), func.count().filter(of.ack.not_in(("", "AA")))).where(mine, of.received >= since)
        with self._database.read() as connection:
            last: float | None = connection.execute(select(func.max(of.received)).where(mine)).scalar()
            received, refused = connection.execute(counted).one()
        return Activity(last, received, refused)

    def oldest(self) -> float | None:
        """When the oldest event of the journal was received."""
        with self._database.read() as connection:
            found: float | None = connection.execute(select(func.min(EVENTS.c.received))).scalar()
            return found

    # ------------------------------------------------------------------------------------------- private

    def _find(self, connection: Connection, any_id: str, limit: int, wanted: Criteria) -> list[str]:
        of = IDENTIFIERS.c
        for form in asked_ids(any_id):
            query = (
                select(of.event_id, func.max(EVENTS.c.received))
                .outerjoin_from(IDENTIFIERS, EVENTS, EVENTS.c.event_id == of.event_id)
                .where(of.value == form, *search.of_event(wanted))
                .group_by(of.event_id)
                .order_by(func.max(EVENTS.c.received).desc())
                .limit(limit)
            )
            ids = [event_id for event_id, _ in connection.execute(query)]
            if ids:
                return ids
        asked = beginning(any_id)
        if asked is None:
            return []
        name = BY_BYTES if self._database.dialect == "postgresql" else EVENTS.c.event_id
        query = (
            select(EVENTS.c.event_id).where(name >= asked[0], name < asked[1], *search.of_event(wanted)).limit(limit)
        )
        return list(connection.execute(query).scalars())

    def _story(self, connection: Connection, event_id: str) -> EventStory:
        of_entries = select(ENTRIES.c.body).where(ENTRIES.c.event_id == event_id).order_by(ENTRIES.c.at)
        of_receipts = select(RECEIPTS.c.body).where(RECEIPTS.c.event_id == event_id).order_by(RECEIPTS.c.at)
        entries = [ENTRY.validate_json(body) for body in connection.execute(of_entries).scalars()]
        receipts = [RECEIPT.validate_json(body) for body in connection.execute(of_receipts).scalars()]
        rows = connection.execute(select(DELIVERIES).where(DELIVERIES.c.event_id == event_id)).mappings()
        deliveries = [DeliveryState(**{name: row[name] for name in DeliveryState.__slots__}) for row in rows]
        found = connection.execute(select(EVENTS).where(EVENTS.c.event_id == event_id)).mappings().first()
        event = search.summary(found) if found else outline(event_id, entries, receipts)
        return tell(event, entries, receipts, deliveries)

    def _date(self, connection: Connection, rows: Rows) -> None:
        """A search goes by when the event was received: deliveries and terms of these rows get that time."""
        named = [row for table in (rows.deliveries, rows.terms) for row in table.values()]
        ids = sorted({row["event_id"] for row in named})
        received: dict[str, float] = {}
        for start in range(0, len(ids), _ASKED_AT_ONCE):
            some = ids[start : start + _ASKED_AT_ONCE]
            known = select(EVENTS.c.event_id, EVENTS.c.received).where(EVENTS.c.event_id.in_(some))
            received.update((event_id, at) for event_id, at in connection.execute(known))
        for row in rows.deliveries.values():
            row["received"] = received.get(row["event_id"], row["received"])
        for row in rows.terms.values():
            row["at"] = received.get(row["event_id"], row["at"])
        if rows.events:  # receipts may have come before
            self._redated(connection, [{"of": row["event_id"], "to": row["received"]} for row in rows.events.values()])

    @staticmethod
    def _add(connection: Connection, many: Many, rows: Mapping[Any, dict[str, Any]]) -> None:
        if rows:
            many(connection, [rows[key] for key in sorted(rows)])

    def _progress(self, connection: Connection, seen: float) -> None:
        words = self._words
        statement = words.insert(PROGRESS).values(name="bus", at=seen)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={"at": statement.excluded.at}, where=PROGRESS.c.at < statement.excluded.at
            )
        )

    @property
    def _words(self) -> Any:
        return postgresql if self._database.dialect == "postgresql" else sqlite

    def _new(self, table: Table, key: Iterable[str]) -> Many:
        statement = self._words.insert(table).on_conflict_do_nothing(index_elements=list(key))
        return self._database.many(statement, table.c.keys())

    def _earliest_event(self) -> Many:
        """The first reception describes the event; a later one of the same id (received, then claimed) adds nothing."""
        statement = self._words.insert(EVENTS)
        kept = {name: statement.excluded[name] for name in list(EVENTS.c.keys()) if name not in ("event_id", "touched")}
        statement = statement.on_conflict_do_update(
            index_elements=["event_id"], set_=kept, where=EVENTS.c.received > statement.excluded.received
        )
        return self._database.many(statement, EVENTS.c.keys())

    def _latest_delivery(self) -> Many:
        """The latest receipt says how a delivery stands, in whatever order they are read."""
        statement = self._words.insert(DELIVERIES)
        kept = {name: statement.excluded[name] for name in list(DELIVERIES.c.keys()) if name != "delivery_id"}
        statement = statement.on_conflict_do_update(
            index_elements=["delivery_id"], set_=kept, where=DELIVERIES.c.at <= statement.excluded.at
        )
        return self._database.many(statement, DELIVERIES.c.keys())
