"""The journal on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, Select, Table, cast, delete, func, select

from router.contracts import Clock
from router.database import Database, Took, TooSlow, unheard
from router.exchange import JournalEntry, Receipt
from router.journal import days, search
from router.journal.criteria import ANY, Counts, Criteria, Cursor, Found
from router.journal.days import UNDATED
from router.journal.migrations import MIGRATIONS, OldLines
from router.journal.numbers import of_event
from router.journal.rows import ENTRY, RECEIPT, Rows, asked_ids
from router.journal.search import SECONDS
from router.journal.tables import (
    DELIVERIES,
    ENTRIES,
    EVENTS,
    METADATA,
    ORPHANS,
    PROGRESS,
    RECEIPTS,
    VERSION,
    day_of,
)
from router.journal.timeline import deleted_before, outline, tell
from router.journal.views import Activity, EventStory
from router.journal.writing import Writer
from router.request import Action

_ASKED_AT_ONCE: Final = 500
_VERSIONS: Final = 50
"""Messages about one document that are looked at."""


class Journal:
    """What happened, for people. Any thread.

    Raises `Unavailable` (`JOURNAL-…`) while the database is away: nothing waits for it but the journal worker.
    """

    def __init__(self, url: str, clock: Clock, took: Took = unheard, *, upgrade: bool = False) -> None:
        """`took` hears how long each transaction took; `upgrade`: migrate tables of an older version, see `Database`"""
        self._database = Database("journal", url, METADATA, VERSION, MIGRATIONS, upgrade=upgrade)
        self._database.timing.took = took
        self._clock = clock
        self._writer = Writer(self._database)
        self.old_lines = OldLines(self._database, self._writer)
        """Of a journal of an earlier version, until they are moved."""

    # ------------------------------------------------------------------------------------------- writing

    def write(self, entries: Sequence[JournalEntry], receipts: Sequence[Receipt], *, seen: float | None = None) -> None:
        """Add these lines in one transaction; lines that are there already add nothing.

        seen: the bus's time of the newest record of the batch, see `written_up_to`
        """
        rows = Rows.of(entries, receipts)
        with self._database.write() as connection:
            self._writer.write(connection, rows, seen)

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
            days.empty(connection)
            for table in (EVENTS, ORPHANS, PROGRESS):
                connection.execute(delete(table))

    def prune(self, before: float) -> int:
        """Forget the days (UTC) that ended before this Unix time, but for what still goes on of them.

        Events stay to which something happened since, or of which a delivery has not ended. Returns how many went.
        """
        return days.prune(self._database, before)

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------------------------------------- reading

    def story(
        self, any_id: str, limit: int = 20, wanted: Criteria = ANY, *, look_back: bool = False
    ) -> list[EventStory]:
        """The stories of every event this id leads to, newest first.

        Event id (or the first 8 digits of it), MSH-10, document OID with or without extension, Message-ID,
        delivery id, ENVID, identifiers of the DMP or of an HL7 ACK, pseudonym of a patient.
        wanted: its feed and its period narrow what an id used several times leads to; an event of none of its
        structures (`within`) is as unknown as any id that nobody has used
        look_back: a document that is sent anew says so when its deletion was asked for before
        """
        with self._database.read() as connection:
            events = self._find(connection, any_id, limit, wanted)
            stories = [self._story(connection, event) for event in events]
            if look_back:
                mine = replace(ANY, within=wanted.within)
                stories = [self._looked_back(connection, story, mine) for story in stories]
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
        return self._told(events, EVENTS.c.control_id)

    def owners(self, events: Iterable[str]) -> dict[str, str]:
        """FINESS of the structure to which each event belongs, by event id, of those that belong to one."""
        return self._told(events, EVENTS.c.structure)

    def activity(self, feed: str, since: float) -> Activity:
        """What came by a feed: its last message ever, and how many since this Unix time."""
        of = EVENTS.c
        mine = of.feed == feed
        counted = select(func.count(), func.count().filter(of.ack.not_in(("", "AA")))).where(mine, of.received >= since)
        with self._database.read() as connection:
            last: float | None = connection.execute(select(func.max(of.received)).where(mine)).scalar()
            received, refused = connection.execute(counted).one()
        return Activity(last, received, refused)

    def hours(self, feed: str, begin: float, count: int) -> list[int]:
        """How many messages came by a feed in each of so many hours from `begin` (Unix seconds) on, oldest first."""
        of = EVENTS.c
        since = (of.received - begin) / 3600
        hour = cast(func.floor(since) if self._database.dialect == "postgresql" else since, Integer)  # SQLite cuts
        within = (of.feed == feed) & (of.received >= begin) & (of.received < begin + count * 3600)
        found = [0] * count
        with self._database.read() as connection:
            for rank, messages in connection.execute(select(hour, func.count()).where(within).group_by(hour)):
                found[min(rank, count - 1)] += messages
        return found

    def oldest(self) -> float | None:
        """When the oldest event of the journal was received."""
        with self._database.read() as connection:
            found: float | None = connection.execute(select(func.min(EVENTS.c.received))).scalar()
            return found

    # ------------------------------------------------------------------------------------------- private

    def _told(self, events: Iterable[str], column: Column[str]) -> dict[str, str]:
        """What this column says of these events, by event id, where it says something."""
        found: dict[str, str] = {}
        ids = sorted({of_event(event_id) for event_id in events})
        with self._database.read() as connection:
            for start in range(0, len(ids), _ASKED_AT_ONCE):
                some = EVENTS.c.event.in_(ids[start : start + _ASKED_AT_ONCE])
                rows = connection.execute(select(EVENTS.c.event_id, column).where(some))
                found.update((event_id, text) for event_id, text in rows if text)
        return found

    @staticmethod
    def _find(connection: Connection, any_id: str, limit: int, wanted: Criteria) -> list[int]:
        for form in asked_ids(any_id):
            if events := search.named(connection, form, limit, wanted):
                return events
        return search.beginning(connection, any_id, limit, wanted)

    def _looked_back(self, connection: Connection, story: EventStory, mine: Criteria) -> EventStory:
        """With a warning for each of its documents of which a deletion came before, among what the asker may see."""
        if story.event.action != Action.INITIAL:
            return story
        earlier = {
            name: [search.summary(row) for row in connection.execute(_events(events)).mappings()]
            for name in story.documents
            if (events := self._find(connection, name, _VERSIONS, mine))
        }
        return deleted_before(story, earlier)

    @staticmethod
    def _story(connection: Connection, event: int) -> EventStory:
        found = connection.execute(select(EVENTS).where(EVENTS.c.event == event)).mappings().first()
        day = day_of(found["received"]) if found else UNDATED

        def lines(table: Table) -> Select[Any]:
            return select(table).where(table.c.day == day, table.c.event == event)

        read = connection.execute(lines(ENTRIES).order_by(ENTRIES.c.at)).mappings()
        entries = [ENTRY.validate_json(row["body"]) for row in read]
        read = connection.execute(lines(RECEIPTS).order_by(RECEIPTS.c.at)).mappings()
        receipts = [RECEIPT.validate_json(row["body"]) for row in read]
        event_id = found["event_id"] if found else (entries or receipts)[0].event_id
        deliveries = [search.state(row, event_id) for row in connection.execute(lines(DELIVERIES)).mappings()]
        told = search.summary(found) if found else outline(event_id, entries, receipts)
        return tell(told, entries, receipts, deliveries)


def _events(events: Sequence[int]) -> Select[Any]:
    return select(EVENTS).where(EVENTS.c.event.in_(events))
