"""The audit: who saw or did what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ADMINISTER
from router.audit.chain import AuditRow
from router.audit.event import Action
from router.audit.wording import verdict as in_words
from router.console.api.operation import Input, Nothing, Operation, Output, PerPage, Text
from router.console.pages import audit as page
from router.console.visit import Visit
from router.language import N_


class Asked(Input):
    who: Text = ""
    action: Action | Literal[""] = ""
    structure: Text = ""
    object: Text = Field(default="", description=N_("id of what it was done to"))
    refused: Literal["", "true"] = Field(default="", description=N_("only what was asked for and not granted"))
    since: Text = Field(default="", description=N_("as on the command line: `today`, `7d`, a date, a time"))
    until: Text = ""
    before: int | None = Field(default=None, ge=1, le=10**15, description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class Row(Output):
    number: int
    at: datetime
    who: str
    role: str
    action: str
    kind: str
    object: str
    structure: str
    reason: str
    source: str
    refused: bool
    detail: str
    mac: str = Field(description=N_("the link of the chain"))


class Rows(Output):
    rows: list[Row] = Field(description=N_("newest first"))
    next: int | None = Field(description=N_("give it as `before` for the next page; null on the last one"))


class AuditVerdict(Output):
    whole: bool
    sentence: str
    rows: int = Field(description=N_("how many were looked at"))
    head: int = Field(description=N_("number of the last row that is right"))
    mac: str = Field(description=N_("the link of the chain"))
    fault: str = Field(description=N_("what is wrong with the first row that is; empty when all are right"))
    at: int | None = Field(description=N_("number of that row"))
    anchored: bool = Field(description=N_("something outside of the table was there to compare the end with"))


def rows(visit: Visit, given: Asked) -> Rows:
    """Of the structures that the person administers. Raises `BadCriterion`, `Unavailable`."""
    wanted = page.wanted(visit, lambda name: str(getattr(given, name)))
    found = visit.tools.services.audit.search(wanted, before=given.before, limit=given.per + 1)
    shown = found[: given.per]
    return Rows(rows=[_row(one) for one in shown], next=shown[-1].number if len(found) > given.per else None)


def verify(visit: Visit, given: Nothing) -> AuditVerdict:  # noqa: ARG001  (it takes nothing)
    """Raises `NotAllowed` for who administers some structures only, `Unavailable`."""
    found = page.verified(visit)
    finding = found.finding
    return AuditVerdict(
        whole=found.whole,
        sentence=in_words(found),
        rows=found.rows,
        head=found.head.number,
        mac=found.head.mac,
        fault=str(finding.fault) if finding is not None else "",
        at=finding.number if finding is not None else None,
        anchored=found.anchored,
    )


def _row(one: AuditRow) -> Row:
    event = one.event
    return Row(
        number=one.number,
        at=datetime.fromtimestamp(event.at, UTC),
        who=event.who,
        role=event.role,
        action=str(event.action),
        kind=event.kind,
        object=event.object,
        structure=event.structure,
        reason=event.reason,
        source=event.source,
        refused=event.refused,
        detail=event.detail,
        mac=one.mac,
    )


OPERATIONS: Final = (
    Operation(
        name="audit",
        path="/audit",
        does=N_("Rows of the audit, of the structures that one administers."),
        run=rows,
        takes=Asked,
        gives=Rows,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        serves=("GET /audit",),
    ),
    Operation(
        name="verifyAudit",
        path="/audit/verify",
        method="POST",
        does=N_("Walk along the chain of all rows, and name the first that is not as it was written."),
        run=verify,
        takes=Nothing,
        gives=AuditVerdict,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="10/minute",
        serves=("POST /audit verify",),
    ),
)
