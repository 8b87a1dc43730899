"""Dead letters by cause: what is broken, how much, since when, and what repairs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.responses import Response

from router.access.person import EVERY, Role
from router.audit.event import Action
from router.console.causes import SAID, CauseNote, Said
from router.console.causes import shown as shown_as
from router.console.free_text import named_person
from router.console.page import Key, NotAllowed, NotHere, Page
from router.console.rendering import query_string
from router.console.visit import Visit
from router.console.words import names_seen
from router.engine.dead_letters.listing import Filter, Group
from router.engine.dead_letters.paging import Page as Paged
from router.journal.criteria import BadCriterion, code_of, verify_code
from router.language import N_, _, plural, translated

DAY: Final = 86_400.0
ROWS: Final = 50
FILTERS: Final = ("sink", "feed", "code", "pipeline")
_WORDS: Final = {"sink": N_("sink"), "feed": N_("feed"), "code": N_("code"), "pipeline": N_("pipeline")}
#: Days for which a cause may be muted -> as people read it.
MUTED: Final[Mapping[int, str]] = {1: N_("for one day"), 7: N_("for seven days"), 30: N_("for thirty days")}


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """A group with what people said of it. state: a key of `words.STATUSES`"""

    group: Group
    state: str
    note: CauseNote | None


def filter_of(visit: Visit) -> Filter:
    """What the address asks for, within the structures that this person may see."""
    return asked(visit.asked, visit.structures)


def asked(text: Callable[[str], str], within: frozenset[str] | None, cause: str = "") -> Filter:
    """Of the parameters of an address, or of the fields of a form."""
    sink, feed, code, pipeline = (text(name) for name in FILTERS)
    return Filter(sink=sink, feed=feed, code=code_of(code), pipeline=pipeline, cause=cause, within=within)


def given(visit: Visit) -> dict[str, str]:
    """The filters of the address, as they were typed."""
    return {name: visit.asked(name) for name in FILTERS}


def list_(visit: Visit) -> Response:
    """One row for each cause, the most numerous first; what is muted below."""
    began, which, fault = time.perf_counter(), filter_of(visit), ""
    try:
        verify_code(which.code)
        found = visit.tools.desk.groups(which)
    except BadCriterion as bad:
        found, fault = [], translated(bad.text)
    visit.took = time.perf_counter() - began
    notes = visit.tools.store.causes.of((group.cause for group in found), visit.structures)
    shown = [shown_group(visit, group, notes.get(group.cause, ())) for group in found]
    loud = [one for one in shown if one.state != "muted"]
    config, seen = visit.tools.services.config, names_seen(visit.tools.services.config, visit.structures)
    return visit.page(
        "dead_letters.html",
        status=400 if fault else 200,
        faults={"code": fault} if fault else {},
        sentence=_sentence(shown),
        groups=sorted(loud, key=lambda one: (one.state not in ("back", "new"), -one.group.count)),
        muted=[one for one in shown if one.state == "muted"],
        filters=given(visit),
        sinks=_names(name for name in config.sinks if name in seen),
        feeds=_names(name for name in config.feeds if name in seen),
        may_act=visit.may(Role.OPERATOR),
    )


def show(visit: Visit) -> Response:
    """One cause: its rule in words, what to do, its dead letters, what people said, and what can be ordered."""
    return _group(visit, {})


def say(visit: Visit) -> Response:
    """Keep what a person says of the cause."""
    cause, state = visit.path["cause"], next((one for one in SAID if one == visit.field("said")), None)
    days = next((one for one in MUTED if str(one) == visit.field("days")), 0)
    if faults := said(visit, cause, state, visit.field("note"), days):
        return _group(visit, faults, status=422)
    return visit.see_other(f"/dead-letters/{cause}{query_string(given(visit))}")


def said(visit: Visit, cause: str, state: Said | None, note: str, days: int) -> dict[str, str]:
    """Keep what a person says of a cause where she may act, and write it into the audit; or what is wrong, by field.

    days: for how long it is muted, a key of `MUTED`. Raises `NotHere`, `NotAllowed`, `Unavailable`.
    """
    mine = visit.person.structures(Role.OPERATOR)
    if not visit.tools.desk.owners(of(visit, cause)):
        raise NotHere
    if mine is not None and not visit.tools.desk.owners(Filter(cause=cause, within=mine)):
        raise NotAllowed
    faults = {
        "said": "" if state is not None else _("choose what holds for this cause"),
        "note": named_person(note),
        "days": _("choose for how long") if state == "muted" and days not in MUTED else "",
    }
    if state is None or any(faults.values()):
        return {name: text for name, text in faults.items() if text}
    for structure in [""] if mine is None else sorted(mine):
        visit.record(Action.NOTED, kind="cause", of=cause, structure=structure, detail=state)
    seconds = days * DAY if state == "muted" else 0.0
    visit.tools.store.causes.say(cause, state, note, visit.person.name, mine, seconds=seconds)
    return {}


def _group(visit: Visit, faults: Mapping[str, str], status: int = 200) -> Response:
    began = time.perf_counter()
    which = asked(visit.asked, visit.structures, visit.path["cause"])
    group, page = of_cause(visit, which, ROWS, visit.asked("after"))
    visit.took = time.perf_counter() - began
    notes = visit.tools.store.causes.of([group.cause], visit.structures).get(group.cause, ())
    return visit.page(
        "dead_letter_group.html",
        status=status,
        one=shown_group(visit, group, notes),
        rows=visit.tools.desk.named(page.rows),
        more=page.next,
        begun=bool(visit.asked("after")),
        faults=faults,
        muted=[(str(days), _(words)) for days, words in MUTED.items()],
        ordered=_mine(visit, which, group),
        filters=given(visit),
        filter_words={name: _(word) for name, word in _WORDS.items()},
        typed={name: visit.field(name) for name in ("said", "note", "days")},
    )


def of(visit: Visit, cause: str) -> Filter:
    """The dead letters of a cause that this person may see."""
    return Filter(cause=cause, within=visit.structures)


def of_cause(visit: Visit, which: Filter, per: int, after: str) -> tuple[Group, Paged]:
    """The cause, and a page of its dead letters, newest first. Raises `NotHere` when this person sees none.

    which: names the cause
    """
    desk = visit.tools.desk
    groups = desk.groups(which)
    if not groups:
        raise NotHere
    return groups[0], desk.page(which, per, after)


def _mine(visit: Visit, which: Filter, group: Group) -> int:
    """How many of these dead letters of a cause this person may order something about."""
    mine = visit.person.structures(Role.OPERATOR)
    if mine == visit.structures:
        return group.count
    return sum(one.count for one in visit.tools.desk.groups(replace(which, within=mine)))


def shown_group(visit: Visit, group: Group, notes: Sequence[CauseNote]) -> ShownGroup:
    """One structure's note speaks for it alone."""
    if not notes:
        return ShownGroup(group, "new", None)
    structures: Iterable[str] = (EVERY,)
    if any(one.structure != EVERY for one in notes):
        structures = visit.tools.desk.owners(of(visit, group.cause))
    return ShownGroup(group, shown_as(notes, structures, group.last, visit.tools.clock.now()), notes[0])


def _sentence(shown: list[ShownGroup]) -> str:
    """`214 dead letters, 3 causes, 1 new`."""
    if not shown:
        return _("No dead letter.")
    count = sum(one.group.count for one in shown)
    words = [
        plural("{count} dead letter", "{count} dead letters", count),
        plural("{count} cause", "{count} causes", len(shown)),
    ]
    if new := sum(one.state == "new" for one in shown):
        words.append(plural("{count} new", "{count} new", new))
    if back := sum(one.state == "back" for one in shown):
        words.append(plural("{count} came back", "{count} came back", back))
    return ", ".join(words)


def _names(known: Iterable[str]) -> list[tuple[str, str]]:
    return [("", _("all")), *((name, name) for name in known)]


PAGES: Final = (
    Page(
        name="dead-letters",
        path="/dead-letters",
        title=N_("Dead letters"),
        question=N_("What is broken, how much, since when, and what repairs it?"),
        menu=N_("Dead letters"),
        letter="d",
        rank=30,
        show=list_,
        rate="120/minute",
        keys=(Key("f", N_("filters"), "#f-code"),),
    ),
    Page(
        name="dead-letter-group",
        path="/dead-letters/{cause}",
        title=N_("Dead letters of one cause"),
        show=show,
        act=say,
        act_role=Role.OPERATOR,
        keys=(
            Key("v", N_("the dry run of a replay"), "#dry-run"),
            Key("n", N_("note"), "#f-note"),
            Key("x", N_("choose the row"), "tr:focus-within input"),
            Key("u", N_("up to the list"), "#up"),
        ),
    ),
)
