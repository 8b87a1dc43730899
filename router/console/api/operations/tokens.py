"""Tokens of programs: shown once when they are made, never without an end. Of the structures that one administers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from router.access import rights as rights_of
from router.access.person import Role
from router.access.rights import checked_name
from router.access.tokens import API_ADMINISTER, LONGEST
from router.access.tokens import Token as Kept
from router.audit.event import Action
from router.console import managing
from router.console.api.operation import Id, Input, Operation, Output, PerPage, Text, moment
from router.console.api.operations.accounts import RIGHTS, AccountName, RoleName, Structure
from router.console.visit import Visit
from router.language import N_
from router.runtime import grants

Scope = Literal["feed:send", "api:read", "api:content", "api:act", "api:administer"]
FeedName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
_DAY: Final = 86400.0


class TokensWanted(Input):
    all: Literal["", "true"] = Field(default="", description=N_("also those that are revoked or at their end"))
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class OneToken(Input):
    id: Id


class NewToken(Input):
    name: AccountName = Field(description=N_("what it is for, as the audit will name it"))
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)] = Field(
        description=N_("what it may ask for: of the scopes of the API, those alone that its maker has")
    )
    rights: dict[Structure, RoleName] = Field(default={}, description=RIGHTS)
    feeds: Annotated[list[FeedName], Field(max_length=100)] = Field(
        default=[], description=N_("to which it may send messages by HTTP")
    )
    days: Annotated[int, Field(ge=1, le=int(LONGEST / _DAY))] = Field(default=365, description=N_("how long it lives"))


class Token(Output):
    id: str = Field(description=N_("stable: it stands in the token too"))
    name: str
    scopes: list[str]
    rights: dict[str, str] = Field(description=RIGHTS)
    feeds: list[str]
    created: datetime | None
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


class MadeToken(Output):
    made: ClassVar[str] = "id"
    id: str
    token: str = Field(description=N_("keep it now: it is never shown again"))
    kept: Token = Field(description=N_("what is kept of it"))


class Tokens(Output):
    tokens: list[Token] = Field(description=N_("by name"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))


def tokens(visit: Visit, given: TokensWanted) -> Tokens:
    """Those that give nothing outside of the structures that the person administers."""
    now = visit.tools.clock.now()
    found = sorted(managing.tokens(visit), key=_place)
    found = [one for one in found if (given.all or one.valid(now)) and _place(one) > given.after]
    rows = found[: given.per]
    return Tokens(tokens=[_token(one) for one in rows], next=_place(rows[-1]) if len(found) > given.per else "")


def token(visit: Visit, given: OneToken) -> Token:
    return _token(managing.token(visit, given.id))


def create(visit: Visit, given: NewToken) -> MadeToken:
    """Each call makes one. Raises `OperatorFault` (422), `NotAllowed`, `Unavailable`."""
    store, site = visit.tools.access.tokens, managing.known(visit)
    name, held = checked_name(given.name), rights_of.rights(given.rights.items())
    managing.may_give(visit, held, given.scopes, given.feeds)  # first: who may not give it learns nothing of it
    grants.possible(site, held)
    grants.usable(site, given.scopes, given.feeds, held)
    ends = visit.tools.clock.now() + given.days * _DAY
    store.check(name, scopes=given.scopes, expires=ends, feeds=given.feeds)
    told = " ".join(("create", *given.scopes, *given.feeds, managing.told(held)))
    within = managing.structures_of(visit, given.feeds)
    managing.note(visit, Action.TOKEN, name, {*held, *within}, told)
    text, kept = store.create(
        name,
        scopes=given.scopes,
        expires=ends,
        by=visit.person.name,
        rights=held,
        feeds=given.feeds,
        maker=visit.person.id,
        within=within,
    )
    return MadeToken(id=kept.id, token=text, kept=_token(kept))


def revoke(visit: Visit, given: OneToken) -> Token:
    """One that is revoked already is told as it is."""
    found = managing.token(visit, given.id)
    if found.revoked:
        return _token(found)
    structures = {*found.rights, *managing.structures_of(visit, found.feeds)}
    managing.note(visit, Action.TOKEN, found.name, structures, f"revoke {found.id}")
    return _token(visit.tools.access.tokens.revoke(found.id))


def _place(one: Kept) -> str:
    return f"{one.name} {one.id}"


def _token(one: Kept) -> Token:
    return Token(
        id=one.id,
        name=one.name,
        scopes=sorted(one.scopes),
        rights={finess: role.name.lower() for finess, role in one.rights.items()},
        feeds=sorted(one.feeds),
        created=moment(one.created),
        created_by=one.created_by,
        expires=moment(one.expires),
        revoked=moment(one.revoked),
        last_used=moment(one.last_used),
    )


OPERATIONS: Final = (
    Operation(
        name="tokens",
        path="/tokens",
        does=N_("Tokens in use, of the structures that one administers."),
        run=tokens,
        takes=TokensWanted,
        gives=Tokens,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    ),
    Operation(
        name="createToken",
        path="/tokens",
        method="POST",
        does=N_("Make a token, which is shown once. It may do nothing that its maker may not."),
        run=create,
        takes=NewToken,
        gives=MadeToken,
        status=201,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
        rate="30/minute",
    ),
    Operation(
        name="token",
        path="/tokens/{id}",
        does=N_("One token: what it may, until when, when it was last used."),
        run=token,
        takes=OneToken,
        gives=Token,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    ),
    Operation(
        name="revokeToken",
        path="/tokens/{id}/revoke",
        method="POST",
        does=N_("End a token now. Messages by HTTP are refused with it some seconds later at most."),
        run=revoke,
        takes=OneToken,
        gives=Token,
        scope=API_ADMINISTER,
        role=Role.ADMINISTRATOR,
    ),
)
