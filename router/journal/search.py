"""Events that meet a person's criteria, newest first, read along indexes only.

Each condition is a *source*: it lists its events by the time they were received, and says which of some events are
its own. The rarest source is read page by page; the others keep what is theirs. So no planner of a database has to
guess, and between two pages the time is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true, union_all

from router.journal.criteria import Criteria, Found, FoundEvent, is_address
from router.journal.tables import DELIVERIES, EVENTS, IDENTIFIERS, TERMS
from router.journal.terms import ENDS, term
from router.journal.views import DeliveryState, EventSummary

SECONDS: Final = 5.0
"""A search that takes longer is cut, and says down to which time it has looked."""
_WEIGHED: Final = 1000
_SMALLEST_PAGE: Final = 100
_LARGEST_PAGE: Final = 2000
_ENDED: Final = frozenset(ENDS.values())

Cursor = tuple[float, str]
"""Received, event id: the last one of a page."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one table: which event, when it was received, and what the row must be."""

    event: ColumnElement[Any]
    at: ColumnElement[Any]
    where: tuple[ColumnElement[bool], ...] = ()


Source = Sequence[_Part]
"""Events of any of these parts."""


@dataclass(slots=True)
class Search:
    """What was found so far: it stands also when the database cuts the statement at hand."""

    criteria: Criteria
    limit: int
    seconds: float = SECONDS
    ids: list[str] = field(default_factory=list)
    reached: float | None = None
    cut: bool = True

    def look(self, connection: Connection) -> None:
        """Find the ids of one event more than asked. Raises `BadCriterion` for a text that can't be understood."""
        deadline = time.monotonic() + self.seconds
        sources = _sources(self.criteria)
        first = _rarest(connection, self.criteria, sources)
        others = [source for source in sources if source is not first]
        for page in _pages(connection, self.criteria, first, max(_SMALLEST_PAGE, self.limit + 1)):
            self.ids += _kept(connection, list(page), others)
            self.reached = min(page.values())
            if len(self.ids) > self.limit:
                break
            if time.monotonic() >= deadline:
                return
        self.cut = False

    def found(self, connection: Connection) -> Found:
        """The answer, once `look` has ended or was cut."""
        return Found(
            events=tuple(_events(connection, self.ids[: self.limit])),
            complete=not self.cut and len(self.ids) <= self.limit,
            cut=self.cut,
            reached=self.reached if self.cut else None,
        )


def of_event(criteria: Criteria) -> list[ColumnElement[bool]]:
    """What the event's own row must be: its feed and its period."""
    of = EVENTS.c
    wanted = [of.feed == criteria.feed] if criteria.feed else []
    wanted += [of.received >= criteria.since] if criteria.since is not None else []
    wanted += [of.received < criteria.until] if criteria.until is not None else []
    return wanted


def _sources(criteria: Criteria) -> list[Source]:
    found: list[Source] = [[_of_term(name)] for name in criteria.terms()]
    if criteria.feed:
        found.append([_Part(EVENTS.c.event_id, EVENTS.c.received, (EVENTS.c.feed == criteria.feed,))])
    if criteria.patients is not None:
        of = IDENTIFIERS.c
        theirs = (of.value.in_(criteria.patients), of.kind == "patient", of.event_id == EVENTS.c.event_id)
        found.append([_Part(of.event_id, EVENTS.c.received, theirs)])
    if (outcome := _outcome(criteria)) is not None:
        found.append(outcome)
    elif criteria.code:
        found.append([_of_term(term("code", criteria.code)), _of_delivery(DELIVERIES.c.code == criteria.code)])
    return found or [[_Part(EVENTS.c.event_id, EVENTS.c.received)]]


def _outcome(criteria: Criteria) -> Source | None:
    """A delivery that ended so, in this sink, for this address, with this code; or an event that did."""
    of, disposition = DELIVERIES.c, criteria.disposition()
    if disposition is None and not criteria.sink:
        return None
    wanted = [of.disposition == disposition] if disposition is not None else []
    wanted += [of.sink == criteria.sink] if criteria.sink else []
    wanted += [of.code == criteria.code] if criteria.code else []
    own = criteria.sink or is_address(criteria.recipient)
    if is_address(criteria.recipient):
        wanted.append(func.lower(of.label) == criteria.recipient.strip().strip("<>").lower())
    parts = [_of_delivery(*wanted)] if disposition != "refused" else []
    if disposition in _ENDED and (not own or not parts):
        ended = _of_term(term("outcome", disposition))
        coded = select(TERMS.c.event_id).where(TERMS.c.term == term("code", criteria.code))
        more = (TERMS.c.event_id.in_(coded),) if criteria.code else ()
        parts.append(_Part(ended.event, ended.at, (*ended.where, *more)))
    return parts


def _of_term(name: str) -> _Part:
    return _Part(TERMS.c.event_id, TERMS.c.at, (TERMS.c.term == name,))


def _of_delivery(*wanted: ColumnElement[bool]) -> _Part:
    return _Part(DELIVERIES.c.event_id, DELIVERIES.c.received, wanted)


def _rarest(connection: Connection, criteria: Criteria, sources: Sequence[Source]) -> Source:
    if len(sources) == 1:
        return sources[0]

    def weight(source: Source) -> int:
        return len(connection.execute(_page(criteria, source, None, _WEIGHED)).all())

    return min(sources, key=weight)


def _pages(connection: Connection, criteria: Criteria, source: Source, size: int) -> Iterator[Mapping[str, float]]:
    """Event id -> received, newest first; each page is larger than the one before."""
    after: Cursor | None = None
    while True:
        rows = [(event_id, at) for event_id, at in connection.execute(_page(criteria, source, after, size))]
        if rows:
            yield dict(rows)
        if len(rows) < size:
            return
        after, size = (rows[-1][1], rows[-1][0]), min(size * 2, _LARGEST_PAGE)


def _page(criteria: Criteria, source: Source, after: Cursor | None, size: int) -> Select[Any]:
    parts = [_rows(criteria, part, after).limit(size) for part in source]
    if len(parts) == 1:
        return parts[0]
    both = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(both.c.event_id, both.c.at).order_by(both.c.at.desc(), both.c.event_id.desc()).limit(size)


def _rows(criteria: Criteria, part: _Part, after: Cursor | None) -> Select[Any]:
    event, at = part.event, part.at
    wanted = list(part.where)
    if criteria.since is not None:
        wanted.append(at >= criteria.since)
    if criteria.until is not None:
        wanted.append(at < criteria.until)
    if after is not None:
        wanted += [at <= after[0], or_(at < after[0], and_(at == after[0], event < after[1]))]
    query = select(event.label("event_id"), at.label("at")).where(*wanted or [true()])
    return query.order_by(at.desc(), event.desc())


def _kept(connection: Connection, ids: list[str], others: Iterable[Source]) -> list[str]:
    for source in others:
        if not ids:
            break
        theirs: set[str] = set()
        for part in source:
            query = select(part.event).where(part.event.in_(ids), *part.where)
            theirs.update(connection.execute(query).scalars())
        ids = [event_id for event_id in ids if event_id in theirs]
    return ids


def _events(connection: Connection, ids: Sequence[str]) -> Iterator[FoundEvent]:
    """These events with their deliveries, newest first."""
    of = EVENTS.c
    query = select(EVENTS).where(of.event_id.in_(ids)).order_by(of.received.desc(), of.event_id.desc())
    deliveries: dict[str, list[DeliveryState]] = {}
    rows = connection.execute(select(DELIVERIES).where(DELIVERIES.c.event_id.in_(ids))).mappings()
    for row in rows:
        state = DeliveryState(**{name: row[name] for name in DeliveryState.__slots__})
        deliveries.setdefault(state.event_id, []).append(state)
    outcomes = {term("outcome", outcome): outcome for outcome in _ENDED}
    ended = select(TERMS.c.event_id, TERMS.c.term).where(TERMS.c.event_id.in_(ids), TERMS.c.term.in_(outcomes))
    ends: dict[str, list[str]] = {}
    for event_id, name in connection.execute(ended):
        ends.setdefault(event_id, []).append(outcomes[name])
    for row in connection.execute(query).mappings():
        event = summary(row)
        name = event.event_id
        states = sorted(deliveries.get(name, ()), key=lambda state: (state.sink, state.label))
        yield FoundEvent(event=event, deliveries=tuple(states), ends=tuple(sorted(ends.get(name, ()))))


def summary(row: Mapping[Any, Any]) -> EventSummary:
    """A row of the events' table as what a search lists."""
    read: Mapping[str, Callable[[Any], Any]] = {"asked": lambda text: tuple(text.split())}
    return EventSummary(**{name: read.get(name, lambda value: value)(row[name]) for name in EventSummary.__slots__})
