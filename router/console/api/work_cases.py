"""Cases of the work-lists as the API tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from router.console.api.operation import Output, moment
from router.console.casework import ShownCase
from router.language import N_


class WorkList(Output):
    name: str
    title: str
    open: int
    oldest: datetime | None


class MailsForPerson(Output):
    sink: str
    count: int


class WorkLists(Output):
    lists: list[WorkList]
    mails: list[MailsForPerson] = Field(description=N_("mails that are no report the router understands, by sink"))


class CaseChoice(Output):
    name: str
    title: str
    means: str = Field(description=N_("what follows from it"))
    order: Literal["", "replay", "discard"] = Field(description=N_("it makes the dry run of such an order"))


class CaseNote(Output):
    at: datetime | None
    by: str
    did: str
    text: str


class WorkCase(Output):
    list: str
    id: str = Field(description=N_("stable: it names this case for ever"))
    ask: str = Field(description=N_("what is to be decided"))
    since: datetime | None
    code: str
    structure: str
    sink: str
    to: str = Field(description=N_("address of a professional; in words for the mailbox of a patient"))
    message: str = Field(description=N_("id of its message"))
    control_id: str = Field(description="MSH-10")
    held_by: str
    held_until: datetime | None
    note: str = Field(description=N_("the last one"))
    decided: str = Field(description=N_("name of the choice that closed it; empty while it is open"))
    decided_by: str
    decided_at: datetime | None


class WorkCases(Output):
    cases: list[WorkCase] = Field(description=N_("open ones, the oldest first"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))


class WholeCase(Output):
    case: WorkCase
    choices: list[CaseChoice] = Field(description=N_("what one may decide of it"))
    history: list[CaseNote] = Field(description=N_("what people did with it, oldest first"))


class CaseDecision(Output):
    order: str = Field(
        description=N_("id of the dry run that is to be confirmed; empty when the case is closed by this")
    )
    case: WorkCase


class HandoverList(Output):
    name: str
    title: str
    open: list[WorkCase]


class DecidedCase(Output):
    list: str
    control_id: str = Field(description="MSH-10")
    structure: str
    choice: str
    by: str
    at: datetime | None


class Handover(Output):
    lists: list[HandoverList]
    decided: list[DecidedCase] = Field(description=N_("in the last twelve hours, oldest first"))
    mails: list[MailsForPerson]


def case_of(found: ShownCase) -> WorkCase:
    one, state = found.case, found.state
    return WorkCase(
        list=one.list,
        id=one.id,
        ask=one.ask,
        since=moment(one.since),
        code=one.code,
        structure=one.structure,
        sink=one.sink,
        to=one.to,
        message=one.event_id,
        control_id=one.name,
        held_by=state.holder,
        held_until=moment(state.until),
        note=state.note.text if state.note is not None else "",
        decided=state.decided,
        decided_by=state.decided_by,
        decided_at=moment(state.decided_at),
    )
