"""Events that meet a person's criteria, newest first, and how many of them ended how.

The rarest source (see `sources`) is read page by page; the others keep what is theirs. Between two pages the time is
looked at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Select, func, select, true

from router.journal.criteria import OUTCOMES, Counts, Criteria, Cursor, Found, FoundEvent, is_address
from router.journal.days import UNDATED
from router.journal.numbers import beginning as beginning_of
from router.journal.numbers import of_event as event_number
from router.journal.numbers import of_text
from router.journal.rows import named as as_term
from router.journal.sources import (
    ENDED,
    Reader,
    Source,
    TimeUp,
    has_code,
    of_its_delivery,
    of_term,
    sources,
    these,
    within_days,
)
from router.journal.tables import DELIVERIES, EVENTS, ORPHANS, TERMS
from router.journal.terms import term
from router.journal.views import DeliveryState, EventSummary

SECONDS: Final = 5.0
"""A search that takes longer is cut, and says down to which time it has looked."""
_SAMPLE: Final = 1000
_SMALLEST_PAGE: Final = 100
_LARGEST_PAGE: Final = 2000
_STATE: Final = tuple(name for name in DeliveryState.__slots__ if name != "event_id")


@dataclass(slots=True)
class Search:
    """What was found so far: it stands also when the database cuts the statement at hand."""

    criteria: Criteria
    limit: int
    seconds: float = SECONDS
    after: Cursor | None = None
    places: list[Cursor] = field(default_factory=list)
    """Of the events that were found."""
    reached: Cursor | None = None
    """Of the last event that was looked at."""
    cut: bool = True

    def look(self, connection: Connection) -> None:
        """Find one event more than asked. Raises `BadCriterion` for a text that can't be understood."""
        with suppress(TimeUp):
            size = max(_SMALLEST_PAGE, self.limit + 1)
            reader = Reader(connection, self.criteria, time.monotonic() + self.seconds)
            for page, kept in walk(reader, self.criteria, size, self.after):
                self.places += kept
                self.reached = page[-1]
                if len(self.places) > self.limit:
                    break
            self.cut = False

    def found(self, connection: Connection) -> Found:
        """The answer, once `look` has ended or was cut."""
        more = len(self.places) > self.limit
        shown = self.places[: self.limit]
        following = shown[-1] if more and shown else self.reached if self.cut else None
        return Found(
            events=tuple(_events(connection, shown)),
            complete=not self.cut and not more,
            cut=self.cut,
            reached=self.reached.received if self.cut and self.reached else None,
            next=following or (self.after if self.cut else None),
        )


@dataclass(slots=True)
class Count:
    """How the events that meet the criteria ended: what was counted so far stands when the time is up."""

    criteria: Criteria
    seconds: float = SECONDS
    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reached: float | None = None
    cut: bool = True

    def look(self, connection: Connection) -> None:
        """Count by every outcome, also those that the criteria do not name. Raises `BadCriterion`."""
        criteria = replace(self.criteria, outcome="")
        with suppress(TimeUp):
            reader = Reader(connection, criteria, time.monotonic() + self.seconds)
            for page, kept in walk(reader, criteria, _LARGEST_PAGE):
                self.outcomes.update(_outcomes(reader, criteria, kept))
                self.total += len(kept)
                self.reached = page[-1].received
            self.cut = False

    def counted(self) -> Counts:
        """The answer, once `look` has ended or was cut."""
        numbers = {word: self.outcomes[word] for word in OUTCOMES if self.outcomes[word]}
        asked = self.criteria.outcome
        total = self.outcomes[asked] if asked else self.total
        return Counts(total=total, outcomes=numbers, cut=self.cut, reached=self.reached if self.cut else None)


def walk(
    reader: Reader, criteria: Criteria, size: int, after: Cursor | None = None
) -> Iterator[tuple[Sequence[Cursor], Sequence[Cursor]]]:
    """Page by page, newest first: (events that were looked at, those of them that meet all criteria).

    Raises `TimeUp`, and `BadCriterion` for a text that can't be understood.
    """
    every, filters = sources(criteria)
    first = min(every, key=lambda source: reader.rarity(source, after, _SAMPLE)) if len(every) > 1 else every[0]
    others = [*(source for source in every if source is not first), *filters]
    while page := reader.page(first, after, size):
        yield page, _kept(reader, page, others)
        if len(page) < size:
            return
        after, size = page[-1], min(size * 2, _LARGEST_PAGE)
        reader.check()


def _kept(reader: Reader, page: Sequence[Cursor], others: Sequence[Source]) -> Sequence[Cursor]:
    for source in others:
        if page:
            theirs = reader.having(page, source)
            page = [place for place in page if place.event in theirs]
    return page


def _outcomes(reader: Reader, criteria: Criteria, page: Sequence[Cursor]) -> Counter[str]:
    """Outcome -> number of these events that have it. Raises `TimeUp`."""
    if not page:
        return Counter()
    reader.check()
    dispositions = {disposition: word for word, disposition in OUTCOMES.items()}
    of, at = DELIVERIES.c, these(reader.connection, page)
    mine = of.day == at.c.day, of.event == at.c.event, within_days(of.day, page), *of_its_delivery(criteria)
    rows = _joined(reader.connection, at, select(of.event, of.disposition).where(*mine))
    pairs = {(event, dispositions.get(name, "")) for event, name in reader.connection.execute(rows)}
    if not (criteria.sink or is_address(criteria.recipient)):
        reader.check()
        coded = [has_code(criteria.code)] if criteria.code else []
        pairs.update((event, dispositions[name]) for event, name in _ends(reader.connection, page, *coded))
    return Counter(word for _, word in pairs if word)


def _ends(connection: Connection, page: Sequence[Cursor], *more: ColumnElement[bool]) -> Iterator[tuple[int, str]]:
    """(event, how it or one of its pipelines' exchanges ended) of these events."""
    of, at = TERMS.c, these(connection, page)
    for outcome in sorted(ENDED):
        ended = of.term == of_text(term("outcome", outcome))
        mine = of.day == at.c.day, of.at == at.c.at, of.event == at.c.event, ended, within_days(of.day, page), *more
        query = _joined(connection, at, select(of.event).where(*mine))
        yield from ((event, outcome) for event in connection.execute(query).scalars())


def _joined(connection: Connection, at: FromClause, of_one: Select[Any]) -> Select[Any]:
    """What a question about one event says of each of `these`.

    PostgreSQL is told to ask for one after the other: it would turn a join round, and read whole days.
    """
    if connection.dialect.name == "postgresql":
        rows = of_one.correlate(at).offset(0).lateral("of_one")
        return select(*rows.c).select_from(at.join(rows, true()))
    return of_one.select_from(at)


def of_event(criteria: Criteria) -> list[ColumnElement[bool]]:
    """What the event's own row must be: its structure, its feed and its period."""
    of = EVENTS.c
    wanted = [of.feed == criteria.feed] if criteria.feed else []
    wanted += [of.received >= criteria.since] if criteria.since is not None else []
    wanted += [of.received < criteria.until] if criteria.until is not None else []
    wanted += [of.structure.in_(sorted(criteria.within))] if criteria.within is not None else []
    return wanted


def named(connection: Connection, any_id: str, limit: int, wanted: Criteria) -> list[int]:
    """Events that somebody knows by this id, newest first. wanted: their structure, feed and period."""
    narrow = of_event(wanted)
    own = EVENTS.c.event == event_number(any_id), EVENTS.c.event_id == any_id
    if events := connection.execute(select(EVENTS.c.event).where(*own, *narrow)).scalars().all():
        return list(events)
    reader = Reader(connection, replace(wanted, since=None, until=None), inf)
    found: list[int] = []
    after: Cursor | None = None
    source = [of_term(as_term(any_id))]
    while len(found) < limit and (page := reader.page(source, after, limit)):
        kept = _summaries(connection, page).with_only_columns(EVENTS.c.event).where(*narrow)
        found += connection.execute(kept).scalars()
        after = page[-1]
        if len(page) < limit:
            break
    if found or narrow:
        return found[:limit]
    undated = select(ORPHANS.c.event).where(ORPHANS.c.event == event_number(any_id), ORPHANS.c.event_id == any_id)
    theirs = select(TERMS.c.event).where(TERMS.c.day == UNDATED, TERMS.c.term == of_text(as_term(any_id)))
    return list(connection.execute(undated.union(theirs).limit(limit)).scalars())


def beginning(connection: Connection, digits: str, limit: int, wanted: Criteria) -> list[int]:
    """Events whose id begins with these digits, at least eight; none for another text."""
    if (asked := beginning_of(digits)) is None:
        return []
    of, text = EVENTS.c, digits.strip().lower()
    query = select(of.event).where(of.event >= asked[0], of.event <= asked[1], *of_event(wanted))
    return list(connection.execute(query.where(func.substr(of.event_id, 1, len(text)) == text).limit(limit)).scalars())


def state(row: Mapping[Any, Any], event_id: str) -> DeliveryState:
    """A row of the deliveries' table as what a story tells."""
    return DeliveryState(event_id=event_id, **{name: row[name] for name in _STATE})


def _summaries(connection: Connection, page: Sequence[Cursor]) -> Select[Any]:
    """Rows of these events, newest first."""
    at, of = these(connection, page), EVENTS.c
    query = select(EVENTS).select_from(at.join(EVENTS, of.event == at.c.event))
    return query.order_by(of.received.desc(), of.event.desc())


def _events(connection: Connection, page: Sequence[Cursor]) -> Iterator[FoundEvent]:
    """These events with their deliveries, newest first."""
    if not page:
        return
    of, at = DELIVERIES.c, these(connection, page)
    deliveries: dict[int, list[Mapping[Any, Any]]] = {}
    mine = of.day == at.c.day, of.event == at.c.event, within_days(of.day, page)
    theirs = _joined(connection, at, select(DELIVERIES).where(*mine))
    for row in connection.execute(theirs).mappings():
        deliveries.setdefault(row["event"], []).append(row)
    ends: dict[int, list[str]] = {}
    for number, outcome in _ends(connection, page):
        ends.setdefault(number, []).append(outcome)
    for row in connection.execute(_summaries(connection, page)).mappings():
        event, number = summary(row), row["event"]
        states = [state(one, event.event_id) for one in deliveries.get(number, ())]
        states.sort(key=lambda one: (one.sink, one.label))
        yield FoundEvent(event=event, deliveries=tuple(states), ends=tuple(ends.get(number, ())))


def summary(row: Mapping[Any, Any]) -> EventSummary:
    """A row of the events' table as what a search lists."""
    read: Mapping[str, Callable[[Any], Any]] = {"asked": lambda text: tuple(text.split())}
    return EventSummary(**{name: read.get(name, lambda value: value)(row[name]) for name in EventSummary.__slots__})
