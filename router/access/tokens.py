"""Tokens of programs: shown once when they are made, kept as digests, never without an end."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access import makers
from router.access import rights as rights_of
from router.access.person import Person, Role
from router.access.tables import TOKEN
from router.access.written import written
from router.contracts import Clock
from router.database import Database
from router.errors import OperatorFault
from router.language import N_, T_, filled

FEED_SEND: Final = "feed:send"
API_READ: Final = "api:read"
API_CONTENT: Final = "api:content"
API_ACT: Final = "api:act"
API_ADMINISTER: Final = "api:administer"
SCOPES: Final[Mapping[str, str]] = {
    FEED_SEND: N_("send messages by HTTP to the feeds that the token names"),
    API_READ: N_("read states, searches and messages without identities"),
    API_CONTENT: N_("see content and identities, with a reason, which is audited"),
    API_ACT: N_("replay, discard, note, decide"),
    API_ADMINISTER: N_("withdraw, manage accounts and tokens, read the audit"),
}
LONGEST: Final = 2 * 366 * 86400.0
"""Seconds between the making of a token and its end, at most."""
PREFIX: Final = "sgr_"
_FORM: Final = re.compile(PREFIX + r"[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
_USED: Final = 60.0
"""Seconds between two writes of when a token was last used."""

SCOPE: Final = T_("no scope is named {what}; there are: {texts}")
NO_FEED: Final = N_("a token that sends messages names the feeds it may send to")
EXPIRY: Final = T_("a token ends, {days} days from now at the latest")
UNKNOWN: Final = T_("no token in use has the id {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """id: stands in the token too, behind `sgr_`;  feeds: to which it may send;  times: Unix seconds, 0 for never
    rights, feeds: as they were given;  within: FINESS of the feeds then, `*` for all, none for a token of the machine
    maker_may: rights that its maker has now, see `makers`; None for one who is gone or locked: then it is over
    """

    id: str
    name: str
    scopes: frozenset[str]
    rights: Mapping[str, Role] = field(default_factory=dict)
    feeds: frozenset[str]
    created: float
    created_by: str
    maker: str = makers.MACHINE
    maker_may: Mapping[str, Role] | None = field(default_factory=lambda: makers.EVERYTHING)
    within: frozenset[str] = frozenset()
    expires: float
    revoked: float
    last_used: float

    def valid(self, now: float) -> bool:
        return not self.revoked and now < self.expires and self.maker_may is not None

    @property
    def sends_to(self) -> frozenset[str]:
        """Its feeds, while its maker is an administrator of all their structures."""
        maker = Person(name="", rights=self.maker_may or {})
        return self.feeds if all(maker.may(Role.ADMINISTRATOR, one) for one in self.within) else frozenset()

    @property
    def person(self) -> Person:
        """What it stands for: it may what it was given, and no more than its maker may now."""
        return Person(
            id=f"{makers.TOKEN_ID}{self.id}",
            name=f"token:{self.name}:{self.id}",
            shown=self.name,
            rights=rights_of.both(self.rights, self.maker_may or {}),
            scopes=self.scopes,
        )


class Tokens:
    """Any thread; each call is one transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def create(
        self,
        name: str,
        *,
        scopes: Collection[str],
        expires: float,
        by: str,
        rights: Mapping[str, Role] | None = None,
        feeds: Collection[str] = (),
        maker: str = makers.MACHINE,
        within: Collection[str] = (),
    ) -> tuple[str, Token]:
        """(the token's text, which is shown once; what is kept of it). Raises like `check`.

        expires: Unix seconds; one that a token makes ends no later than that one;  by: name of who makes it, as shown
        maker: `Person.id` of who makes it;  within: FINESS of the feeds
        """
        self.check(name, scopes=scopes, expires=expires, feeds=feeds)
        identifier, now = secrets.token_hex(4), self._clock.now()
        text = f"{PREFIX}{identifier}_{secrets.token_urlsafe(32)}"
        values = {
            "id": identifier,
            "digest": digest(text),
            "name": rights_of.checked_name(name),
            "scopes": json.dumps(sorted(scopes)),
            "rights": rights_of.stored(rights or {}),
            "feeds": json.dumps(sorted(feeds)),
            "created": now,
            "created_by": by[:120],
            "maker": maker,
            "within": json.dumps(sorted(within)),
        }

        def insert(db: Connection) -> None:
            db.execute(TOKEN.insert().values(**values, expires=min(expires, makers.end(db, maker))))

        written(self._database, insert)
        return text, next(token for token in self.all() if token.id == identifier)

    def check(self, name: str, *, scopes: Collection[str], expires: float, feeds: Collection[str] = ()) -> None:
        """Raises `OperatorFault`: `ACCESS-NAME`, `ACCESS-SCOPE`, `ACCESS-FEED`, `ACCESS-EXPIRY`."""
        now = self._clock.now()
        rights_of.checked_name(name)
        for scope in scopes:
            if scope not in SCOPES:
                raise OperatorFault("ACCESS-SCOPE", "", filled(SCOPE, what=repr(scope[:40]), texts=", ".join(SCOPES)))
        if FEED_SEND in scopes and not feeds:
            raise OperatorFault("ACCESS-FEED", "", NO_FEED)
        if not now < expires <= now + LONGEST:
            raise OperatorFault("ACCESS-EXPIRY", "", filled(EXPIRY, days=int(LONGEST / 86400)))

    def find(self, text: str) -> Token | None:
        """The token, when it is one of ours, in use and not at its end."""
        if not _FORM.fullmatch(text):
            return None
        now = self._clock.now()
        with self._database.read() as db:
            found = _tokens(db, TOKEN.c.digest == digest(text), now)
        if not found or not (token := found[0]).valid(now):
            return None
        if now - token.last_used >= _USED:
            self.used([token.id])
        return token

    def all(self) -> list[Token]:
        """Every token, those at their end and revoked ones too, by name."""
        with self._database.read() as db:
            found = _tokens(db, sa.true(), self._clock.now())
        return sorted(found, key=lambda one: (one.name, one.created))

    def of(self, identifier: str) -> Token | None:
        """The token of this id, also one that was revoked or is at its end; None for none."""
        with self._database.read() as db:
            return next(iter(_tokens(db, TOKEN.c.id == identifier, self._clock.now())), None)

    def senders(self) -> dict[str, Token]:
        """Digest -> token, of those in use that may send to a feed: what the HTTP port keeps for some seconds."""
        now = self._clock.now()
        with self._database.read() as db:
            alive = (TOKEN.c.revoked == 0.0) & (TOKEN.c.expires > now)
            digests = {row.id: row.digest for row in db.execute(sa.select(TOKEN.c.id, TOKEN.c.digest).where(alive))}
            found = _tokens(db, alive, now)
        senders = (token for token in found if FEED_SEND in token.scopes and token.valid(now))
        return {digests[token.id]: token for token in senders}

    def used(self, ids: Collection[str]) -> None:
        """Note that these tokens are in use now."""
        if ids:
            statement = TOKEN.update().where(TOKEN.c.id.in_(ids)).values(last_used=self._clock.now())
            written(self._database, lambda db: db.execute(statement))

    def revoke(self, identifier: str) -> Token:
        """End a token now. Raises `OperatorFault` (`ACCESS-TOKEN`) when none in use has this id."""
        now = self._clock.now()

        def revoke(db: Connection) -> Token:
            alive = (TOKEN.c.id == identifier) & (TOKEN.c.revoked == 0.0)
            if db.execute(TOKEN.update().where(alive).values(revoked=now)).rowcount != 1:
                raise OperatorFault("ACCESS-TOKEN", "", filled(UNKNOWN, what=repr(identifier[:40])))
            return _tokens(db, TOKEN.c.id == identifier, now)[0]

        return written(self._database, revoke)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _tokens(db: Connection, which: sa.ColumnElement[bool], now: float) -> list[Token]:
    """With what their makers may now."""
    rows = db.execute(sa.select(TOKEN).where(which)).all()
    may = {maker: makers.may(db, maker, now) for maker in {row.maker for row in rows}}
    return [_token(row, may[row.maker]) for row in rows]


def _token(row: Any, maker_may: Mapping[str, Role] | None) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        scopes=frozenset(json.loads(row.scopes)),
        rights=rights_of.read(row.rights),
        feeds=frozenset(json.loads(row.feeds)),
        created=row.created,
        created_by=row.created_by,
        maker=row.maker,
        maker_may=maker_may,
        within=frozenset(json.loads(row.within)),
        expires=row.expires,
        revoked=row.revoked,
        last_used=row.last_used,
    )
