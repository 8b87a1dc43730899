"""Work-lists: what waits for a human decision; each case is taken by one, noted, decided once, and audited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ACT, API_READ
from router.console import casework
from router.console.api.operation import Free, Id, Input, Nothing, Operation, PerPage, Text, moment
from router.console.api.problems import Refused, Wrong
from router.console.api.work_cases import (
    CaseChoice,
    CaseDecision,
    CaseNote,
    DecidedCase,
    Handover,
    HandoverList,
    MailsForPerson,
    WholeCase,
    WorkCases,
    WorkList,
    WorkLists,
    case_of,
)
from router.console.cases import CaseLine
from router.console.casework import ShownCase, Taken
from router.console.visit import Visit
from router.console.worklists import CHOICES, LISTS, ListName
from router.language import N_, _


class OfList(Input):
    list: ListName
    mine: Literal["", "true"] = Field(default="", description=N_("only those that one has taken oneself"))
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class OneCase(Input):
    list: ListName
    id: Id


class NoteOfCase(OneCase):
    note: Free = Field(description=N_("for one's colleagues; names no patient"))


class Decided(OneCase):
    choice: Id = Field(description=N_("one of the `choices` of the case"))


def lists(visit: Visit, given: Nothing) -> WorkLists:  # noqa: ARG001  (it takes nothing)
    """Of the structures that may be seen."""
    found = [casework.open_list(visit, name) for name in LISTS]
    return WorkLists(
        lists=[WorkList(name=one.name, title=one.word, open=len(one.open), oldest=moment(one.oldest)) for one in found],
        mails=_mails(visit),
    )


def cases(visit: Visit, given: OfList) -> WorkCases:
    """Page by page; a case that is decided meanwhile moves none of the others."""
    found = casework.open_list(visit, given.list).open
    found = tuple(one for one in found if not given.mine or one.state.holder == visit.person.name)
    rows, following = casework.page(found, given.per, given.after)
    return WorkCases(cases=[case_of(one) for one in rows], next=following)


def whole(visit: Visit, given: OneCase) -> WholeCase:
    return _whole(visit, _found(visit, given))


def take(visit: Visit, given: OneCase) -> WholeCase:
    return _held(visit, given, casework.take)


def give_back(visit: Visit, given: OneCase) -> WholeCase:
    return _held(visit, given, casework.give_back)


def note(visit: Visit, given: NoteOfCase) -> WholeCase:
    """Raises `Refused` (422) for a note that may name a patient."""
    found = _found(visit, given)
    casework.demand(visit, found.case)
    if fault := casework.note_fault(given.note):
        raise Refused(422, "API-NOTE", errors=[Wrong(pointer="/note", detail=fault)])
    casework.note(visit, found.case, given.note)
    return _whole(visit, _found(visit, given))


def decide(visit: Visit, given: Decided) -> CaseDecision:
    """Raises `Refused` (409) for a case that somebody else holds, or that is decided."""
    found = _found(visit, given)
    try:
        order = casework.decide(visit, found.case, given.choice)
    except Taken as taken:
        raise Refused(409, "API-TAKEN", taken.text) from None
    return CaseDecision(order=order, case=case_of(_found(visit, given)))


def handover(visit: Visit, given: Nothing) -> Handover:  # noqa: ARG001  (it takes nothing)
    found = [casework.open_list(visit, name) for name in LISTS]
    return Handover(
        lists=[HandoverList(name=one.name, title=one.word, open=[case_of(row) for row in one.open]) for one in found],
        decided=[
            DecidedCase(
                list=name,
                control_id=state.name,
                structure=state.structure,
                choice=state.decided,
                by=state.decided_by,
                at=moment(state.decided_at),
            )
            for name, state in casework.decided_lately(visit)
        ],
        mails=_mails(visit),
    )


def _found(visit: Visit, given: OneCase) -> ShownCase:
    return casework.found(visit, given.list, given.id)


def _held(visit: Visit, given: OneCase, change: Callable[..., None]) -> WholeCase:
    try:
        change(visit, _found(visit, given).case)
    except Taken as taken:
        raise Refused(409, "API-TAKEN", taken.text) from None
    return _whole(visit, _found(visit, given))


def _mails(visit: Visit) -> list[MailsForPerson]:
    return [MailsForPerson(sink=one.sink, count=one.count) for one in casework.mails_left(visit)]


def _whole(visit: Visit, found: ShownCase) -> WholeCase:
    one, state = found.case, found.state
    may_act = casework.may_act(visit, one) and not state.decided
    return WholeCase(
        case=case_of(found),
        choices=[
            CaseChoice(name=name, title=_(choice.word), means=_(choice.means), order=choice.order)
            for name, choice in (one.choices if may_act else {}).items()
        ],
        history=[_line(line) for line in visit.tools.store.cases.history(one.list, one.id)],
    )


def _line(line: CaseLine) -> CaseNote:
    return CaseNote(at=moment(line.at), by=line.person, did=line.did, text=line.text)


_LISTS: Final = "/worklists"
_ONE: Final = f"{_LISTS}/{{list}}/{{id}}"
_CHOICES: Final = tuple(dict.fromkeys(name for choices in CHOICES.values() for name in choices))
OPERATIONS: Final = (
    Operation(
        name="worklists",
        path=_LISTS,
        does=N_("What waits for a human decision: how many cases in each list, and since when."),
        run=lists,
        takes=Nothing,
        gives=WorkLists,
        scope=API_READ,
        serves=("GET /worklists",),
    ),
    Operation(
        name="worklist",
        path=f"{_LISTS}/{{list}}",
        does=N_("The open cases of one list, the oldest first."),
        run=cases,
        takes=OfList,
        gives=WorkCases,
        scope=API_READ,
        serves=("GET /worklists/{list}",),
    ),
    Operation(
        name="worklistCase",
        path=_ONE,
        does=N_("One case, what may be decided of it, and what people did with it."),
        run=whole,
        takes=OneCase,
        gives=WholeCase,
        scope=API_READ,
        serves=(f"GET {_ONE}",),
    ),
    Operation(
        name="takeCase",
        path=f"{_ONE}/take",
        method="POST",
        does=N_("Hold a case under one's name for thirty minutes."),
        run=take,
        takes=OneCase,
        gives=WholeCase,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=(f"POST {_ONE} take",),
    ),
    Operation(
        name="giveCaseBack",
        path=f"{_ONE}/give",
        method="POST",
        does=N_("Hold a case no longer."),
        run=give_back,
        takes=OneCase,
        gives=WholeCase,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=(f"POST {_ONE} give",),
    ),
    Operation(
        name="noteCase",
        path=f"{_ONE}/note",
        method="POST",
        does=N_("Leave a note at a case for one's colleagues."),
        run=note,
        takes=NoteOfCase,
        gives=WholeCase,
        scope=API_ACT,
        role=Role.OPERATOR,
        serves=(f"POST {_ONE} note",),
    ),
    Operation(
        name="decideCase",
        path=f"{_ONE}/decide",
        method="POST",
        does=N_("Decide a case, once. For a delivery it makes the dry run of an order, which is then confirmed."),
        run=decide,
        takes=Decided,
        gives=CaseDecision,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=tuple(f"POST {_ONE} {name}" for name in _CHOICES),
    ),
    Operation(
        name="handover",
        path="/handover",
        does=N_("What the next shift must know: what is open, and what was decided in this one."),
        run=handover,
        takes=Nothing,
        gives=Handover,
        scope=API_READ,
        rate="30/minute",
        serves=("GET /worklists/handover",),
    ),
)
