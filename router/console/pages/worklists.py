"""Work-lists: what waits for a human decision? Each case is taken by one person, noted, decided, and audited."""

from __future__ import annotations

import time
from typing import Final

from starlette.responses import Response

from router.access.person import Role
from router.console import casework
from router.console.cases import CaseState
from router.console.casework import ShownCase, Taken
from router.console.page import Key, Page
from router.console.visit import Visit
from router.console.worklists import CHOICES, LISTS, ListName
from router.language import N_, _

PER: Final = (50, 200)
"""Rows of a page; the second with `per=200`."""


def first(visit: Visit) -> Response:
    """The menu leads to the first list."""
    return visit.see_other("/worklists/waiting")


def show(visit: Visit) -> Response:
    """One list, the oldest first, and how the two others stand."""
    began, name = time.perf_counter(), casework.list_of(visit.path["list"])
    tabs = {one: casework.open_list(visit, one) for one in LISTS}
    visit.took = time.perf_counter() - began
    mine = visit.asked("mine") == "1"
    open_ = [one for one in tabs[name].open if not mine or one.state.holder == visit.person.name]
    per = PER[-1] if visit.asked("per") == str(PER[-1]) else PER[0]
    rows, following = casework.page(open_, per, visit.asked("after"))
    return visit.page(
        "worklist.html",
        tabs=tabs,
        here=tabs[name],
        rows=rows,
        following=following,
        begun=bool(visit.asked("after")),
        asked={"mine": "1" if mine else "", "per": visit.asked("per")},
        mine=mine,
        left=casework.mails_left(visit) if name == "waiting" else (),
    )


def handover(visit: Visit) -> Response:
    """What is open in each list, and what was decided in this shift, on one sheet without identities."""
    return visit.page(
        "handover.html",
        tabs=[casework.open_list(visit, one) for one in LISTS],
        lately=casework.decided_lately(visit),
        left=casework.mails_left(visit),
        word_of=casework.decided_word,
    )


def case(visit: Visit) -> Response:
    """The facts, the choices with their consequence, the note, what people did."""
    return _case(visit, _found(visit), {})


def act(visit: Visit) -> Response:
    """Take it, give it back, note, or decide."""
    found = _found(visit)
    casework.demand(visit, found.case)
    did, one = visit.field("do"), found.case
    here = f"/worklists/{one.list}/{one.id}"
    try:
        if did in _HOLDS:
            _HOLDS[did](visit, one)
            return visit.see_other(here)
        if did == "note":
            if fault := casework.note_fault(visit.field("note")):
                return _case(visit, found, {"note": fault}, 422)
            casework.note(visit, one, visit.field("note"))
            return visit.see_other(here)
        order = casework.decide(visit, one, did)
    except Taken as taken:
        return _case(visit, _found(visit), {"form": taken.text}, 409)
    return visit.see_other(f"/orders/{order}" if order else f"/worklists/{one.list}")


_HOLDS: Final = {"take": casework.take, "give": casework.give_back}
_DOES: Final = (*_HOLDS, "note", *dict.fromkeys(name for choices in CHOICES.values() for name in choices))


def _found(visit: Visit) -> ShownCase:
    return casework.found(visit, casework.list_of(visit.path["list"]), visit.path["id"])


def _case(visit: Visit, found: ShownCase, faults: dict[str, str], status: int = 200) -> Response:
    one, state, may_act = found.case, found.state, casework.may_act(visit, found.case)
    return visit.page(
        "worklist_case.html",
        status=status,
        case=one,
        state=state,
        list_word=_(LISTS[one.list]),
        decided=casework.decided_word(one.list, state) if state.decided else "",
        decisions=one.choices if may_act and not state.decided else {},
        history=visit.tools.store.cases.history(one.list, one.id),
        did_word=_did,
        may_act=may_act and not state.decided,
        faults=faults,
        typed=visit.field("note"),
    )


def _did(name: ListName, did: str, text: str) -> str:
    words = {"take": N_("has taken it"), "give": N_("has given it back"), "note": N_("noted")}
    if did in words:
        return _(words[did])
    return _("decided: {choice}", choice=casework.decided_word(name, CaseState(decided=text)))


PAGES: Final = (
    Page(
        name="worklists",
        path="/worklists",
        title=N_("Work-lists"),
        question=N_("What waits for a human decision?"),
        menu=N_("Work-lists"),
        letter="w",
        rank=40,
        show=first,
    ),
    Page(
        name="handover",
        path="/worklists/handover",
        title=N_("Handover of the work-lists"),
        show=handover,
        rate="30/minute",
        keys=(Key("u", N_("up to the list"), "#up"),),
    ),
    Page(
        name="worklist",
        path="/worklists/{list}",
        title=N_("Work-lists"),
        show=show,
        rate="120/minute",
        keys=(
            Key("j", N_("next row")),
            Key("k", N_("previous row")),
            Key("Enter", N_("open the row")),
            Key("m", N_("my cases, or all"), "#mine"),
            Key("h", N_("the page of the handover"), "#handover"),
        ),
    ),
    Page(
        name="worklist-case",
        path="/worklists/{list}/{id}",
        title=N_("Case of a work-list"),
        show=case,
        act=act,
        does=_DOES,
        act_role=Role.OPERATOR,
        rate="120/minute",
        keys=(
            Key("w", N_("take this case"), "#take"),
            Key("b", N_("give it back"), "#give"),
            Key("n", N_("note"), "#f-note"),
            Key("u", N_("up to the list"), "#up"),
        ),
    ),
)
