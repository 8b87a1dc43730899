"""Directory test: to which mailbox would this go, and why not the other? Nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from router.audit.event import Action
from router.console.page import Page
from router.console.visit import Visit
from router.directory.choice import RULES
from router.directory.directory import Directory
from router.directory.finding import Named
from router.directory.mailboxes import NAMES, Mailbox, finess, rpps
from router.directory.resolve import Asked, Found
from router.language import N_, _, filled, plural, translated

_FINESS: Final = 9


@dataclass(frozen=True, slots=True)
class Candidate:
    """refused: why this mailbox may not be used, "" when it may;  chosen: whether it would get the mail"""

    box: Mailbox
    refused: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What one source told. fault: why it could not answer, "" when it did"""

    name: str
    candidates: tuple[Candidate, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """rules: each that was applied, and how many mailboxes it left;  professions: (profession, speciality)"""

    answer: Found
    sources: tuple[Source, ...]
    rules: tuple[tuple[str, int], ...]
    professions: tuple[tuple[str, str], ...]


def show(visit: Visit) -> Response:
    """The form, and what the directory says of who was asked for."""
    who, structure = visit.asked("recipient"), visit.asked("structure")
    if not who:
        return _page(visit, {})
    number, place, faults = asked_for(who, structure)
    if any(faults.values()):
        return _page(visit, faults, status=422)
    told = explained(visit, number, place)
    return _page(
        visit,
        {},
        answer=told.answer,
        number=number,
        sources=told.sources,
        rules=[(rule, plural("{count} mailbox left", "{count} mailboxes left", left)) for rule, left in told.rules],
        professions=told.professions,
    )


def explained(visit: Visit, number: str, place: str) -> Explained:
    """What the directory says of a professional (RPPS, and FINESS of the place or ""). Raises `Unavailable`.

    It is audited before it is told.
    """
    began = time.perf_counter()
    directory = visit.tools.services.directory
    found, asked, chosen = directory.resolver().professional(number, place)
    known = directory.professions().known(number)
    visit.took = time.perf_counter() - began
    visit.record(Action.SEARCHED, kind="directory", of=number)
    return Explained(
        answer=found,
        sources=tuple(source_of(directory, one, found.addresses) for one in asked),
        rules=tuple((translated(RULES[rule]), left) for rule, left in (chosen.steps if chosen else ())),
        professions=tuple((one.label or one.code, one.skill_label or one.skill) for one in known.professions),
    )


def asked_for(who: str, structure: str) -> tuple[str, str, dict[str, str]]:
    """(RPPS, FINESS, what is wrong by field, "" where nothing is)"""
    number, place = rpps(who.removeprefix("rpps:")), finess(structure)
    faults = {
        "recipient": "" if number else _("an RPPS has 11 digits; an IDNPS 12, and begins with 8"),
        "structure": _place_fault(structure, place),
    }
    return number, place, faults


def _place_fault(written: str, known: str) -> str:
    if written and not (known and len(known) == _FINESS and known.isalnum()):
        return _("a structure is a FINESS number of nine characters")
    return ""


def source_of(directory: Directory, asked: Asked | Named, chosen: tuple[str, ...]) -> Source:
    """What one source told; chosen: the addresses that would get the mail"""
    own, fault = asked.source.name == "table", asked.fault
    found = (Candidate(box, directory.choice.judged(box, own=own), box.address in chosen) for box in asked.boxes)
    text = translated(filled("{code}: {text}", code=fault.code, text=fault.text)) if fault is not None else ""
    return Source(translated(NAMES[asked.source.name]), tuple(found), text)


def _lists(visit: Visit) -> list[tuple[str, float | None]]:
    """(list, since when this console has it: Unix seconds, None for not yet): the answers come from these."""
    directory, now = visit.tools.services.directory, visit.tools.clock.now()
    ages = [(_("Liste blanche"), directory.liste_blanche.age())]
    if directory.config.annuaire.extraction is not None:
        ages.append((_("Annuaire"), directory.annuaire.age(now)))
    return [(name, now - age if age is not None else None) for name, age in ages]


def _elsewhere(visit: Visit) -> list[tuple[str, float]]:
    """(machine, moment of its liste blanche) of the other machines that told it to the state page."""
    known = visit.tools.watch.known()
    found = [(one.machine, one.directory) for one in known.processes if one.at] if known is not None else []
    return [
        (machine, known.at - view.liste_blanche_age)
        for machine, view in found
        if known is not None and view is not None and view.liste_blanche_age is not None
    ]


def _page(visit: Visit, faults: Mapping[str, str], *, status: int = 200, **values: Any) -> Response:
    known: dict[str, Any] = {"answer": None, "number": "", "sources": (), "rules": (), "professions": ()}
    return visit.page(
        "directory.html",
        status=status,
        faults=faults,
        given={name: visit.asked(name) for name in ("recipient", "structure")},
        lists=_lists(visit),
        elsewhere=_elsewhere(visit),
        **{**known, **values},
    )


PAGES: Final = (
    Page(
        name="directory",
        path="/directory",
        title=N_("Directory test"),
        question=N_("To which mailbox would this go, and why not the other?"),
        menu=N_("Directory"),
        letter="i",
        rank=60,
        show=show,
        rate="30/minute",
    ),
)
