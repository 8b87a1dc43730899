"""Who stands behind a name that acted, and what that name may do today: for rules that ask for two persons."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlalchemy as sa

from router.access import rights as rights_of
from router.access.accounts import Accounts
from router.access.person import Person
from router.access.tables import SESSION
from router.access.tokens import Token, Tokens
from router.contracts import Clock
from router.database import Database


class Behind:
    """Any thread. Raises `Unavailable` while the database is away."""

    def __init__(self, database: Database, clock: Clock, accounts: Accounts, tokens: Tokens) -> None:
        self._database, self._clock, self._accounts, self._tokens = database, clock, accounts, tokens

    def makers(self, name: str) -> frozenset[str]:
        """The name; of a token, who made it too, and who made that one. A token that has ended counts as well."""
        return _makers(name, self._tokens.all())

    def same(self, one: str, other: str) -> bool:
        """Whether one person can act under both names: a token is whoever made it, and so are two of one maker."""
        tokens = self._tokens.all()
        return not _makers(one, tokens).isdisjoint(_makers(other, tokens))

    def today(self, name: str) -> list[Person]:
        """Who acts under this name, with the rights of today: nobody when the account is gone or locked, or the token
        revoked or at its end. Somebody of the identity provider has the rights of her sessions of the last hours, until
        she logs out.
        """
        tokens, now = [one for one in self._tokens.all() if one.person.name == name], self._clock.now()
        if tokens:
            return [one.person for one in tokens if one.valid(now)]
        account = self._accounts.find(name)
        if account is not None:
            return [] if account.locked else [account.person]
        return list(self._strangers(name, now))

    def _strangers(self, name: str, now: float) -> Iterator[Person]:
        mine = (SESSION.c.name == name) & ~SESSION.c.local & (SESSION.c.ends > now)
        with self._database.read() as db:
            rows = db.execute(sa.select(SESSION).where(mine)).all()
        for row in rows:
            yield Person(name=row.name, shown=row.shown or row.name, rights=rights_of.read(row.rights))


def _makers(name: str, tokens: Collection[Token]) -> frozenset[str]:
    found, left = {name}, [name]
    while left:
        one = left.pop()
        new = {token.created_by for token in tokens if token.person.name == one} - found
        found |= new
        left += new
    return frozenset(found)
