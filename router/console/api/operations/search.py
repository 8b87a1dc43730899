"""Search: which messages went where, by the same names as the address of the page and the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from router.access.tokens import API_READ
from router.console import row_view
from router.console.api.operation import Input, Operation, Output, PerPage, Text, moment
from router.console.searching import Asked, Searcher, nameless
from router.console.visit import Visit
from router.journal.criteria import BadCriterion, Cursor
from router.language import N_

_BY_POST: Final = N_("a patient, or a name, does not stand in an address: send this search by POST")


class Where(Input):
    structure: Text = Field(default="", description=N_("FINESS of who sends"))
    sender: Text = Field(default="", description=N_("MSH-3, MSH-4, or both as `MSH-3|MSH-4`"))
    type: Text = Field(default="", description=N_("LOINC code of the document's type"))
    outcome: Literal["", "delivered", "failed", "waiting", "filtered", "superseded", "refused"] = ""
    code: Text = Field(default="", description=N_("code of a refusal, or of a delivery's outcome"))
    feed: Text = ""
    pipeline: Text = ""
    sink: Text = Field(default="", description=N_("name of a sink"))
    since: Text = Field(
        default="", description=N_("as on the command line: `today`, `7d`, a date, a time; `all` for any time")
    )
    until: Text = ""


class _Conditions(Where):
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class Nameless(Where):
    """Conditions that may stand in an address."""

    recipient: Text = Field(default="", description=N_("address, domain or RPPS of a professional"))
    patient: Annotated[str, StringConstraints(pattern=r"^(ps_[0-9a-f]{32}(-[0-9a-f]{32}){0,19})?$")] = Field(
        default="", description=N_("pseudonym of a patient, as an answer to a search by POST gave it")
    )


class Conditions(_Conditions, Nameless):
    """A page of them."""


class Told(_Conditions):
    recipient: Text = Field(default="", description=N_("address, domain, RPPS or name of a professional"))
    patient: Text = Field(
        default="", description=N_("INS, IPP, mailbox of the patient, names with a birth date, or a pseudonym")
    )


OPTIONS: Final = tuple(Told.model_fields.keys() - {"after", "per"})
"""Names of the conditions."""


class Leg(Output):
    sink: str
    to: str = Field(description=N_("address of a professional; in words for the mailbox of a patient"))
    to_patient: bool
    status: str
    cause: str = Field(description=N_("why it failed, in the language of who asks"))
    code: str
    attempts: int


class Message(Output):
    id: str = Field(description=N_("stable: it names this message for ever"))
    received: datetime | None
    control_id: str = Field(description="MSH-10")
    feed: str
    sender: str
    structure: str
    type: str
    type_label: str
    code: str
    legs: list[Leg]


class Messages(Output):
    messages: list[Message] = Field(description=N_("newest first"))
    patient: str = Field(description=N_("pseudonym of the patient who was asked for"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))
    complete: bool
    cut: bool = Field(description=N_("the time was up: older messages were not looked at"))


def of_address(visit: Visit, given: Conditions) -> Messages:
    """Raises `BadCriterion` for what may not stand in an address."""
    asked = asked_by_address(visit, given)
    _audited(visit, asked)
    return _found(visit, given, asked)


def asked_by_address(visit: Visit, given: Nameless) -> Asked:
    """Raises `BadCriterion` for what may not stand in an address, or can't be meant."""
    conditions = _plain(given)
    if not nameless(conditions):
        raise BadCriterion("SEARCH-POST", "", _BY_POST)
    return _searcher(visit).asked(conditions)


def of_body(visit: Visit, given: Told) -> Messages:
    return _found(visit, given, told(visit, given))


def told(visit: Visit, given: Told) -> Asked:
    """What a body asks for. Raises `BadCriterion`. A search for a patient stands in the audit, under the pseudonym."""
    asked = _searcher(visit).told(_plain(given))
    _audited(visit, asked)
    return asked


def _searcher(visit: Visit) -> Searcher:
    return Searcher(visit.tools.services, visit.tools.store, visit.person.id, visit.structures, visit.searches_patient)


def _audited(visit: Visit, asked: Asked) -> None:
    if patient := asked.given.get("patient", ""):
        visit.searches_patient(patient)


def _plain(given: Where) -> dict[str, str]:
    return {name: str(value) for name, value in given.model_dump(include={*OPTIONS}).items() if value}


def _found(visit: Visit, given: _Conditions, asked: Asked) -> Messages:
    after = Cursor.parse(given.after) if given.after else None
    found = visit.tools.services.journal.search(asked.criteria, given.per, after=after)
    rows = row_view.rows(found.events, visit.tools.services.value_sets)
    return Messages(
        messages=[message(row) for row in rows],
        patient=asked.given.get("patient", ""),
        next=str(found.next) if found.next else "",
        complete=found.complete,
        cut=found.cut,
    )


def leg(one: row_view.Leg) -> Leg:
    return Leg(
        sink=one.sink,
        to=one.to,
        to_patient=one.to_patient,
        status=one.status or "waiting",
        cause=one.cause,
        code=one.code,
        attempts=one.attempts,
    )


def message(row: row_view.Row) -> Message:
    event = row.event
    return Message(
        id=event.event_id,
        received=moment(event.received),
        control_id=event.control_id,
        feed=event.feed,
        sender=event.sender,
        structure=event.structure,
        type=event.document_type,
        type_label=row.type,
        code=event.code,
        legs=[leg(one) for one in row.legs],
    )


OPERATIONS: Final = (
    Operation(
        name="messages",
        path="/messages",
        does=N_("Messages that meet all conditions, newest first."),
        run=of_address,
        takes=Conditions,
        gives=Messages,
        scope=API_READ,
        serves=("GET /search",),
    ),
    Operation(
        name="searchMessages",
        path="/messages/search",
        method="POST",
        does=N_("The same for a patient or a name, which stand in no address. A search for a patient is audited."),
        run=of_body,
        takes=Told,
        gives=Messages,
        scope=API_READ,
        serves=("POST /search",),
    ),
)
