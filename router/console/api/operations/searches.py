"""Saved searches: one's own, and those that colleagues of the same structures share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final
from urllib.parse import parse_qsl

from pydantic import Field, StringConstraints

from router.access.tokens import API_ACT, API_READ
from router.console.api.operation import Id, Input, Nothing, Operation, Output
from router.console.api.operations.search import Nameless, asked_by_address
from router.console.api.problems import Refused, Wrong
from router.console.free_text import named_person
from router.console.page import NotHere
from router.console.pages import search as page
from router.console.store import SavedSearch as Kept
from router.console.visit import Visit
from router.language import N_


class SearchToSave(Nameless):
    name: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,80}$", strip_whitespace=True)] = Field(
        description=N_("it names no patient; one's own search of this name is replaced")
    )
    shared: bool = Field(default=False, description=N_("colleagues of the same structures see it too"))


class OneSearch(Input):
    id: Id


class SavedSearch(Output):
    made: ClassVar[str] = "id"
    id: str
    name: str
    by: str
    shared: bool
    conditions: dict[str, str] = Field(description=N_("as `GET /api/messages` takes them"))


class SavedSearches(Output):
    searches: list[SavedSearch] = Field(description=N_("one's own first"))


def searches(visit: Visit, given: Nothing) -> SavedSearches:  # noqa: ARG001  (it takes nothing)
    return SavedSearches(searches=[_search(one) for one in page.saved(visit)])


def search(visit: Visit, given: OneSearch) -> SavedSearch:
    return _search(_one(visit, given.id))


def save(visit: Visit, given: SearchToSave) -> SavedSearch:
    """Raises `Refused` (422) for a name that may be a patient's, `BadCriterion`."""
    asked = asked_by_address(visit, given)
    if fault := named_person(given.name):
        raise Refused(422, "API-NOTE", errors=[Wrong(pointer="/name", detail=fault)])
    return _search(_one(visit, page.keep(visit, given.name, asked, shared=given.shared)))


def forget(visit: Visit, given: OneSearch) -> SavedSearch:
    """As it was. Raises `NotHere` for another person's."""
    found = _one(visit, given.id)
    page.forget(visit, given.id)
    return _search(found)


def _one(visit: Visit, id_: str) -> Kept:
    found = next((one for one in page.saved(visit) if one.id == id_), None)
    if found is None:
        raise NotHere
    return found


def _search(one: Kept) -> SavedSearch:
    conditions = dict(parse_qsl(one.query.removeprefix("?")))
    return SavedSearch(id=one.id, name=one.name, by=one.by, shared=one.shared, conditions=conditions)


OPERATIONS: Final = (
    Operation(
        name="searches",
        path="/searches",
        does=N_("Saved searches."),
        run=searches,
        takes=Nothing,
        gives=SavedSearches,
        scope=API_READ,
    ),
    Operation(
        name="saveSearch",
        path="/searches",
        method="POST",
        does=N_("Keep a search under a name."),
        run=save,
        takes=SearchToSave,
        gives=SavedSearch,
        status=201,
        scope=API_ACT,
        serves=("POST /searches",),
    ),
    Operation(
        name="search",
        path="/searches/{id}",
        does=N_("One saved search."),
        run=search,
        takes=OneSearch,
        gives=SavedSearch,
        scope=API_READ,
    ),
    Operation(
        name="forgetSearch",
        path="/searches/{id}/remove",
        method="POST",
        does=N_("Forget a saved search of one's own; for an administrator of all structures, anyone's."),
        run=forget,
        takes=OneSearch,
        gives=SavedSearch,
        scope=API_ACT,
        serves=("POST /searches/{id}/remove",),
    ),
)
