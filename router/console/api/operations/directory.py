"""Directory test: to which mailbox would this go, and why not the other? Nothing is sent."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ADMINISTER, API_READ
from router.audit.event import Action
from router.console.api.operation import Input, Nothing, Operation, Output, Text, moment
from router.console.api.problems import Refused, Wrong
from router.console.page import NotHere
from router.console.pages import directory as page
from router.console.searching import nameless
from router.console.visit import Visit
from router.console.words import names_seen
from router.directory import finding
from router.directory.addresses import domain_of
from router.directory.check import Checked
from router.directory.mailboxes import finess, rpps
from router.directory.resolve import PATIENT_DOMAIN
from router.language import N_, _, translated
from router.structures import FINESS

_WHO: Final = N_("an RPPS has 11 digits, a FINESS nine; an address is that of a professional or an organisation")


class Who(Input):
    recipient: Text = Field(description=N_("RPPS of a professional"))
    structure: Text = Field(default="", description=N_("FINESS of the place of practice"))


class Candidate(Output):
    address: str
    type: str
    structure: str
    chosen: bool
    refused: str = Field(description=N_("why it may not be used; empty when it may"))


class Source(Output):
    name: str
    fault: str
    candidates: list[Candidate]


class AppliedRule(Output):
    rule: str
    left: int = Field(description=N_("how many mailboxes it left"))


class Profession(Output):
    profession: str
    speciality: str


class Explained(Output):
    addresses: list[str]
    reason: str = Field(description=N_("why there is none"))
    sources: list[Source]
    rules: list[AppliedRule]
    professions: list[Profession]


class Word(Input):
    who: Text = Field(description=N_("RPPS, FINESS, or address of a professional or an organisation"))


class Named(Output):
    sources: list[Source] = Field(description=N_("each that the site configures, in their order"))


class Difference(Output):
    place: str = Field(description=N_("where in the site file"))
    kind: str
    text: str


class Comparison(Output):
    at: datetime | None
    compared: int | None = Field(description=N_("how many things were compared; null for who sees some of them only"))
    differences: list[Difference]


def explain(visit: Visit, given: Who) -> Explained:
    """Raises `Refused` (422), `Unavailable` while no source answers."""
    number, place, faults = page.asked_for(given.recipient, given.structure)
    if errors := [Wrong(pointer=f"/{name}", detail=text) for name, text in faults.items() if text]:
        raise Refused(422, "API-VALUES", errors=errors)
    found = page.explained(visit, number, place)
    return Explained(
        addresses=list(found.answer.addresses),
        reason=translated(found.answer.reason),
        sources=[_source(one) for one in found.sources],
        rules=[AppliedRule(rule=rule, left=left) for rule, left in found.rules],
        professions=[Profession(profession=one, speciality=skill) for one, skill in found.professions],
    )


def find(visit: Visit, given: Word) -> Named:
    """Raises `Refused` (422) for what is none of these, or a patient's mailbox."""
    if not _findable(given.who):
        raise Refused(422, "API-VALUES", errors=[Wrong(pointer="/who", detail=_(_WHO))])
    directory = visit.tools.services.directory
    visit.record(Action.SEARCHED, kind="directory", of=given.who)
    found = [page.source_of(directory, one, ()) for one in finding.named(directory, given.who)]
    return Named(sources=[_source(one) for one in found])


def _findable(who: str) -> bool:
    """The mailbox of a patient is an identity, which stands in no address."""
    if "@" in who:
        return nameless({"recipient": who}) and domain_of(who) != PATIENT_DOMAIN
    number = finess(who)
    return bool(rpps(who) or FINESS.fullmatch(number))


def last_check(visit: Visit, given: Nothing) -> Comparison:  # noqa: ARG001  (it takes nothing)
    """Raises `NotHere` before the first comparison."""
    found = visit.tools.services.directory.nightly.last()
    if found is None:
        raise NotHere
    return _comparison(visit, found)


def check(visit: Visit, given: Nothing) -> Comparison:  # noqa: ARG001  (it takes nothing)
    return _comparison(visit, visit.tools.services.directory.nightly.run())


def _comparison(visit: Visit, found: Checked) -> Comparison:
    """What concerns the structures that the person administers, and the sinks of them alone."""
    config, mine = visit.tools.services.config, visit.person.structures(Role.ADMINISTRATOR)
    seen = names_seen(config, mine)
    shown = [
        Difference(place=one.place, kind=one.kind, text=translated(one.text))
        for one in found.differences
        if mine is None or _theirs(one.place, mine, seen)
    ]
    return Comparison(at=moment(found.at), compared=found.compared if mine is None else None, differences=shown)


def _theirs(place: str, mine: frozenset[str], seen: set[str]) -> bool:
    """Of `structures.<FINESS>…` and `sinks.<name>.mailbox`; the site's own table is the whole site's."""
    what, _dot, rest = place.partition(".")
    if what == "structures":
        return rest.partition(".")[0] in mine
    return what == "sinks" and rest.removesuffix(".mailbox") in seen


def _source(one: page.Source) -> Source:
    candidates = [
        Candidate(
            address=each.box.address,
            type=each.box.type,
            structure=each.box.structure,
            chosen=each.chosen,
            refused=translated(each.refused),
        )
        for each in one.candidates
    ]
    return Source(name=one.name, fault=one.fault, candidates=candidates)


OPERATIONS: Final = (
    Operation(
        name="explainDirectory",
        path="/directory",
        does=N_("To which mailbox would it go, and why not to another? Nothing is sent."),
        run=explain,
        takes=Who,
        gives=Explained,
        scope=API_READ,
        rate="30/minute",
        serves=("GET /directory",),
    ),
    Operation(
        name="findMailboxes",
        path="/directory/mailboxes",
        does=N_("Every mailbox that each source names, and whether it may be used."),
        run=find,
        takes=Word,
        gives=Named,
        scope=API_READ,
        rate="30/minute",
    ),
    Operation(
        name="lastDirectoryCheck",
        path="/directory/check",
        does=N_("Where site file and annuaire differed at the last comparison."),
        run=last_check,
        takes=Nothing,
        gives=Comparison,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    ),
    Operation(
        name="checkDirectory",
        path="/directory/check",
        method="POST",
        does=N_("Compare mailboxes, labels and structures of the site file with annuaire and liste blanche now."),
        run=check,
        takes=Nothing,
        gives=Comparison,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="2/minute",
    ),
)
