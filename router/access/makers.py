"""Who made a token, and what that maker may now: a token may never more than who made it.

A token of the machine's command line stands alone: whoever gives commands there may everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access import rights as rights_of
from router.access.person import EVERY, Role
from router.access.tables import ACCOUNT, PROVIDED, TOKEN

MACHINE: Final = ""
"""Maker of the tokens of the command line."""
TOKEN_ID: Final = "token:"  # noqa: S105  (the beginning of an id)
ACCOUNT_OF_MACHINE: Final = "machine:"
"""Beginning of the id of an account of the machine, which gives commands; its name follows."""
EVERYTHING: Final[Mapping[str, Role]] = MappingProxyType({EVERY: Role.ADMINISTRATOR})


def may(db: Connection, maker: str, now: float) -> Mapping[str, Role] | None:
    """Rights that the maker has now. None for an account that is gone or locked, a token that is over or revoked.

    maker: `Person.id`;  now: Unix seconds. Of a person of the identity provider: the rights of her last login.
    """
    held = EVERYTHING
    while maker.startswith(TOKEN_ID):
        token = db.execute(sa.select(TOKEN).where(TOKEN.c.id == maker.removeprefix(TOKEN_ID))).first()
        if token is None or token.revoked or now >= token.expires:
            return None
        held, maker = rights_of.both(held, rights_of.read(token.rights)), token.maker
    if maker == MACHINE:
        return held
    usable = sa.select(ACCOUNT.c.rights).where((ACCOUNT.c.id == maker) & ~ACCOUNT.c.locked)
    provided = sa.select(PROVIDED.c.rights).where(PROVIDED.c.id == maker)
    found = db.execute(usable.union_all(provided)).first()
    return rights_of.both(held, rights_of.read(found.rights)) if found is not None else None


def of_machine(account: str) -> str:
    """The id of an account of the machine."""
    return f"{ACCOUNT_OF_MACHINE}{account}"


def hands(db: Connection, person: str) -> frozenset[str]:
    """All ids behind which one person stands: a token is whoever made it, also when it has ended.

    person: `Person.id`, "" for nobody. An account of the console is the account of the machine with its name too: one
    that is taken for the other asks a second person too often, never too seldom.
    """
    found = {person} if person else set()
    while person.startswith(TOKEN_ID):
        of = TOKEN.c
        token = db.execute(sa.select(of.maker, of.created_by).where(of.id == person.removeprefix(TOKEN_ID))).first()
        if token is None:
            break
        person = token.maker or of_machine(token.created_by)
        found.add(person)
    name = db.execute(sa.select(ACCOUNT.c.name).where(ACCOUNT.c.id == person)).scalar()
    return frozenset(found | {of_machine(name)} if name else found)


def end(db: Connection, maker: str) -> float:
    """When a token of this maker ends at the latest (Unix seconds): with the token that made it."""
    parent = sa.select(TOKEN.c.expires).where(TOKEN.c.id == maker.removeprefix(TOKEN_ID))
    found = db.execute(parent).scalar() if maker.startswith(TOKEN_ID) else None
    return float(found) if found is not None else math.inf
