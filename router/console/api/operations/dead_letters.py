"""Dead letters by cause: what is broken, how much, since when, and what repairs it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ACT, API_READ
from router.console.api.operation import Free, Id, Input, Operation, Output, PerPage, Text, moment
from router.console.api.problems import Refused, Wrong
from router.console.causes import Said
from router.console.pages import dead_letters as page
from router.console.pages.dead_letters import ShownGroup
from router.console.visit import Visit
from router.engine.dead_letters.listing import DeadLetter as Letter
from router.journal.criteria import verify_code
from router.language import N_, translated


class Filters(Input):
    sink: Text = Field(default="", description=N_("name of a sink"))
    feed: Text = ""
    code: Text = Field(default="", description=N_("as MSS-552; 552 and 5.2.2 are the same"))
    pipeline: Text = ""


class Cause(Output):
    cause: str = Field(description=N_("stable: it names this cause for ever"))
    state: str = Field(description=N_("what people said of it: new, known, muted; or back, when it came back"))
    note: str
    stage: str
    where: str
    code: str
    place: str
    text: str
    advice: str = Field(description=N_("what a person should do about it"))
    count: int
    first: datetime | None
    last: datetime | None
    feeds: list[str]
    pipelines: list[str]


class Causes(Output):
    causes: list[Cause] = Field(description=N_("the most numerous first"))


class OfCause(Filters):
    cause: Id
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class DeadLetter(Output):
    delivery: str = Field(description=N_("id of the delivery; empty when it failed before there was one"))
    message: str = Field(description=N_("id of its message"))
    control_id: str = Field(description="MSH-10")
    structure: str
    feed: str
    pipeline: str
    sink: str
    code: str
    attempts: int
    first: datetime | None
    last: datetime | None


class CausePage(Output):
    cause: Cause
    dead_letters: list[DeadLetter] = Field(description=N_("newest first"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))


class Note(Input):
    cause: Id
    said: Said = Field(description=N_("known, muted for `days`, repaired, or new again"))
    note: Free = Field(default="", description=N_("for one's colleagues; names no patient"))
    days: Literal[1, 7, 30] | None = Field(default=None, description=N_("for how long it is muted"))


def causes(visit: Visit, given: Filters) -> Causes:
    """Of the structures that may be seen. Raises `BadCriterion` for what is no code."""
    which = page.asked(lambda name: str(getattr(given, name)), visit.structures)
    verify_code(which.code)
    found = visit.tools.desk.groups(which)
    notes = visit.tools.store.causes.of((group.cause for group in found), visit.structures)
    return Causes(causes=[_cause(page.shown_group(visit, group, notes.get(group.cause, ()))) for group in found])


def of_cause(visit: Visit, given: OfCause) -> CausePage:
    """Raises `NotHere` for a cause without dead letters that may be seen."""
    which = page.asked(lambda name: str(getattr(given, name)), visit.structures, given.cause)
    group, found = page.of_cause(visit, which, given.per, given.after)
    notes = visit.tools.store.causes.of([group.cause], visit.structures).get(group.cause, ())
    return CausePage(
        cause=_cause(page.shown_group(visit, group, notes)),
        dead_letters=[dead_letter(one) for one in visit.tools.desk.named(found.rows)],
        next=found.next,
    )


def note(visit: Visit, given: Note) -> Cause:
    """Where one is an operator. Raises `Refused` (422), `NotHere`, `NotAllowed`."""
    if faults := page.said(visit, given.cause, given.said, given.note, given.days or 0):
        raise Refused(422, "API-NOTE", errors=[Wrong(pointer=f"/{name}", detail=text) for name, text in faults.items()])
    return of_cause(visit, OfCause(cause=given.cause, per=1)).cause


def _cause(one: ShownGroup) -> Cause:
    group = one.group
    return Cause(
        cause=group.cause,
        state=one.state,
        note=one.note.note if one.note is not None else "",
        stage=group.stage,
        where=group.where,
        code=group.code,
        place=group.place,
        text=translated(group.text),
        advice=translated(group.next),
        count=group.count,
        first=moment(group.first),
        last=moment(group.last),
        feeds=list(group.feeds),
        pipelines=list(group.pipelines),
    )


def dead_letter(one: Letter) -> DeadLetter:
    return DeadLetter(
        delivery=one.delivery_id,
        message=one.event_id,
        control_id=one.control_id,
        structure=one.structure,
        feed=one.feed,
        pipeline=one.pipeline,
        sink=one.sink,
        code=one.code,
        attempts=one.attempts,
        first=moment(one.first),
        last=moment(one.last),
    )


OPERATIONS: Final = (
    Operation(
        name="deadLetters",
        path="/dead-letters",
        does=N_("Dead letters by cause."),
        run=causes,
        takes=Filters,
        gives=Causes,
        scope=API_READ,
        serves=("GET /dead-letters",),
    ),
    Operation(
        name="deadLettersOfCause",
        path="/dead-letters/{cause}",
        does=N_("Dead letters of one cause."),
        run=of_cause,
        takes=OfCause,
        gives=CausePage,
        scope=API_READ,
        serves=("GET /dead-letters/{cause}",),
    ),
    Operation(
        name="noteCause",
        path="/dead-letters/{cause}/note",
        method="POST",
        does=N_("Say of a cause that it is known, repaired, or muted for some days; with a note for one's colleagues."),
        run=note,
        takes=Note,
        gives=Cause,
        scope=API_ACT,
        role=Role.OPERATOR,
        serves=("POST /dead-letters/{cause}",),
    ),
)
