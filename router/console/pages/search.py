"""Search: did Dr X get it, where is the document of this morning? And the one box of every page."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.responses import Response

from router.access.person import Role
from router.console import called, exporting, row_view, searching
from router.console.free_text import named_person
from router.console.page import Key, NotHere, Page
from router.console.rendering import query_string
from router.console.searching import DEFAULT_PERIOD, OUTCOME_WORDS, PLAIN, TIMES, Asked, Searcher, Untold
from router.console.store import SavedSearch
from router.console.times import moment
from router.console.visit import Visit
from router.console.words import names_seen
from router.journal.criteria import BadCriterion, Cursor
from router.language import N_
from router.printable import printable_cell

PER: Final = (50, 200)
_COUNT_SECONDS: Final = 2.0


def search(visit: Visit) -> Response:
    """The messages that meet the conditions of the address, newest first."""
    try:
        asked = _asked(visit)
    except Untold as safe:
        return visit.see_other(safe.address)
    except BadCriterion as fault:
        return _form(visit, dict(visit.query), fault=searching.fault_of(fault))
    if "patient" in asked.given:
        visit.searches_patient(asked.given["patient"])
    began, journal = time.perf_counter(), visit.tools.services.journal
    per = PER[-1] if visit.asked("per") == str(PER[-1]) else PER[0]
    try:
        after = Cursor.parse(visit.asked("after")) if visit.asked("after") else None
        found = journal.search(asked.criteria, per, after=after)
        counts = journal.counts(asked.criteria, _COUNT_SECONDS)
    except BadCriterion as fault:
        return _form(visit, asked.given, fault=searching.fault_of(fault))
    visit.took = time.perf_counter() - began
    older = None
    limited = asked.criteria.since is not None or asked.criteria.until is not None
    if not found.events and after is None and limited:
        older = journal.counts(replace(asked.criteria, since=None, until=None), _COUNT_SECONDS)
    return _form(
        visit,
        asked.given,
        asked=asked,
        rows=row_view.rows(found.events, visit.tools.services.value_sets),
        found=found,
        counts=counts,
        next=asked.with_(after=str(found.next)) if found.next else "",
        older=older,
    )


def _asked(visit: Visit) -> Asked:
    return _searcher(visit).asked(dict(visit.query))


def _searcher(visit: Visit) -> Searcher:
    return Searcher(visit.tools.services, visit.tools.store, visit.person.id, visit.structures, visit.searches_patient)


def _form(
    visit: Visit, given: Mapping[str, str], *, fault: str = "", asked: Asked | None = None, **answer: Any
) -> Response:
    """The page with the conditions as they were given; `fault`: why they can't be meant."""
    config = visit.tools.services.config
    seen = names_seen(config, visit.structures)
    values = {name: given.get(name, "") for name in (*PLAIN, *TIMES)}
    return visit.page(
        "search.html",
        status=400 if fault else 200,
        fault=fault,
        asked=asked,
        values={**values, "recipient": asked.name if asked is not None and asked.name else values["recipient"]},
        given=given,
        outcomes=OUTCOME_WORDS,
        feeds=sorted(seen & {*config.feeds}),
        sinks=sorted(seen & {*config.sinks}),
        default_period=DEFAULT_PERIOD,
        saved=saved(visit),
        administrator=visit.may(Role.ADMINISTRATOR),
        **{"rows": (), "found": None, "counts": None, "next": "", "older": None, **answer},
    )


def find(visit: Visit) -> Response:
    """What was typed, in the box or in the fields, becomes an address that names nobody."""
    searcher, words = _searcher(visit), visit.field("words")
    if words and (event_id := _one_message(visit, words)):
        return visit.see_other(f"/messages/{event_id}")
    given = {name: visit.field(name) for name in (*PLAIN, *TIMES, "patient", "q") if visit.field(name)}
    try:
        asked = searcher.asked(searcher.understood(words) if words else given)
    except Untold as safe:
        return visit.see_other(safe.address)
    except BadCriterion as fault:
        return _form(visit, given, fault=searching.fault_of(fault))
    return visit.see_other(asked.address)


def _one_message(visit: Visit, words: str) -> str:
    """The newest message that these words identify, of those that the person may see; "" for none."""
    stories = called.called(visit, words, 1)
    return stories[0].event.event_id if stories else ""


def save(visit: Visit) -> Response:
    """Keep this search under a name, for oneself or for everyone."""
    given = {name: visit.field(name) for name in (*PLAIN, *TIMES, "patient") if visit.field(name)}
    name, shared = visit.field("name")[:80], bool(visit.field("shared"))
    try:
        asked = _searcher(visit).asked(given)
    except Untold as safe:
        return visit.see_other(safe.address)
    except BadCriterion as fault:
        return _form(visit, given, fault=searching.fault_of(fault))
    if fault_of_name := named_person(name):
        return _form(visit, given, fault=fault_of_name)
    if name:
        keep(visit, name, asked, shared=shared)
    return visit.see_other(asked.address)


def keep(visit: Visit, name: str, asked: Asked, *, shared: bool) -> str:
    """Keep this search of this person under a name that names no patient; one with this name is replaced. Its id."""
    store, me, query = visit.tools.store, visit.person, query_string(asked.given)
    return store.save(me.id, name, query, visit.structures, by=me.name, shared=shared)


def saved(visit: Visit) -> list[SavedSearch]:
    """One's own, and the shared ones that name nothing of another structure."""
    within, seen = visit.structures, names_seen(visit.tools.services.config, visit.structures)
    found = visit.tools.store.searches(visit.person.id, within)
    if within is None:
        return list(found)

    def mine(one: SavedSearch) -> bool:
        said = dict(parse_qsl(one.query.removeprefix("?")))
        names = {said[name] for name in ("feed", "sink") if name in said}
        return names <= seen and said.get("structure", "") in ("", *within)

    return [one for one in found if one.person == visit.person.id or (mine(one) and "pipeline=" not in one.query)]


def remove(visit: Visit) -> Response:
    """Forget a saved search."""
    forget(visit, visit.path["id"])
    return visit.see_other("/search")


def forget(visit: Visit, id_: str) -> None:
    """A saved search of one's own; for an administrator of all structures, anyone's. Raises `NotHere`."""
    anyone = visit.person.structures(Role.ADMINISTRATOR) is None
    if not visit.tools.store.remove(id_, None if anyone else visit.person.id):
        raise NotHere


def export(visit: Visit) -> Response:
    """The rows of a search as a table for a spreadsheet, without identities. Audited."""
    try:
        asked = _asked(visit)
    except (Untold, BadCriterion) as fault:
        raise NotHere from fault
    found = exporting.messages(visit, asked, exporting.MOST_MESSAGES)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(exporting.MESSAGES)
    for line in exporting.message_lines(visit, found, moment):
        writer.writerow([printable_cell(str(line[name])) for name in exporting.MESSAGES])
    headers = {"Content-Disposition": 'attachment; filename="messages.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


_NAME: Final = N_("Search")
PAGES: Final = (
    Page(
        name="search",
        path="/search",
        title=_NAME,
        question=N_("Did the doctor get it? Where is the document of this morning?"),
        menu=_NAME,
        letter="r",
        rank=20,
        show=search,
        act=find,
        rate="120/minute",
        act_rate="120/minute",
        keys=(
            Key("j", N_("next row")),
            Key("k", N_("previous row")),
            Key("Enter", N_("open the row")),
            Key("f", N_("conditions"), "#conditions"),
            Key("s", N_("save this search"), "#save"),
            Key("y", N_("copy the address of this page")),
        ),
    ),
    Page(name="export", path="/search.csv", title=N_("Export"), show=export, rate="10/minute"),
    Page(name="searches", path="/searches", title=N_("Saved searches"), act=save),
    Page(name="searches-remove", path="/searches/{id}/remove", title=N_("Saved searches"), act=remove),
)
