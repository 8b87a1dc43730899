"""Tables to take away, the same for pages and for programs: without identities, and audited before they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from router.access.person import Role
from router.audit.event import Action
from router.audit.export import audit_line, local, trace_line
from router.audit.rows import Wanted
from router.audit.traces import TraceLine
from router.console import row_view
from router.console.rendering import query_string
from router.console.searching import Asked
from router.console.visit import Visit
from router.console.worklists import shown
from router.engine.dead_letters.listing import DeadLetter
from router.journal.criteria import Cursor, Found
from router.language import translated

MOST_MESSAGES: Final = 5000
MOST: Final = 10_000
"""Rows of one answer at most; the next ones come after."""
_LOOKS: Final = 10
"""Pages of traces that are looked at for one answer: most of them may be another structure's."""
MESSAGES: Final = (
    *("received", "MSH-10", "feed", "sender", "structure", "type", "sink", "to", "outcome", "code"),
    "id",
)
DEAD_LETTERS: Final = (
    *("last", "first", "MSH-10", "structure", "feed", "pipeline", "sink", "to", "code", "place"),
    *("text", "attempts", "cause", "delivery", "message"),
)
Row = Mapping[str, object]


def messages(visit: Visit, asked: Asked, limit: int, after: Cursor | None = None, *, reason: str = "") -> Found:
    """Messages that meet the conditions. Raises `BadCriterion`, `Unavailable`."""
    found = visit.tools.services.journal.search(asked.criteria, limit, after=after)
    told = _counted(one.event.structure for one in found.events)
    visit.record_each(told, Action.EXPORTED, kind="search", of=query_string(asked.given)[:200], reason=reason)
    return found


def message_lines(visit: Visit, found: Found, when: Callable[[float], str] = local) -> Iterator[Row]:
    """One for each leg, by the names of `MESSAGES`."""
    for row in row_view.rows(found.events, visit.tools.services.value_sets):
        event = row.event
        for leg in row.legs or (row_view.Leg(sink="", to="", status=""),):
            yield {
                "received": when(event.received),
                "MSH-10": event.control_id,
                "feed": event.feed,
                "sender": event.sender,
                "structure": event.structure,
                "type": row.type,
                "sink": leg.sink,
                "to": leg.to,
                "outcome": leg.status,
                "code": leg.code,
                "id": event.event_id,
            }


def dead_letter_lines(visit: Visit, found: Sequence[DeadLetter], *, asked: str, reason: str) -> Iterator[Row]:
    """By the names of `DEAD_LETTERS`. asked: the conditions, as the audit keeps them. Raises `Unavailable`."""
    told = _counted(one.structure for one in found)
    visit.record_each(told, Action.EXPORTED, kind="dead letters", of=asked[:200], reason=reason)
    for one in visit.tools.desk.named(found):
        yield {
            "last": local(one.last) if one.last else "",
            "first": local(one.first) if one.first else "",
            "MSH-10": one.control_id,
            "structure": one.structure,
            "feed": one.feed,
            "pipeline": one.pipeline,
            "sink": one.sink,
            "to": shown(one.label),
            "code": one.code,
            "place": one.place,
            "text": translated(one.text),
            "attempts": one.attempts,
            "cause": one.cause,
            "delivery": one.delivery_id,
            "message": one.event_id,
        }


def audit_rows(
    visit: Visit, wanted: Wanted, *, form: str, after: int = 0, limit: int = MOST, reason: str = ""
) -> tuple[list[Row], str]:
    """(rows oldest first, by the names of `audit.export.AUDIT`; the number to go on after). Raises `Unavailable`."""
    audit = visit.tools.services.audit
    detail = f"format={form} up-to={audit.head().number}"
    visit.record_each(dict.fromkeys(wanted.structures or ("",), detail), Action.EXPORTED, kind="audit", reason=reason)
    rows = audit.rows(wanted, after=after, limit=limit)
    return [audit_line(row) for row in rows], str(rows[-1].number) if len(rows) == limit else ""


def traces(
    visit: Visit, since: float | None, until: float | None, *, after: int, limit: int, told: str, reason: str
) -> tuple[list[Row], str]:
    """(traces of what this person administers, oldest first, by the names of `audit.export.TRACES`; go on after).

    told: the conditions, as the audit keeps them. Raises `Unavailable`.
    """
    mine = visit.person.structures(Role.ADMINISTRATOR)
    visit.record_each(dict.fromkeys(mine or ("",), told), Action.EXPORTED, kind="traces", reason=reason)
    store, found = visit.tools.services.traces, list[TraceLine]()
    for _look in range(_LOOKS):
        page = store.lines(since=since, until=until, after=after, limit=limit)
        for line, is_mine in zip(page, _mine(visit, page, mine), strict=True):
            after = line.number
            if is_mine:
                found.append(line)
            if len(found) == limit:
                return [trace_line(one) for one in found], str(after)
        if len(page) < limit:
            return [trace_line(one) for one in found], ""
    return [trace_line(one) for one in found], str(after)


def _counted(structures: Iterable[str]) -> dict[str, str]:
    """FINESS -> how many rows of it are taken."""
    return {structure: str(count) for structure, count in Counter(structures).items()}


def _mine(visit: Visit, page: list[TraceLine], mine: frozenset[str] | None) -> list[bool]:
    """Of each line, whether its event is of one of these structures; without an event, whether its sink is theirs."""
    if mine is None:
        return [True] * len(page)
    services = visit.tools.services
    owners = services.journal.owners(line.event_id for line in page if line.event_id)
    kinds, users = services.config.sink_types, dict[str, set[str]]()
    for finess, structure in services.config.structures.items():
        for sink in {structure.sink_of(kind) for kind in kinds.values()}:
            users.setdefault(sink, set()).add(finess)
    return [
        owners.get(line.event_id, "") in mine
        if line.event_id
        else bool(line.sink and users.get(line.sink)) and users[line.sink] <= mine
        for line in page
    ]
