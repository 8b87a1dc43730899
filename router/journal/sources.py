"""Conditions of a search, each as what an index lists: its events by the time they were received, newest first.

A source is read through windows of days, from the newest backwards, each twice as long as the one before: what is
found soon costs a day or two, and what is nowhere costs a few statements. No planner of a database has to guess.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Integer,
    MetaData,
    Select,
    Table,
    and_,
    column,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from router.journal import numbers
from router.journal.criteria import Criteria, Cursor, is_address
from router.journal.rows import named
from router.journal.tables import DAY, DELIVERIES, EVENTS, TERMS, day_of
from router.journal.terms import ENDS, term

ENDED: Final = frozenset(ENDS.values())
_LONGEST_WINDOW: Final = 128
"""Days that one statement reads at most: each is a partition of its own."""


_SETTINGS: Final = (
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "plan_cache_mode = force_custom_plan",
    "jit = off",  # compiling a plan for fifty partitions takes seconds
    "max_parallel_workers_per_gather = 0",
)
_LISTED: Final = 4
"""A source that has up to so many times the events of a page, in its time, is read, not asked for each of them."""


class TimeUp(Exception):
    """A search has taken as long as it may."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table: which event, when it was received, and what the row must be.

    day: of the tables that go by the day; None for the events' own, which are found by the time alone
    """

    event: ColumnElement[Any]
    at: ColumnElement[Any]
    day: ColumnElement[Any] | None
    where: tuple[ColumnElement[bool], ...] = ()


Source = Sequence[Part]
"""Events of any of these parts."""


def sources(criteria: Criteria) -> tuple[list[Source], list[Source]]:
    """(one source for each condition that an index lists, or all events; those that only say what is theirs).

    Raises `BadCriterion`.
    """
    found: list[Source] = [[of_term(name)] for name in criteria.terms()]
    if criteria.feed:
        found.append([_of_event(EVENTS.c.feed == criteria.feed)])
    if criteria.within is not None:
        found.append(_any_of(term("owner", finess) for finess in sorted(criteria.within)))
    if criteria.patients is not None:
        found.append(_any_of(named(patient) for patient in criteria.patients))
    if criteria.sink:
        found.append([of_term(term("sink", criteria.sink))])
    others: list[Source] = []
    if (outcome := _outcome(criteria)) is not None:
        if criteria.sink or is_address(criteria.recipient):
            # No index lists the deliveries of a sink or of an address by their outcome: all that ended so are listed.
            others.append(outcome)
            outcome = _outcome(replace(criteria, sink="", recipient=""))
        found += [outcome] if outcome is not None else []
    elif criteria.code:
        found.append([of_term(term("code", criteria.code)), _of_delivery(DELIVERIES.c.code == criteria.code)])
    return found or [[_of_event()]], others


def of_its_delivery(criteria: Criteria) -> list[ColumnElement[bool]]:
    """What the row of a delivery must be besides its outcome: this sink, this address, this code."""
    of = DELIVERIES.c
    wanted = [of.sink == criteria.sink] if criteria.sink else []
    wanted += [of.code == criteria.code] if criteria.code else []
    if is_address(criteria.recipient):
        wanted.append(func.lower(of.label) == criteria.recipient.strip().strip("<>").lower())
    return wanted


def has_code(code: str) -> ColumnElement[bool]:
    """Rows of `TERMS` whose event has this code among its terms."""
    other, of = TERMS.alias(), TERMS.c
    same = other.c.day == of.day, other.c.at == of.at, other.c.event == of.event
    return exists().where(*same, other.c.term == numbers.of_text(term("code", code)))


class Reader:
    """Reads sources within the period of a search, until its time is up."""

    def __init__(self, connection: Connection, criteria: Criteria, deadline: float) -> None:
        self.connection = connection
        self._criteria = criteria
        self._deadline = deadline
        self._dense: set[int] = set()
        """Parts that once had more than `_LISTED` allows."""
        few_rows(connection)
        of = EVENTS.c.received
        oldest = connection.execute(select(func.min(of))).scalar()
        newest = connection.execute(select(func.max(of))).scalar()
        self._oldest = max(oldest or 0.0, criteria.since if criteria.since is not None else oldest or 0.0)
        self._newest = min(newest or 0.0, criteria.until if criteria.until is not None else newest or 0.0)

    def page(self, source: Source, after: Cursor | None, size: int) -> list[Cursor]:
        """The next events of a source, newest first. Raises `TimeUp`."""
        found: list[Cursor] = []
        for first, last in self._windows(after):
            found += self._rows(source, first, last, after, size - len(found))
            if len(found) >= size:
                break
            self.check()
        return found

    def rarity(self, source: Source, after: Cursor | None, sample: int) -> tuple[int, float]:
        """Smaller for a source that has fewer events: their number, then how densely the newest of them stand."""
        rows = self.page(source, after, sample)
        return len(rows), -(rows[0].received - rows[-1].received) if rows else 0.0

    def having(self, page: Sequence[Cursor], source: Source) -> set[int]:
        """Those of these events that a source has too. Raises `TimeUp`."""
        self.check()
        found: set[int] = set()
        asked = [part for part in source if not self._listed(page, part, found)]
        if not asked:
            return found
        at = these(self.connection, page)
        for part in asked:
            mine = [*_same(part, at), *part.where]
            mine += [within_days(part.day, page)] if part.day is not None else []
            there = select(literal(1)).where(*mine).correlate(at)
            if self.connection.dialect.name == "postgresql":
                there = there.offset(0)  # or it turns the question round, and reads all that the source has
            query = select(at.c.event).select_from(at).where(there.exists())
            found.update(self.connection.execute(query).scalars())
        return found

    def check(self) -> None:
        """Raises `TimeUp` when the time is up."""
        if time.monotonic() >= self._deadline:
            raise TimeUp

    def _listed(self, page: Sequence[Cursor], part: Part, found: set[int]) -> bool:
        """Add to `found` all that this part has in the time of the page; False, and nothing, where that is too much."""
        if len(part.where) != 1 or id(part) in self._dense:  # an index lists what meets one condition
            return False
        newest, oldest, most = page[0].received, page[-1].received, _LISTED * len(page)
        # In no order: a database would read and sort all of a part that has far too much.
        wanted = self._wanted(part, day_of(oldest), day_of(newest))
        query = select(part.event).where(*wanted, part.at >= oldest, part.at <= newest)
        rows = self.connection.execute(query.limit(most + 1)).scalars().all()
        if len(rows) > most:
            self._dense.add(id(part))
            return False
        found.update(rows)
        return True

    def _windows(self, after: Cursor | None) -> Iterator[tuple[int, int]]:
        """(first, last) day, the newest window first."""
        last = day_of(min(self._newest, after.received) if after is not None else self._newest)
        oldest, length = day_of(self._oldest), 1
        while last >= oldest:
            yield max(oldest, last - length + 1), last
            last, length = last - length, min(length * 2, _LONGEST_WINDOW)

    def _rows(self, source: Source, first: int, last: int, after: Cursor | None, size: int) -> list[Cursor]:
        parts = [self._part(part, first, last, after).limit(size) for part in source]
        query: Any = parts[0]
        if len(parts) > 1:
            both = union_all(*(select(part.subquery()) for part in parts)).subquery()
            query = (
                select(both.c.event, both.c.at).distinct().order_by(both.c.at.desc(), both.c.event.desc()).limit(size)
            )
        return [Cursor(at, event) for event, at in self.connection.execute(query)]

    def _part(self, part: Part, first: int, last: int, after: Cursor | None) -> Select[Any]:
        event, at, wanted = part.event, part.at, self._wanted(part, first, last)
        if after is not None:
            wanted += [at <= after[0], or_(at < after[0], and_(at == after[0], event < after[1]))]
        query = select(event.label("event"), at.label("at")).where(*wanted or [true()])
        if at is DELIVERIES.c.received:  # an event may have several
            query = query.distinct()
        return query.order_by(at.desc(), event.desc())

    def _wanted(self, part: Part, first: int, last: int) -> list[ColumnElement[bool]]:
        """What a row of the part must be in these days, within the period of the search."""
        at, criteria, wanted = part.at, self._criteria, list(part.where)
        if part.day is not None:
            wanted.append(in_days(self.connection, part.day, first, last))
        else:
            wanted += [at >= float(first * DAY), at < float((last + 1) * DAY)]
        if criteria.since is not None:
            wanted.append(at >= criteria.since)
        if criteria.until is not None:
            wanted.append(at < criteria.until)
        return wanted


def few_rows(connection: Connection) -> None:
    """Tell PostgreSQL, for this transaction, that rows are few and stand in the indexes.

    A plan that reads a whole day to join it would be a wrong guess.
    """
    if connection.dialect.name == "postgresql":
        for setting in _SETTINGS:
            connection.exec_driver_sql(f"SET LOCAL {setting}")


def in_days(connection: Connection, day: ColumnElement[Any], first: int, last: int) -> ColumnElement[bool]:
    """PostgreSQL leaves partitions out by a range; SQLite goes from one day's keys to the next."""
    partitioned = connection.dialect.name == "postgresql"
    return day.between(first, last) if partitioned else day.in_(list(range(first, last + 1)))


_THESE: Final = Table(
    "journal_these",
    MetaData(),
    Column("day", Integer),
    Column("at", Float),
    Column("event", BigInteger),
    prefixes=["TEMPORARY"],
)


def these(connection: Connection, page: Sequence[Cursor]) -> FromClause:
    """Events as something to join: `day` and `at`, where they stand, and `event`. Good for this transaction, until
    it is asked for others.

    Values of thousands of events as parameters of their own would take the driver longer than the database.
    """
    rows = [(day_of(place.received), place.received, place.event) for place in page]
    if connection.dialect.name == "postgresql":
        kinds = (Integer, Float, BigInteger)
        lists: list[Any] = [literal([row[n] for row in rows], ARRAY(kind)) for n, kind in enumerate(kinds)]
        columns = [column(one.name, one.type) for one in _THESE.c]
        return func.unnest(*lists).table_valued(*columns, name="these").render_derived()
    connection.exec_driver_sql(
        "CREATE TEMPORARY TABLE IF NOT EXISTS journal_these (day INTEGER, at FLOAT, event BIGINT)"
    )
    connection.exec_driver_sql("DELETE FROM journal_these")
    if rows:
        connection.exec_driver_sql("INSERT INTO journal_these (day, at, event) VALUES (?, ?, ?)", rows)
    return _THESE


def within_days(day: ColumnElement[Any], page: Sequence[Cursor]) -> ColumnElement[bool]:
    """The days of these events: said so, PostgreSQL does not plan for the partitions of all others."""
    days = [day_of(place.received) for place in page] or [0]
    return day.between(min(days), max(days))


def _same(part: Part, at: FromClause) -> Iterator[ColumnElement[bool]]:
    yield part.event == at.c.event
    if part.day is not None:
        yield part.day == at.c.day
        yield part.at == at.c.at


def _any_of(terms: Iterable[str]) -> Source:
    """Events that have any of these terms; of none, nothing."""
    return [of_term(name) for name in terms] or [_of_event(false())]


def _outcome(criteria: Criteria) -> Source | None:
    """A delivery that ended so, in this sink, for this address, with this code; or an event that did."""
    of, disposition = DELIVERIES.c, criteria.disposition()
    if disposition is None and not criteria.sink:
        return None
    wanted = [of.disposition == disposition] if disposition is not None else []
    wanted += of_its_delivery(criteria)
    own = criteria.sink or is_address(criteria.recipient)
    parts = [_of_delivery(*wanted)] if disposition != "refused" else []
    if disposition in ENDED and (not own or not parts):
        ended = of_term(term("outcome", disposition))
        more = (has_code(criteria.code),) if criteria.code else ()
        parts.append(Part(ended.event, ended.at, ended.day, (*ended.where, *more)))
    return parts


def _of_event(*wanted: ColumnElement[bool]) -> Part:
    return Part(EVENTS.c.event, EVENTS.c.received, None, wanted)


def of_term(name: str) -> Part:
    """Events that have this term."""
    return Part(TERMS.c.event, TERMS.c.at, TERMS.c.day, (TERMS.c.term == numbers.of_text(name),))


def _of_delivery(*wanted: ColumnElement[bool]) -> Part:
    return Part(DELIVERIES.c.event, DELIVERIES.c.received, DELIVERIES.c.day, wanted)
