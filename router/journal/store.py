"""The journal on SQLite or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.contracts import Clock
from router.database import Database, Many, Took, unheard
from router.exchange import JournalEntry, Receipt
from router.journal.rows import ENTRY, RECEIPT, Rows, asked_ids
from router.journal.tables import (
    DELIVERIES,
    ENTRIES,
    EVENTS,
    IDENTIFIERS,
    METADATA,
    PROGRESS,
    RECEIPTS,
    VERSION,
)
from router.journal.timeline import outline, tell
from router.journal.views import Activity, DeliveryState, EventStory, EventSummary
from router.locks import make_way

_PRUNED_AT_ONCE: Final = 500
_SHORTEST_PREFIX: Final = 8


class Journal:
    """What happened, for people. Any thread.

    Raises `Unavailable` (`JOURNAL-…`) while the database is away: nothing waits for it but the journal worker.
    """

    def __init__(self, url: str, clock: Clock, took: Took = unheard) -> None:
        """`took` hears how long each transaction took."""
        self._database = Database("journal", url, METADATA, VERSION)
        self._database.timing.took = took
        self._clock = clock
        self._entries = self._new(ENTRIES, ["digest"])
        self._receipts = self._new(RECEIPTS, ["digest"])
        self._identifiers = self._new(IDENTIFIERS, ["value", "event_id", "kind"])
        self._events = self._earliest_event()
        self._deliveries = self._latest_delivery()
        self._touched = self._database.many(
            update(EVENTS)
            .where(EVENTS.c.event_id == bindparam("of"), EVENTS.c.touched < bindparam("to"))
            .values(touched=bindparam("to")),
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
            self._add(connection, self._deliveries, rows.deliveries)
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
                for table in (ENTRIES, RECEIPTS, DELIVERIES, IDENTIFIERS, EVENTS) if ids else ():
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

    def story(self, any_id: str, limit: int = 20) -> list[EventStory]:
        """The stories of every event this id leads to, newest first.

        Event id (or the first 8 digits of it), MSH-10, document OID with or without extension, Message-ID,
        delivery id, ENVID, identifiers of the DMP or of an HL7 ACK, pseudonym of a patient.
        """
        with self._database.read() as connection:
            ids = self._find(connection, any_id, limit)
            stories = [self._story(connection, event_id) for event_id in ids]
        return sorted(stories, key=lambda story: story.event.received, reverse=True)

    def search(
        self,
        *,
        feed: str | None = None,
        since: float | None = None,
        until: float | None = None,
        ack: str | None = None,
        code: str | None = None,
        sink: str | None = None,
        disposition: str | None = None,
        patient: str | None = None,
        limit: int = 100,
    ) -> list[EventSummary]:
        """Events that meet every condition given, newest first.

        code: of the refusal, or of a delivery's outcome; patient: a pseudonym; disposition: of a delivery,
        "" for those that have not ended
        """
        wanted: list[ColumnElement[bool]] = []
        for column, value in ((EVENTS.c.feed, feed), (EVENTS.c.ack, ack)):
            if value is not None:
                wanted.append(column == value)
        if since is not None:
            wanted.append(EVENTS.c.received >= since)
        if until is not None:
            wanted.append(EVENTS.c.received < until)
        if code is not None:
            wanted.append(or_(EVENTS.c.code == code, self._having(DELIVERIES.c.code == code)))
        of_delivery = [
            column == value
            for column, value in ((DELIVERIES.c.sink, sink), (DELIVERIES.c.disposition, disposition))
            if value is not None
        ]
        if of_delivery:
            wanted.append(self._having(*of_delivery))
        if patient is not None:
            known = select(IDENTIFIERS.c.event_id).where(
                IDENTIFIERS.c.value == patient, IDENTIFIERS.c.kind == "patient"
            )
            wanted.append(EVENTS.c.event_id.in_(known))
        query = select(EVENTS).where(*wanted).order_by(EVENTS.c.received.desc()).limit(limit)
        with self._database.read() as connection:
            return [_summary(row) for row in connection.execute(query).mappings()]

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

    def _find(self, connection: Connection, any_id: str, limit: int) -> list[str]:
        of = IDENTIFIERS.c
        for form in asked_ids(any_id):
            query = (
                select(of.event_id, func.max(EVENTS.c.received))
                .outerjoin_from(IDENTIFIERS, EVENTS, EVENTS.c.event_id == of.event_id)
                .where(of.value == form)
                .group_by(of.event_id)
                .order_by(func.max(EVENTS.c.received).desc())
                .limit(limit)
            )
            ids = [event_id for event_id, _ in connection.execute(query)]
            if ids:
                return ids
        beginning = any_id.strip()
        if len(beginning) < _SHORTEST_PREFIX:
            return []
        query = select(of.event_id).where(of.value.startswith(beginning, autoescape=True), of.kind == "event")
        return list(connection.execute(query.distinct().limit(limit)).scalars())

    def _story(self, connection: Connection, event_id: str) -> EventStory:
        of_entries = select(ENTRIES.c.body).where(ENTRIES.c.event_id == event_id).order_by(ENTRIES.c.at)
        of_receipts = select(RECEIPTS.c.body).where(RECEIPTS.c.event_id == event_id).order_by(RECEIPTS.c.at)
        entries = [ENTRY.validate_json(body) for body in connection.execute(of_entries).scalars()]
        receipts = [RECEIPT.validate_json(body) for body in connection.execute(of_receipts).scalars()]
        rows = connection.execute(select(DELIVERIES).where(DELIVERIES.c.event_id == event_id)).mappings()
        deliveries = [DeliveryState(**{name: row[name] for name in DeliveryState.__slots__}) for row in rows]
        found = connection.execute(select(EVENTS).where(EVENTS.c.event_id == event_id)).mappings().first()
        event = _summary(found) if found else outline(event_id, entries, receipts)
        return tell(event, entries, receipts, deliveries)

    def _having(self, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return EVENTS.c.event_id.in_(select(DELIVERIES.c.event_id).where(*conditions))

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


def _summary(row: RowMapping) -> EventSummary:
    values = {name: row[name] for name in EventSummary.__slots__}
    return EventSummary(**values | {"asked": tuple(row["asked"].split())})
