"""Pages of dead letters: those with a row and those of the topics as one list, so many at a time.

A page costs the same however many there are: ledger and letters are asked for no more than it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from router.contracts import Beyond, Bus, Ledger, LetterGroup, Record, Row
from router.engine.dead_letters.listing import (
    ALL,
    SHARED,
    DeadLetter,
    Filter,
    groups_of_letters,
    held,
    of_record,
    of_row,
    of_today,
    without_row,
)
from router.engine.dead_letters.remediation import Advice, next_step

_ROWS: Final = "rows"
_HELD: Final = "held"
_BETWEEN: Final = "~"
"""Between the parts of a place; no topic and no id has it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some dead letters in order. next: the place behind which the next page begins; "" on the last one."""

    rows: Sequence[DeadLetter]
    next: str


@dataclass(frozen=True, slots=True)
class _Found:
    last: float
    id: str
    letter: DeadLetter


Source = Callable[[int | None, Beyond | None], Iterable[_Found]]
"""(how many at most, behind what) -> in order."""


def page(
    bus: Bus,
    ledger: Ledger,
    which: Filter = ALL,
    *,
    sinks: Collection[str] = (),
    advice: Advice = next_step,
    limit: int | None,
    newest: bool = True,
    after: str = "",
) -> Page:
    """So many of the unresolved dead letters that the filter admits (None: all), newest or oldest first.

    sinks: all sinks of the site, so that records on their topics which were no deliveries are found too
    after: `next` of the page before; another text begins at the beginning
    Asked for by their code (`UNKNOWN-HELD`) or cause, deliveries that are held for a person are among them.
    `which` has no `id`: see `known_by`.
    """
    places = without_row(bus, ledger, which, sinks)
    which = of_today(ledger, which)
    sources = dict(_sources(ledger, which, sinks, places, advice, newest=newest))
    names, place = list(sources), _place(after)
    found: list[tuple[int, _Found]] = []
    for number, source in enumerate(sources.values()):
        beyond = None
        if place is not None:
            last, at, id_ = place
            rank = names.index(at) if at in names else -1
            beyond = Beyond(last, id_ if number == rank else number > rank)
        found += ((number, one) for one in source(None if limit is None else limit + 1, beyond))
    found.sort(key=lambda pair: (-pair[1].last if newest else pair[1].last, pair[0]))
    shown, more = found[:limit], limit is not None and len(found) > limit
    number, last_one = shown[-1] if shown else (0, None)
    following = _BETWEEN.join((repr(last_one.last), names[number], last_one.id)) if more and last_one else ""
    # Letters are counted by the beginning of their place alone, so a few of another cause may be among them.
    return Page([one.letter for _, one in shown if which.admits(one.letter)], following)


def letters(
    bus: Bus,
    ledger: Ledger,
    which: Filter = ALL,
    *,
    sinks: Collection[str] = (),
    advice: Advice = next_step,
    limit: int | None = None,
) -> list[DeadLetter]:
    """The unresolved dead letters that the filter admits, oldest first; `limit` at most (None: all of them).

    See `page`. An `id` may be a cause, an event or a delivery.
    """
    if which.id:
        return known_by(bus, ledger, which, sinks=sinks, advice=advice, limit=limit)
    return list(page(bus, ledger, which, sinks=sinks, advice=advice, limit=limit, newest=False).rows)


def known_by(
    bus: Bus, ledger: Ledger, which: Filter, *, sinks: Collection[str], advice: Advice, limit: int | None
) -> list[DeadLetter]:
    """Those whose cause, event or delivery has the `id` of the filter, oldest first."""
    anything = replace(which, id="")
    for narrowed in (
        *([replace(anything, cause=which.id)] if not which.cause else []),
        *([replace(anything, events=frozenset({which.id}))] if which.events is None else []),
    ):
        if found := letters(bus, ledger, narrowed, sinks=sinks, advice=advice, limit=limit):
            return found
    rows = (of_row(row, advice) for row in ledger.get([which.id]).values())
    return [one for one in rows if one.is_dead and anything.admits(one)]


def owners(bus: Bus, ledger: Ledger, which: Filter, *, sinks: Collection[str] = ()) -> frozenset[str]:
    """The structures (FINESS) whose dead letters these are; "" stands for none. `which` has no `id`."""
    places = without_row(bus, ledger, which, sinks)
    which = of_today(ledger, which)
    found = {one.structure for one in held(ledger, which, sinks) if which.admits(one)}
    if which.stage in ("", "sink"):
        found.update(ledger.dead_owners(which.wanted("sink", "cause", *SHARED)))
    for stage, _, topic in places:
        found.update(ledger.letter_owners(topic, which.wanted(*SHARED), _groups(ledger, topic, stage, which)))
    return frozenset(found)


def _sources(
    ledger: Ledger,
    which: Filter,
    sinks: Collection[str],
    places: Iterable[tuple[str, str, str]],
    advice: Advice,
    *,
    newest: bool,
) -> Iterator[tuple[str, Source]]:
    """By name, in the order in which they stand among dead letters of one moment."""
    if which.stage in ("", "sink"):
        yield _ROWS, partial(_of_rows, ledger, which, advice, newest)
        if some := [one for one in held(ledger, which, sinks, advice) if which.admits(one)]:
            yield _HELD, partial(_of_held, some, newest)
    for stage, sink, topic in places:
        groups = _groups(ledger, topic, stage, which)
        if groups is None or groups:
            yield topic, partial(_of_topic, ledger, which, topic, groups, partial(_read, stage, sink, advice), newest)


def _groups(ledger: Ledger, topic: str, stage: str, which: Filter) -> list[LetterGroup] | None:
    """Of the letters that are wanted; None for all of the topic."""
    return groups_of_letters(ledger, topic, stage, which) if which.cause else None


def _read(stage: str, sink: str, advice: Advice, record: Record) -> DeadLetter:
    return of_record(record, stage, advice, sink)


def _of_rows(
    ledger: Ledger, which: Filter, advice: Advice, newest: bool, limit: int | None, beyond: Beyond | None
) -> Iterator[_Found]:
    wanted = which.wanted("sink", "cause", *SHARED)
    rows: Sequence[Row] = ledger.dead_page(wanted, limit, newest=newest, beyond=beyond)
    return (_Found(row.last_try or row.updated, row.delivery.id, of_row(row, advice)) for row in rows)


def _of_topic(
    ledger: Ledger,
    which: Filter,
    topic: str,
    groups: list[LetterGroup] | None,
    read: Callable[[Record], DeadLetter],
    newest: bool,
    limit: int | None,
    beyond: Beyond | None,
) -> Iterator[_Found]:
    wanted = which.wanted(*SHARED)
    found = ledger.letter_page(topic, wanted, groups, limit, newest=newest, beyond=beyond)
    return (_Found(last, id_, read(record)) for last, id_, record in found)


def _of_held(some: list[DeadLetter], newest: bool, limit: int | None, beyond: Beyond | None) -> list[_Found]:
    """They are few: a person has to look at each."""
    found = sorted((_Found(one.last, one.delivery_id, one) for one in some), key=_order, reverse=newest)
    if beyond is not None:
        found = [one for one in found if _is_beyond(one, beyond, newest=newest)]
    return found[:limit]


def _order(one: _Found) -> tuple[float, str]:
    return one.last, one.id


def _is_beyond(one: _Found, beyond: Beyond, *, newest: bool) -> bool:
    if one.last != beyond.last:
        return (one.last < beyond.last) is newest
    if isinstance(beyond.of_moment, bool):
        return beyond.of_moment
    return one.id != beyond.of_moment and (one.id < beyond.of_moment) is newest


def _place(text: str) -> tuple[float, str, str] | None:
    """(last attempt, source, id) of a place; None for anything else."""
    last, _, rest = text.partition(_BETWEEN)
    source, _, id_ = rest.partition(_BETWEEN)
    try:
        at = float(last)
    except ValueError:
        return None
    return (at, source, id_) if math.isfinite(at) and id_ and id_.isprintable() else None
