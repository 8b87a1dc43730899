"""Withdrawals: a document taken out of the DMP under the INS of its deposit (decisions D1), where one administers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from router.access.person import EVERY, Role
from router.access.tokens import API_ADMINISTER
from router.audit.event import Action
from router.console.api.operation import Free, Id, Input, Operation, Output, moment
from router.console.api.problems import Refused, Wrong
from router.console.free_text import named_person
from router.console.visit import Visit
from router.console.worklists import shown
from router.contracts import Row
from router.errors import Refused as NotPossible
from router.language import N_, _, translated
from router.runtime.withdraw import PIPELINE, Withdrawal

DocumentId = Annotated[str, StringConstraints(pattern=r"^(urn:oid:)?[0-9][0-9.]{0,126}(\^[A-Za-z0-9._-]{1,64})?$")]
_UNKNOWN: Final = "WITHDRAW-UNKNOWN"
_NO_DEPOSIT: Final = N_("no deposit of this document is known; `segur-router withdraw --from` takes a copy")
_CHANGED: Final = N_("this is not what would be sent today: plan it again")
_REASON: Final = N_("a reason is needed")


class DocumentAsked(Input):
    document: DocumentId = Field(description=N_("id of the document (OID), as its message tells it"))


class WithdrawalOrdered(DocumentAsked):
    delivery: Id = Field(description=N_("id that the plan told: of anything else nothing is sent"))
    reason: Free = Field(description=N_("why; it is journalled and audited; names no patient"), min_length=1)


class HadIt(Output):
    to: str = Field(description=N_("address of a professional; in words for the mailbox of a patient"))
    at: datetime | None
    message_id: str
    certain: bool = Field(description=N_("false while nobody knows whether the mail arrived"))


class PlannedWithdrawal(Output):
    delivery: str = Field(description=N_("stable: ordered twice, it is one delivery"))
    message: str = Field(description=N_("id of the message under which its story stands, once it is ordered"))
    control_id: str = Field(description="MSH-10")
    structure: str
    sink: str
    deposited: datetime | None = Field(description=N_("null while the deposit has not been made"))
    had_it: list[HadIt] = Field(description=N_("who had it by mail: these can't be taken back"))


class OrderedWithdrawal(Output):
    delivery: str
    message: str = Field(description=N_("id of the message under which its story stands"))
    structure: str
    sink: str
    state: str = Field(description=N_("of the delivery; empty until a worker has read the order"))
    code: str


def plan(visit: Visit, given: DocumentAsked) -> PlannedWithdrawal:
    """Nothing is sent. Raises `Refused` (404, 409), `NotAllowed`, `Unavailable`."""
    with visit.tools.desk.withdrawals() as withdrawals, _told():
        planned = withdrawals.plan(_bare(given.document), within=visit.structures)
    visit.demand(Role.ADMINISTRATOR, planned.delivery.structure or EVERY)
    return _planned(planned)


def order(visit: Visit, given: WithdrawalOrdered) -> OrderedWithdrawal:
    """Once: what was ordered is told as it is. Raises `Refused` (404, 409, 422), `NotAllowed`, `Unavailable`."""
    if (row := visit.tools.desk.rows([given.delivery]).get(given.delivery)) is not None:
        return _known(visit, row)
    if fault := named_person(given.reason) or ("" if given.reason.strip() else _(_REASON)):
        raise Refused(422, "API-REASON", errors=[Wrong(pointer="/reason", detail=fault)])
    document = _bare(given.document)
    with visit.tools.desk.withdrawals() as withdrawals, _told():
        planned = withdrawals.plan(document, within=visit.structures)
        delivery = planned.delivery
        visit.demand(Role.ADMINISTRATOR, delivery.structure or EVERY)
        if delivery.id != given.delivery:
            raise Refused(409, "API-STALE", _CHANGED)
        visit.record(
            Action.WITHDRAWN,
            kind="document",
            of=document,
            structure=delivery.structure,
            reason=given.reason,
            detail=f"delivery={delivery.id}",
        )
        name = f"console-withdraw-{os.getpid()}"
        withdrawals.order(planned, by=visit.person.name, reason=given.reason, producer_name=name)
    return OrderedWithdrawal(
        delivery=delivery.id, message=delivery.event_id, structure=delivery.structure, sink=delivery.sink,
        state="", code="",
    )  # fmt: skip


def _known(visit: Visit, row: Row) -> OrderedWithdrawal:
    """Raises `Refused` (404) for a delivery that is no withdrawal, or another structure's; `NotAllowed`."""
    one = row.delivery
    if one.pipeline != PIPELINE or not visit.may(Role.READER, one.structure or EVERY):
        raise Refused(404, _UNKNOWN, _NO_DEPOSIT)
    visit.demand(Role.ADMINISTRATOR, one.structure or EVERY)
    return OrderedWithdrawal(
        delivery=one.id, message=one.event_id, structure=one.structure, sink=one.sink, state=row.state, code=row.code
    )


@contextmanager
def _told() -> Iterator[None]:
    """Why it can't be withdrawn, as a problem."""
    try:
        yield
    except NotPossible as fault:
        if fault.code == _UNKNOWN:
            raise Refused(404, _UNKNOWN, _NO_DEPOSIT) from None
        raise Refused(409, fault.code, translated(fault.text)) from None


def _bare(document: str) -> str:
    return document.removeprefix("urn:oid:")


def _planned(planned: Withdrawal) -> PlannedWithdrawal:
    delivery, deposit = planned.delivery, planned.deposit
    made = deposit is not None and bool(deposit.evidence.get("submission_set"))
    return PlannedWithdrawal(
        delivery=delivery.id,
        message=delivery.event_id,
        control_id=planned.order.request.control_id,
        structure=delivery.structure,
        sink=delivery.sink,
        deposited=moment(deposit.updated) if deposit is not None and made else None,
        had_it=[
            HadIt(to=shown(one.label), at=moment(one.at), message_id=one.message_id, certain=one.certain)
            for one in planned.received
        ],
    )


OPERATIONS: Final = (
    Operation(
        name="planWithdrawal",
        path="/withdrawals/plan",
        method="POST",
        does=N_("What a withdrawal from the DMP would send, and who had the document by mail. Nothing is sent."),
        run=plan,
        takes=DocumentAsked,
        gives=PlannedWithdrawal,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="30/minute",
        conflicts=True,
    ),
    Operation(
        name="withdraw",
        path="/withdrawals",
        method="POST",
        does=N_("Take a document out of the DMP, as it was planned. A second time it tells what became of the first."),
        run=order,
        takes=WithdrawalOrdered,
        gives=OrderedWithdrawal,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="10/minute",
        conflicts=True,
    ),
)
