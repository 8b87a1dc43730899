"""Directory test: to which mailbox would this go, and why not the other? Nothing is sent."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from router.access.tokens import API_READ
from router.console.api.operation import Input, Operation, Output, Text
from router.console.api.problems import Refused, Wrong
from router.console.pages import directory as page
from router.console.visit import Visit
from router.language import N_, translated


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
)
