"""Who stands behind an id that acted, and what it may do today: for rules that ask for two persons."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from router.access import makers
from router.access import rights as rights_of
from router.access.accounts import Accounts
from router.access.person import Person
from router.access.tables import SESSION
from router.access.tokens import Tokens
from router.contracts import Clock
from router.database import Database


class Behind:
    """Any thread. Each person is named by her `Person.id`. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock, accounts: Accounts, tokens: Tokens) -> None:
        self._database, self._clock, self._accounts, self._tokens = database, clock, accounts, tokens

    def same(self, one: str, other: str) -> bool:
        """Whether one person can act under both ids: a token is whoever made it, and so are two of one maker."""
        with self._database.read() as db:
            return not makers.hands(db, one).isdisjoint(makers.hands(db, other))

    def today(self, person: str) -> list[Person]:
        """Who acts under this id, with the rights of today: nobody when the account is gone or locked, or the token
        revoked or at its end. Somebody of the identity provider has the rights of her sessions of the last hours, until
        she logs out.
        """
        now = self._clock.now()
        if person.startswith(makers.TOKEN_ID):
            token = self._tokens.of(person.removeprefix(makers.TOKEN_ID))
            return [token.person] if token is not None and token.valid(now) else []
        account = self._accounts.of(person)
        if account is not None:
            return [] if account.locked else [account.person]
        return list(self._strangers(person, now)) if person else []

    def _strangers(self, person: str, now: float) -> Iterator[Person]:
        mine = (SESSION.c.person == person) & ~SESSION.c.local & (SESSION.c.ends > now)
        with self._database.read() as db:
            rows = db.execute(sa.select(SESSION).where(mine)).all()
        for row in rows:
            yield Person(id=row.person, name=row.name, shown=row.shown or row.name, rights=rights_of.read(row.rights))
