"""Tables to take away, as CSV or as one JSON value a line: without identities, each audited before it is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ADMINISTER, API_READ
from router.audit.event import Action
from router.audit.export import AUDIT, TRACES, written
from router.console import exporting
from router.console.api.operation import Free, Id, Input, Lines, Operation, Text
from router.console.api.operations.dead_letters import Filters
from router.console.api.operations.search import Told, told
from router.console.api.problems import Refused, Wrong
from router.console.free_text import named_person
from router.console.pages import audit as audit_page
from router.console.pages import dead_letters as dead_letters_page
from router.console.visit import Visit
from router.journal import periods
from router.journal.criteria import Cursor
from router.language import N_

Form = Literal["csv", "jsonl"]
_FORM: Final = N_("`csv`, or one JSON value a line")
_WHY: Final = N_("why, for the audit; names no patient")
_AFTER: Final = N_("what the header `Segur-Next` said")
_PER: Final = N_("how many at most")
_SINCE: Final = N_("as on the command line: `today`, `7d`, a date, a time")
Many = Annotated[int, Field(ge=1, le=exporting.MOST)]


class MessagesWanted(Told):
    per: Annotated[int, Field(ge=1, le=exporting.MOST_MESSAGES)] = Field(
        default=exporting.MOST_MESSAGES, description=_PER
    )
    format: Form = Field(default="csv", description=_FORM)
    reason: Free = Field(default="", description=_WHY)


class DeadLettersWanted(Filters):
    cause: Id | Literal[""] = Field(default="", description=N_("only those of this cause"))
    after: Text = Field(default="", description=_AFTER)
    per: Many = Field(default=exporting.MOST, description=_PER)
    format: Form = Field(default="csv", description=_FORM)
    reason: Free = Field(default="", description=_WHY)


class _Numbered(Input):
    since: Text = Field(default="", description=_SINCE)
    until: Text = ""
    after: Annotated[int, Field(ge=0, le=10**15)] = Field(default=0, description=_AFTER)
    per: Many = Field(default=exporting.MOST, description=_PER)
    format: Form = Field(default="csv", description=_FORM)
    reason: Free = Field(default="", description=_WHY)


class AuditWanted(_Numbered):
    who: Text = ""
    action: Action | Literal[""] = ""
    structure: Text = ""
    object: Text = Field(default="", description=N_("id of what it was done to"))
    refused: Literal["", "true"] = Field(default="", description=N_("only what was asked for and not granted"))


class TracesWanted(_Numbered):
    """Those of a period."""


def messages(visit: Visit, given: MessagesWanted) -> Lines:
    """One line for each leg. Raises `Refused` (422), `BadCriterion`, `Unavailable`."""
    _named(given.reason)
    after = Cursor.parse(given.after) if given.after else None
    found = exporting.messages(visit, told(visit, given), given.per, after, reason=given.reason)
    next_ = str(found.next) if found.next else ""
    return _lines(exporting.message_lines(visit, found), exporting.MESSAGES, given.format, next_)


def dead_letters(visit: Visit, given: DeadLettersWanted) -> Lines:
    """The newest first. Raises `Refused` (422), `Unavailable`."""
    _named(given.reason)
    which = dead_letters_page.asked(lambda name: str(getattr(given, name)), visit.structures, given.cause)
    found = visit.tools.desk.page(which, given.per, given.after)
    asked = urlencode({name: value for name in ("cause", *Filters.model_fields) if (value := getattr(given, name))})
    lines = exporting.dead_letter_lines(visit, found.rows, asked=asked, reason=given.reason)
    return _lines(lines, exporting.DEAD_LETTERS, given.format, found.next)


def audit(visit: Visit, given: AuditWanted) -> Lines:
    """The oldest first. Raises `Refused` (422), `BadCriterion`, `Unavailable`."""
    _named(given.reason)
    wanted = audit_page.wanted(visit, lambda name: str(getattr(given, name)))
    rows, next_ = exporting.audit_rows(
        visit, wanted, form=given.format, after=given.after, limit=given.per, reason=given.reason
    )
    return _lines(rows, AUDIT, given.format, next_)


def traces(visit: Visit, given: TracesWanted) -> Lines:
    """The oldest first. Raises `Refused` (422), `BadCriterion`, `Unavailable`."""
    _named(given.reason)
    first, end = periods.period(given.since, given.until, visit.tools.clock.now())
    period = (f"{name}={value}" for name in ("since", "until") if (value := getattr(given, name)))
    rows, next_ = exporting.traces(
        visit,
        first,
        end,
        after=given.after,
        limit=given.per,
        told=" ".join((f"format={given.format}", *period)),
        reason=given.reason,
    )
    return _lines(rows, TRACES, given.format, next_)


def _lines(rows: Iterable[exporting.Row], columns: Iterable[str], form: Form, next_: str) -> Lines:
    return Lines(text="".join(written(rows, columns, form)), format=form, next=next_)


def _named(reason: str) -> None:
    """Raises `Refused` (422) for a reason that may name a patient."""
    if fault := named_person(reason):
        raise Refused(422, "API-REASON", errors=[Wrong(pointer="/reason", detail=fault)])


OPERATIONS: Final = (
    Operation(
        name="exportMessages",
        path="/exports/messages",
        method="POST",
        does=N_("A table of the messages that meet all conditions, one line for each leg, the newest first."),
        run=messages,
        takes=MessagesWanted,
        gives=Lines,
        scope=API_READ,
        rate="10/minute",
        serves=("GET /search.csv",),
    ),
    Operation(
        name="exportDeadLetters",
        path="/exports/dead-letters",
        method="POST",
        does=N_("A table of dead letters, the newest first."),
        run=dead_letters,
        takes=DeadLettersWanted,
        gives=Lines,
        scope=API_READ,
        rate="10/minute",
    ),
    Operation(
        name="exportAudit",
        path="/exports/audit",
        method="POST",
        does=N_("A table of the rows of the audit, of the structures that one administers, the oldest first."),
        run=audit,
        takes=AuditWanted,
        gives=Lines,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="10/minute",
        serves=("POST /audit export",),
    ),
    Operation(
        name="exportTraces",
        path="/exports/traces",
        method="POST",
        does=N_("A table of the traces of exchanges, of the structures that one administers, the oldest first."),
        run=traces,
        takes=TracesWanted,
        gives=Lines,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="10/minute",
    ),
)
