"""Work-lists: what waits for a human decision? Each case is taken by one person, noted, decided, and audited."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from router.access.person import EVERY, Role
from router.audit.event import Action
from router.console.cases import NEW, CaseState
from router.console.free_text import named_person
from router.console.page import Key, NotHere, Page
from router.console.pages.orders import planned
from router.console.visit import Visit
from router.console.words import names_seen
from router.console.worklists import CHOICES, LISTS, Case, Choice, ListName, Worklists
from router.engine.dead_letters.listing import Filter
from router.language import N_, _

ROWS: Final = 200
NIGHT: Final = 12 * 3600.0
"""Seconds back to which the page of the handover tells what was decided."""


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case with what people did with it."""

    case: Case
    state: CaseState


@dataclass(frozen=True, slots=True)
class Tab:
    """One work-list: how many are open, and since when the oldest is."""

    name: ListName
    word: str
    open: tuple[ShownCase, ...]

    @property
    def oldest(self) -> float:
        return self.open[0].case.since if self.open else 0.0


@dataclass(frozen=True, slots=True)
class MailsLeft:
    """Mails in the mailbox of a sink that no report could be read of."""

    sink: str
    count: int


def first(visit: Visit) -> Response:
    """The menu leads to the first list."""
    return visit.see_other("/worklists/waiting")


def show(visit: Visit) -> Response:
    """One list, the oldest first, and how the two others stand."""
    began, name = time.perf_counter(), _list(visit)
    tabs = {one: _tab(visit, one) for one in LISTS}
    visit.took = time.perf_counter() - began
    mine = visit.asked("mine") == "1"
    rows = [one for one in tabs[name].open if not mine or one.state.holder == visit.person.name]
    return visit.page(
        "worklist.html",
        tabs=tabs,
        here=tabs[name],
        rows=rows[:ROWS],
        more=max(0, len(rows) - ROWS),
        mine=mine,
        left=_mails_left(visit) if name == "waiting" else (),
    )


def handover(visit: Visit) -> Response:
    """What is open in each list, and what was decided in this shift, on one sheet without identities."""
    since = visit.tools.clock.now() - NIGHT
    tabs = [_tab(visit, one) for one in LISTS]
    lately = [
        (name, state)
        for name, state in visit.tools.store.cases.decided_since(since)
        if visit.structures is None or state.structure in visit.structures
    ]
    return visit.page("handover.html", tabs=tabs, lately=lately, left=_mails_left(visit), word_of=_decided)


def case(visit: Visit) -> Response:
    """The facts, the choices with their consequence, the note, what people did."""
    return _case(visit, *_found(visit), {})


def act(visit: Visit) -> Response:
    """Take it, give it back, note, or decide."""
    found, state = _found(visit)
    visit.demand(Role.OPERATOR, found.structure or EVERY)
    did, store = visit.field("do"), visit.tools.store.cases
    here = f"/worklists/{found.list}/{found.id}"
    me = visit.person.name
    if did in ("take", "give"):
        done = (store.take if did == "take" else store.give_back)(found.list, found.id, me)
        return visit.see_other(here) if done else _case(visit, *_found(visit), {"form": _taken(visit, found)}, 409)
    if did == "note":
        note = visit.field("note")
        fault = named_person(note) or ("" if note else _("a note is needed"))
        if fault:
            return _case(visit, found, state, {"note": fault}, 422)
        visit.record(Action.NOTED, kind="case", of=found.id, structure=found.structure, detail=found.list)
        store.note(found.list, found.id, me, note)
        return visit.see_other(here)
    choice = found.choices.get(did)
    if choice is None:
        raise NotHere
    if fault := _taken(visit, found):
        return _case(visit, *_found(visit), {"form": fault}, 409)
    return _decide(visit, found, did, choice)


def _decide(visit: Visit, found: Case, name: str, choice: Choice) -> Response:
    """A delivery by an order, which is tried dry first; the others are closed, with what was done."""
    if choice.order:
        which = Filter(within=visit.person.structures(Role.OPERATOR))
        return planned(visit, choice.order, visit.tools.desk.of_deliveries([found.id], which), again=False)
    told = f"{found.list} {found.code}"
    visit.record(Action.DECIDED, kind="case", of=found.id, structure=found.structure, reason=name, detail=told)
    store, me = visit.tools.store.cases, visit.person.name
    if not store.decide(found.list, found.id, me, name, structure=found.structure, name=found.name):
        return _case(visit, *_found(visit), {"form": _taken(visit, found)}, 409)
    if found.list == "identity":
        visit.tools.services.register.settle([found.id], by=me, outcome=name)
    return visit.see_other(f"/worklists/{found.list}")


# ------------------------------------------------------------------------------------------------------ internals


def _list(visit: Visit) -> ListName:
    name = next((one for one in LISTS if one == visit.path["list"]), None)
    if name is None:
        raise NotHere
    return name


def _tab(visit: Visit, name: ListName) -> Tab:
    found = Worklists(visit.tools, visit.structures).cases(name)
    states = visit.tools.store.cases.of(name, [one.id for one in found])
    rows = [ShownCase(one, states.get(one.id, NEW)) for one in found]
    return Tab(name, _(LISTS[name]), tuple(one for one in rows if not one.state.decided))


def _found(visit: Visit) -> tuple[Case, CaseState]:
    """The case of this address, also when it is decided. Raises `NotHere` for another structure's."""
    name, id_ = _list(visit), visit.path["id"]
    state = visit.tools.store.cases.one(name, id_)
    for one in Worklists(visit.tools, visit.structures).cases(name):
        if one.id == id_:
            return one, state
    if not state.decided or not (visit.structures is None or state.structure in visit.structures):
        raise NotHere
    ask, at = _("this is decided"), state.decided_at
    return Case(list=name, id=id_, ask=ask, since=at, code="", structure=state.structure, name=state.name), state


def _taken(visit: Visit, found: Case) -> str:
    """Why this person can't act now; "" when nothing stands in the way."""
    state = visit.tools.store.cases.one(found.list, found.id)
    if state.decided:
        return _("{name} has decided this already: {choice}", name=state.decided_by, choice=_decided(found.list, state))
    if state.holder not in ("", visit.person.name):
        return _("{name} has taken this: wait, or ask {name} to give it back", name=state.holder)
    return ""


def _decided(name: ListName, state: CaseState) -> str:
    choice = CHOICES[name].get(state.decided)
    return _(choice.word) if choice is not None else state.decided


def _case(visit: Visit, found: Case, state: CaseState, faults: dict[str, str], status: int = 200) -> Response:
    may_act = visit.may(Role.OPERATOR, found.structure or EVERY)
    return visit.page(
        "worklist_case.html",
        status=status,
        case=found,
        state=state,
        list_word=_(LISTS[found.list]),
        decided=_decided(found.list, state) if state.decided else "",
        decisions=found.choices if may_act and not state.decided else {},
        history=visit.tools.store.cases.history(found.list, found.id),
        did_word=_did,
        may_act=may_act and not state.decided,
        faults=faults,
        typed=visit.field("note"),
    )


def _did(name: ListName, did: str, text: str) -> str:
    words = {"take": N_("has taken it"), "give": N_("has given it back"), "note": N_("noted")}
    return _(words[did]) if did in words else _("decided: {choice}", choice=_decided(name, CaseState(decided=text)))


def _mails_left(visit: Visit) -> list[MailsLeft]:
    """Of the sinks that this person may see, as the workers counted since they started."""
    known = visit.tools.watch.latest()
    seen = names_seen(visit.tools.services.config, visit.structures)
    boxes = known.mailboxes if known is not None else ()
    return [MailsLeft(box.sink, int(box.for_person)) for box in boxes if box.for_person and box.sink in seen]


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
