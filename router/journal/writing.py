"""Lines into the tables, a batch at a time: each line stands under the day on which its event was received.

Two topics are read side by side, so a receipt may come before the reception of its event. Such lines stand under
`UNDATED` until the reception comes, which takes them to their day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.database import Database, Many
from router.journal import days
from router.journal.days import UNDATED
from router.journal.rows import Rows
from router.journal.tables import (
    BY_DAY,
    DELIVERIES,
    ENTRIES,
    EVENTS,
    ORPHANS,
    PROGRESS,
    RECEIPTS,
    TERMS,
    day_of,
)

_ASKED_AT_ONCE: Final = 500
_Place = tuple[int, float]
"""(day, received)."""


class Writer:
    """The statements that write, compiled once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._words: Any = postgresql if database.dialect == "postgresql" else sqlite
        self._entries = self._new(ENTRIES)
        self._receipts = self._new(RECEIPTS)
        self._terms = self._new(TERMS)
        self._orphans = self._new(ORPHANS)
        self._events = self._earliest_event()
        self._deliveries = self._latest_delivery()
        of = EVENTS.c
        touched = update(EVENTS).where(of.event == bindparam("of"), of.touched < bindparam("to"))
        self._touched = database.many(touched.values(touched=bindparam("to")), ["of", "to"])

    def write(self, connection: Connection, rows: Rows, seen: float | None) -> None:
        """See `Journal.write`."""
        days.one_writer(connection)
        known, undated = self._known(connection, rows.touched), self._undated(connection, rows.touched)
        places = self._places(rows, known)
        days.make(connection, {day for day, _ in places.values()})
        rows.stand_at(places)
        self._gather(connection, rows, known, undated, places)
        self._add(connection, self._entries, rows.entries)
        self._add(connection, self._receipts, rows.receipts)
        first = {name: row for name, row in rows.events.items() if self._new_to(row, known)}
        self._add(connection, self._events, first)
        self._add(connection, self._deliveries, rows.deliveries)
        self._add(connection, self._terms, rows.terms)
        if later := [name for name in sorted(rows.touched) if name in known or name in rows.events]:
            self._touched(connection, [{"of": name, "to": rows.touched[name]} for name in later])
        if seen is not None:
            self._progress(connection, seen)

    # ------------------------------------------------------------------------------------------- where lines stand

    @staticmethod
    def _known(connection: Connection, ids: Iterable[int]) -> dict[int, float]:
        """Event -> when it was received, of those whose reception is there."""
        found: dict[int, float] = {}
        for some in _chunks(ids):
            query = select(EVENTS.c.event, EVENTS.c.received).where(EVENTS.c.event.in_(some))
            found.update((event, at) for event, at in connection.execute(query))
        return found

    @staticmethod
    def _undated(connection: Connection, ids: Iterable[int]) -> set[int]:
        """Those of which there are lines already, but no reception."""
        found: set[int] = set()
        for some in _chunks(ids):
            found.update(connection.execute(select(ORPHANS.c.event).where(ORPHANS.c.event.in_(some))).scalars())
        return found

    @staticmethod
    def _new_to(row: Mapping[str, Any], known: Mapping[int, float]) -> bool:
        """Whether this reception is the first that the journal knows of its event, or came before it."""
        before = known.get(row["event"])
        return before is None or before > row["received"]

    def _places(self, rows: Rows, known: Mapping[int, float]) -> dict[int, _Place]:
        """Where the lines of each event stand from now on."""
        places: dict[int, _Place] = {}
        for event in rows.touched:
            row = rows.events.get(event)
            received = row["received"] if row is not None and self._new_to(row, known) else known.get(event)
            places[event] = (day_of(received), received) if received is not None else (UNDATED, 0.0)
        return places

    def _gather(
        self,
        connection: Connection,
        rows: Rows,
        known: Mapping[int, float],
        undated: set[int],
        places: Mapping[int, _Place],
    ) -> None:
        """Take what stands elsewhere of these events to where they stand now."""
        moved: dict[int, list[int]] = {}
        for event, place in places.items():
            before = (day_of(known[event]), known[event]) if event in known else None
            before = (UNDATED, 0.0) if event in undated else before
            if before is not None and before != place:
                moved.setdefault(before[0], []).append(event)
        for day, ids in moved.items():
            for some in _chunks(ids):
                self._move(connection, day, some, places)
                connection.execute(delete(ORPHANS).where(ORPHANS.c.event.in_(some)))
        new = [event for event, (day, _) in places.items() if day == UNDATED and event not in undated]
        if new:
            named = [{"event": n, "event_id": rows.names[n], "day": day_of(rows.touched[n])} for n in sorted(new)]
            self._orphans(connection, named)

    @staticmethod
    def _move(connection: Connection, day: int, ids: Sequence[int], places: Mapping[int, _Place]) -> None:
        for table in BY_DAY:
            theirs = table.c.day == day, table.c.event.in_(ids)
            found = [dict(row) for row in connection.execute(select(table).where(*theirs)).mappings()]
            if not found:
                continue
            connection.execute(delete(table).where(*theirs))
            for row in found:
                row["day"], received = places[row["event"]]
                if table is TERMS:
                    row["at"] = received
                elif table is DELIVERIES:
                    row["received"] = received
            connection.execute(table.insert(), found)

    # ------------------------------------------------------------------------------------------- statements

    @staticmethod
    def _add(connection: Connection, many: Many, rows: Mapping[Any, dict[str, Any]]) -> None:
        if rows:
            many(connection, [rows[key] for key in sorted(rows)])

    def _progress(self, connection: Connection, seen: float) -> None:
        statement = self._words.insert(PROGRESS).values(name="bus", at=seen)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={"at": statement.excluded.at}, where=PROGRESS.c.at < statement.excluded.at
            )
        )

    def _new(self, table: Table) -> Many:
        statement = self._words.insert(table).on_conflict_do_nothing(index_elements=_key(table))
        return self._database.many(statement, table.c.keys())

    def _earliest_event(self) -> Many:
        """The first reception describes the event; a later one of the same id (received, then claimed) adds nothing."""
        statement = self._words.insert(EVENTS)
        kept = {name: statement.excluded[name] for name in list(EVENTS.c.keys()) if name not in ("event", "touched")}
        statement = statement.on_conflict_do_update(
            index_elements=["event"], set_=kept, where=EVENTS.c.received > statement.excluded.received
        )
        return self._database.many(statement, EVENTS.c.keys())

    def _latest_delivery(self) -> Many:
        """The latest receipt says how a delivery stands, in whatever order they are read."""
        statement, key = self._words.insert(DELIVERIES), _key(DELIVERIES)
        kept = {name: statement.excluded[name] for name in list(DELIVERIES.c.keys()) if name not in key}
        statement = statement.on_conflict_do_update(
            index_elements=key, set_=kept, where=DELIVERIES.c.at <= statement.excluded.at
        )
        return self._database.many(statement, DELIVERIES.c.keys())


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _chunks(ids: Iterable[int]) -> Iterable[list[int]]:
    names = sorted(ids)
    return (names[start : start + _ASKED_AT_ONCE] for start in range(0, len(names), _ASKED_AT_ONCE))
