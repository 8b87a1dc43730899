"""What a person does with a case of the work-lists, the same for pages and for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from router.access.person import EVERY, Role
from router.audit.event import Action
from router.console import ordering
from router.console.audited import once
from router.console.cases import NEW, CaseState
from router.console.free_text import named_person
from router.console.orders import Act
from router.console.page import NotHere
from router.console.visit import Visit
from router.console.words import names_seen
from router.console.worklists import CHOICES, LISTS, Case, ListName, Worklists
from router.engine.dead_letters.listing import Filter
from router.language import _

NIGHT: Final = 12 * 3600.0
"""Seconds back to which the handover tells what was decided."""


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case with what people did with it."""

    case: Case
    state: CaseState


@dataclass(frozen=True, slots=True)
class Standing:
    """How much is open in a work-list. oldest: since when the oldest waits, Unix seconds; 0 for none"""

    name: ListName
    word: str
    count: int
    oldest: float


@dataclass(frozen=True, slots=True)
class OpenList:
    """One work-list: what is open, the oldest first."""

    name: ListName
    word: str
    open: tuple[ShownCase, ...]

    @property
    def standing(self) -> Standing:
        return Standing(self.name, self.word, len(self.open), self.open[0].case.since if self.open else 0.0)


@dataclass(frozen=True, slots=True)
class MailsLeft:
    """Mails in the mailbox of a sink that no report could be read of."""

    sink: str
    count: int


class Taken(Exception):
    """Somebody else holds the case, or it is decided: the text says who."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


# ---------------------------------------------------------------------------------------------------- looking


def list_of(name: str) -> ListName:
    """Raises `NotHere` for a name that is none."""
    found = next((one for one in LISTS if one == name), None)
    if found is None:
        raise NotHere
    return found


def open_list(visit: Visit, name: ListName) -> OpenList:
    """What waits there, of the structures that this person sees."""
    found = Worklists(visit.tools, visit.structures).cases(name)
    states = visit.tools.store.cases.of(name, [one.id for one in found])
    rows = [ShownCase(one, states.get(one.id, NEW)) for one in found]
    return OpenList(name, _(LISTS[name]), tuple(one for one in rows if not one.state.decided))


def page(rows: Sequence[ShownCase], per: int, after: str) -> tuple[Sequence[ShownCase], str]:
    """(so many cases behind a place of their order, the place behind which the next page begins: "" on the last one)

    A case that is decided meanwhile moves none of the others.
    """
    behind = [one for one in sorted(rows, key=_place) if not after or _place(one) > after]
    shown = behind[:per]
    return shown, _place(shown[-1]) if len(behind) > per else ""


def _place(one: ShownCase) -> str:
    """Of a case in the order of its list, as a text that is sorted like it."""
    return f"{one.case.since:017.6f}-{one.case.id}"


def standing(visit: Visit, name: ListName) -> Standing:
    """The same in numbers alone."""
    since = Worklists(visit.tools, visit.structures).since(name)
    decided = visit.tools.store.cases.decided(name, since)
    times = [at for id_, at in since.items() if id_ not in decided]
    return Standing(name, _(LISTS[name]), len(times), min(times, default=0.0))


def found(visit: Visit, name: ListName, id_: str) -> ShownCase:
    """One case, also when it is decided. Raises `NotHere` for another structure's."""
    state = visit.tools.store.cases.one(name, id_)
    for one in Worklists(visit.tools, visit.structures).cases(name):
        if one.id == id_:
            return ShownCase(one, state)
    if not state.decided or not (visit.structures is None or state.structure in visit.structures):
        raise NotHere
    ask, at = _("this is decided"), state.decided_at
    case = Case(list=name, id=id_, ask=ask, since=at, code="", structure=state.structure, name=state.name)
    return ShownCase(case, state)


def decided_lately(visit: Visit) -> list[tuple[str, CaseState]]:
    """(work-list, case) of what was decided in this shift, of the structures that this person sees."""
    since = visit.tools.clock.now() - NIGHT
    return [
        (name, state)
        for name, state in visit.tools.store.cases.decided_since(since)
        if visit.structures is None or state.structure in visit.structures
    ]


def mails_left(visit: Visit) -> list[MailsLeft]:
    """Of the sinks that this person may see, as the workers counted since they started."""
    known = visit.tools.watch.latest()
    seen = names_seen(visit.tools.services.config, visit.structures)
    boxes = known.mailboxes if known is not None else ()
    return [MailsLeft(box.sink, int(box.for_person)) for box in boxes if box.for_person and box.sink in seen]


def decided_word(name: ListName, state: CaseState) -> str:
    """The choice that closed it, in the language that is spoken now."""
    choice = CHOICES[name].get(state.decided)
    return _(choice.word) if choice is not None else state.decided


def may_act(visit: Visit, case: Case) -> bool:
    return visit.may(Role.OPERATOR, case.structure or EVERY)


# ----------------------------------------------------------------------------------------------------- acting


def demand(visit: Visit, case: Case) -> None:
    """Raises `NotAllowed` where this person is no operator."""
    visit.demand(Role.OPERATOR, case.structure or EVERY)


def take(visit: Visit, case: Case) -> None:
    """Hold it for half an hour. Raises `NotAllowed`, `Taken`."""
    _held(visit, case, visit.tools.store.cases.take)


def give_back(visit: Visit, case: Case) -> None:
    """Hold it no longer. Raises `NotAllowed`, `Taken`."""
    _held(visit, case, visit.tools.store.cases.give_back)


def note_fault(text: str) -> str:
    """Why this note can't be kept; "" when it can."""
    return named_person(text) or ("" if text else _("a note is needed"))


def note(visit: Visit, case: Case, text: str) -> None:
    """Say something of it, after `note_fault`. Raises `NotAllowed`, `Unavailable`."""
    demand(visit, case)
    visit.record(Action.NOTED, kind="case", of=case.id, structure=case.structure, detail=case.list)
    visit.tools.store.cases.note(case.list, case.id, visit.person.name, text)


def decide(visit: Visit, case: Case, name: str) -> str:
    """The id of the order that was tried dry for a delivery; "" for another case, which is closed by this, once.

    Raises `NotAllowed`, `NotHere` for a choice that it has not, `Taken`, `Unavailable`.
    """
    demand(visit, case)
    if (choice := case.choices.get(name)) is None:
        raise NotHere
    if fault := _taken(visit, case):
        raise Taken(fault)
    if choice.order:
        return _ordered(visit, case, choice.order)
    told = f"{case.list} {case.code}"
    store, me = visit.tools.store.cases, visit.person.name

    def write(more: str, refused: bool) -> None:
        detail = f"{told} {more}".strip()
        visit.record(
            Action.DECIDED,
            kind="case",
            of=case.id,
            structure=case.structure,
            reason=name,
            refused=refused,
            detail=detail,
        )

    decided = partial(store.decide, case.list, case.id, me, name, structure=case.structure, name=case.name)
    if not once(write, decided):
        raise Taken(_taken(visit, case))
    if case.list == "identity":
        visit.tools.services.register.settle([case.id], by=me, outcome=name)
    return ""


def _ordered(visit: Visit, case: Case, act: Act) -> str:
    which = Filter(within=visit.person.structures(Role.OPERATOR))
    return ordering.plan(visit, act, visit.tools.desk.of_deliveries([case.id], which))


def _held(visit: Visit, case: Case, change: Callable[[str, str, str], bool]) -> None:
    demand(visit, case)
    if not change(case.list, case.id, visit.person.name):
        raise Taken(_taken(visit, case))


def _taken(visit: Visit, case: Case) -> str:
    """Why this person can't act now; "" when nothing stands in the way."""
    state = visit.tools.store.cases.one(case.list, case.id)
    if state.decided:
        choice = decided_word(case.list, state)
        return _("{name} has decided this already: {choice}", name=state.decided_by, choice=choice)
    if state.holder not in ("", visit.person.name):
        return _("{name} has taken this: wait, or ask {name} to give it back", name=state.holder)
    return ""
