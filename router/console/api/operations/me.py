"""Who asks, and what she or it may do."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from router.access.tokens import API_READ
from router.console.api.operation import Nothing, Operation, Output, moment
from router.console.api.operations.accounts import RIGHTS
from router.console.visit import Visit
from router.language import N_


class OpenSession(Output):
    source: str = Field(description=N_("address of the network"))
    begun: datetime | None
    seen: datetime | None
    ends: datetime | None


class Me(Output):
    name: str
    shown: str
    rights: dict[str, str] = Field(description=RIGHTS)
    scopes: list[str] | None = Field(description=N_("of a token; null for a person, who is bound by the role alone"))
    sessions: list[OpenSession] = Field(description=N_("where a person is logged in"))


def me(visit: Visit, given: Nothing) -> Me:  # noqa: ARG001  (it takes nothing)
    person = visit.person
    sessions = visit.tools.access.sessions.of(person.id) if visit.program is None else []
    return Me(
        name=person.name,
        shown=person.shown,
        rights={finess: role.name.lower() for finess, role in person.rights.items()},
        scopes=None if person.scopes is None else sorted(person.scopes),
        sessions=[
            OpenSession(source=one.source, begun=moment(one.begun), seen=moment(one.seen), ends=moment(one.ends))
            for one in sessions
        ],
    )


OPERATIONS: Final = (
    Operation(
        name="me",
        path="/me",
        does=N_("Who asks, with which rights and scopes."),
        run=me,
        takes=Nothing,
        gives=Me,
        scope=API_READ,
        serves=("GET /account",),
    ),
)
