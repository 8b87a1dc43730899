"""What the maker of a token may now: a token may never more than who made it.

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


def end(db: Connection, maker: str) -> float:
    """When a token of this maker ends at the latest (Unix seconds): with the token that made it."""
    parent = sa.select(TOKEN.c.expires).where(TOKEN.c.id == maker.removeprefix(TOKEN_ID))
    found = db.execute(parent).scalar() if maker.startswith(TOKEN_ID) else None
    return float(found) if found is not None else math.inf
