"""The audit: who saw or did what, and is the trail whole? Nobody changes it, administrators included."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from starlette.responses import Response

from router.access.person import Role
from router.audit import wording
from router.audit.event import Action
from router.audit.export import AUDIT, audit_line, written
from router.audit.rows import Wanted
from router.audit.verification import Verdict
from router.audit.wording import action as done
from router.audit.wording import verdict as in_words
from router.console import exporting
from router.console.page import Key, NotAllowed, Page
from router.console.visit import Visit
from router.journal import periods
from router.journal.criteria import BadCriterion
from router.language import N_, _, translated

ROWS: Final = 50
_FILTERS: Final = ("who", "action", "structure", "object", "refused", "since", "until")


def show(visit: Visit) -> Response:
    """Rows of the structures that this person administers, the newest first."""
    given = {name: visit.asked(name) for name in _FILTERS}
    try:
        wanted = _wanted(visit)
    except BadCriterion as fault:
        return _page(visit, given, fault=translated(fault.text))
    before = visit.asked("before")
    began = time.perf_counter()
    rows = visit.tools.services.audit.search(
        wanted, before=int(before) if before.isdecimal() and len(before) < 15 else None, limit=ROWS + 1
    )
    visit.took = time.perf_counter() - began
    return _page(
        visit,
        given,
        rows=[(row, done(row.event.action, row.event.kind), audit_line(row)) for row in rows[:ROWS]],
        more=rows[ROWS - 1] if rows[ROWS:] else None,
    )


def act(visit: Visit) -> Response:
    """Walk along the chain, or take a copy of the rows: that somebody did stands in the audit too."""
    if visit.field("do") == "verify":
        found = verified(visit)
        given = dict.fromkeys(_FILTERS, "")
        return _page(visit, given, verdict=in_words(found), whole=found.whole, head=str(found.head))
    return _export(visit)


def verified(visit: Visit) -> Verdict:
    """A walk along the whole chain. Raises `NotAllowed` for who administers some structures only, `Unavailable`."""
    if visit.person.structures(Role.ADMINISTRATOR) is not None:
        raise NotAllowed
    return visit.tools.services.audit.verify()


def _export(visit: Visit) -> Response:
    try:
        wanted = _wanted(visit, form=True)
    except BadCriterion as fault:
        return _page(visit, {name: visit.field(name) for name in _FILTERS}, fault=translated(fault.text))
    rows, _more = exporting.audit_rows(visit, wanted, form="csv")
    body = "".join(written(rows, AUDIT, "csv"))
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)


def _wanted(visit: Visit, *, form: bool = False) -> Wanted:
    """Raises `BadCriterion` for a period that is none."""
    return wanted(visit, visit.field if form else visit.asked)


def wanted(visit: Visit, text: Callable[[str], str]) -> Wanted:
    """What is asked by these names, of the structures that the person administers. Raises `BadCriterion`."""
    begin, end = periods.period(text("since"), text("until"), visit.tools.clock.now())
    action = next((one for one in Action if one == text("action")), None)
    mine = visit.person.structures(Role.ADMINISTRATOR)
    structure = text("structure")
    if structure:
        mine = frozenset({structure}) if mine is None or structure in mine else frozenset()
    return Wanted(
        who=text("who"),
        actions=(action,) if action else (),
        structures=None if mine is None else tuple(sorted(mine)),
        since=begin,
        until=end,
        object=text("object"),
        refused=True if text("refused") else None,
    )


def _page(visit: Visit, given: dict[str, str], *, fault: str = "", **values: Any) -> Response:
    known: dict[str, Any] = {"rows": (), "more": None, "verdict": "", "whole": True, "head": ""}
    return visit.page(
        "audit.html",
        status=422 if fault else 200,
        given=given,
        fault=fault,
        wording=wording,
        actions=[("", _("all")), *((one.value, done(one)) for one in Action)],
        everywhere=visit.person.structures(Role.ADMINISTRATOR) is None,
        **{**known, **values},
    )


PAGES: Final = (
    Page(
        name="audit",
        path="/audit",
        title=N_("Audit"),
        question=N_("Who saw or did what, and is the trail whole?"),
        menu=N_("Audit"),
        letter="a",
        rank=80,
        show=show,
        act=act,
        does=("verify", "export"),
        role=Role.ADMINISTRATOR,
        act_role=Role.ADMINISTRATOR,
        rate="120/minute",
        act_rate="10/minute",
        keys=(Key("f", N_("filters"), "#f-who"),),
    ),
)
