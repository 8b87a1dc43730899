"""Events that meet a person's criteria, newest first, read along indexes only.

Each condition is a *source*: it lists its events by the time they were received, and says which of some events are
its own. The rarest source is read page by page; the others keep what is theirs. So no planner of a database has to
guess, and between two pages the time is looked at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select, true, union_all

from router.journal.criteria import OUTCOMES, Counts, Criteria, Cursor, Found, FoundEvent, is_address
from router.journal.tables import DELIVERIES, EVENTS, IDENTIFIERS, TERMS
from router.journal.terms import ENDS, term
from router.journal.views import DeliveryState, EventSummary

SECONDS: Final = 5.0
"""A search that takes longer is cut, and says down to which time it has looked."""
_WEIGHED: Final = 1000
_WEIGHED_MOST: Final = 100_000
_SMALLEST_PAGE: Final = 100
_LARGEST_PAGE: Final = 2000
_ENDED: Final = frozenset(ENDS.values())


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
    after: Cursor | None = None
    places: list[Cursor] = field(default_factory=list)
    """Of the events that were found."""
    reached: Cursor | None = None
    """Of the last event that was looked at."""
    cut: bool = True

    def look(self, connection: Connection) -> None:
        """Find one event more than asked. Raises `BadCriterion` for a text that can't be understood."""
        deadline = time.monotonic() + self.seconds
        for page, kept in walk(connection, self.criteria, max(_SMALLEST_PAGE, self.limit + 1), self.after):
            self.places += kept
            self.reached = page[-1]
            if len(self.places) > self.limit:
                break
            if time.monotonic() >= deadline:
                return
        self.cut = False

    def found(self, connection: Connection) -> Found:
        """The answer, once `look` has ended or was cut."""
        more = len(self.places) > self.limit
        shown = self.places[: self.limit]
        following = shown[-1] if more and shown else self.reached if self.cut else None
        return Found(
            events=tuple(_events(connection, [place.event_id for place in shown])),
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
        """Count by outcome; an outcome that the criteria name is left out. Raises `BadCriterion`."""
        deadline = time.monotonic() + self.seconds
        criteria = replace(self.criteria, outcome="")
        for page, kept in walk(connection, criteria, _LARGEST_PAGE):
            self.total += len(kept)
            self.outcomes.update(_outcomes(connection, criteria, [place.event_id for place in kept]))
            self.reached = page[-1].received
            if time.monotonic() >= deadline:
                return
        self.cut = False

    def counted(self) -> Counts:
        """The answer, once `look` has ended or was cut."""
        numbers = {word: self.outcomes[word] for word in OUTCOMES if self.outcomes[word]}
        return Counts(total=self.total, outcomes=numbers, cut=self.cut, reached=self.reached if self.cut else None)


def walk(
    connection: Connection, criteria: Criteria, size: int, after: Cursor | None = None
) -> Iterator[tuple[Sequence[Cursor], Sequence[Cursor]]]:
    """Page by page, newest first: (events that were looked at, those of them that meet all criteria)."""
    sources = _sources(criteria)
    first = _rarest(connection, criteria, sources, after)
    others = [source for source in sources if source is not first]
    for page in _pages(connection, criteria, first, size, after):
        yield page, _kept(connection, page, others)


def _outcomes(connection: Connection, criteria: Criteria, ids: Sequence[str]) -> Counter[str]:
    """Outcome -> number of these events that have it."""
    of = DELIVERIES.c
    dispositions = {disposition: word for word, disposition in OUTCOMES.items()}
    pairs: set[tuple[str, str]] = set()
    rows = select(of.event_id, of.disposition).where(of.event_id.in_(ids), *_of_its_delivery(criteria)).distinct()
    pairs.update((event_id, dispositions.get(name, "")) for event_id, name in connection.execute(rows))
    if not (criteria.sink or is_address(criteria.recipient)):
        ended = {term("outcome", outcome): dispositions[outcome] for outcome in _ENDED}
        coded = [_has_code(criteria.code)] if criteria.code else []
        rows = select(TERMS.c.event_id, TERMS.c.term).where(TERMS.c.event_id.in_(ids), TERMS.c.term.in_(ended), *coded)
        pairs.update((event_id, ended[name]) for event_id, name in connection.execute(rows))
    return Counter(word for _, word in pairs if word)


def of_event(criteria: Criteria) -> list[ColumnElement[bool]]:
    """What the event's own row must be: its structure, its feed and its period."""
    of = EVENTS.c
    wanted = [of.feed == criteria.feed] if criteria.feed else []
    wanted += [of.received >= criteria.since] if criteria.since is not None else []
    wanted += [of.received < criteria.until] if criteria.until is not None else []
    wanted += [of.structure.in_(sorted(criteria.within))] if criteria.within is not None else []
    return wanted


def _sources(criteria: Criteria) -> list[Source]:
    found: list[Source] = [[_of_term(name)] for name in criteria.terms()]
    if criteria.feed:
        found.append([_Part(EVENTS.c.event_id, EVENTS.c.received, (EVENTS.c.feed == criteria.feed,))])
    if criteria.within is not None:
        found.append(_of_structures(criteria.within))
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
    wanted += _of_its_delivery(criteria)
    own = criteria.sink or is_address(criteria.recipient)
    parts = [_of_delivery(*wanted)] if disposition != "refused" else []
    if disposition in _ENDED and (not own or not parts):
        ended = _of_term(term("outcome", disposition))
        more = (_has_code(criteria.code),) if criteria.code else ()
        parts.append(_Part(ended.event, ended.at, (*ended.where, *more)))
    return parts


def _of_its_delivery(criteria: Criteria) -> list[ColumnElement[bool]]:
    """What the row of a delivery must be besides its outcome: this sink, this address, this code."""
    of = DELIVERIES.c
    wanted = [of.sink == criteria.sink] if criteria.sink else []
    wanted += [of.code == criteria.code] if criteria.code else []
    if is_address(criteria.recipient):
        wanted.append(func.lower(of.label) == criteria.recipient.strip().strip("<>").lower())
    return wanted


def _has_code(code: str) -> ColumnElement[bool]:
    """Rows of `TERMS` whose event has this code among its terms."""
    return TERMS.c.event_id.in_(select(TERMS.c.event_id).where(TERMS.c.term == term("code", code)))


def _of_structures(within: Iterable[str]) -> Source:
    """Events of any of these structures; of none, nothing."""
    return [_of_term(term("owner", finess)) for finess in sorted(within)] or [
        _Part(EVENTS.c.event_id, EVENTS.c.received, (false(),))
    ]


def _of_term(name: str) -> _Part:
    return _Part(TERMS.c.event_id, TERMS.c.at, (TERMS.c.term == name,))


def _of_delivery(*wanted: ColumnElement[bool]) -> _Part:
    return _Part(DELIVERIES.c.event_id, DELIVERIES.c.received, wanted)


def _rarest(connection: Connection, criteria: Criteria, sources: Sequence[Source], after: Cursor | None) -> Source:
    """The source with the fewest events: counted up to a number, those that have more up to a larger one."""
    most = _WEIGHED
    while len(sources) > 1:
        weights = [_weight(connection, criteria, source, after, most) for source in sources]
        if min(weights) < most or most >= _WEIGHED_MOST:
            return sources[weights.index(min(weights))]
        most *= 10
    return sources[0]


def _weight(connection: Connection, criteria: Criteria, source: Source, after: Cursor | None, most: int) -> int:
    rows = _page(criteria, source, after, most).subquery()
    return connection.execute(select(func.count()).select_from(rows)).scalar_one()


def _pages(
    connection: Connection, criteria: Criteria, source: Source, size: int, after: Cursor | None
) -> Iterator[Sequence[Cursor]]:
    """Events of a source, newest first; each page is larger than the one before."""
    while True:
        rows = [Cursor(at, event_id) for event_id, at in connection.execute(_page(criteria, source, after, size))]
        if rows:
            yield list(dict.fromkeys(rows))
        if len(rows) < size:
            return
        after, size = rows[-1], min(size * 2, _LARGEST_PAGE)


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


def _kept(connection: Connection, page: Sequence[Cursor], others: Iterable[Source]) -> Sequence[Cursor]:
    ids = {place.event_id for place in page}
    for source in others:
        if not ids:
            break
        theirs: set[str] = set()
        for part in source:
            query = select(part.event).where(part.event.in_(ids), *part.where)
            theirs.update(connection.execute(query).scalars())
        ids &= theirs
    return [place for place in page if place.event_id in ids]


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
