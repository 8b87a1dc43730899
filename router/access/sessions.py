"""Sessions of people in a browser, kept on the server. The cookie holds a random value, the table its digest."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access import rights as rights_of
from router.access.faults import ENDED, LoginRefused
from router.access.person import Person
from router.access.tables import ACCOUNT, PROVIDED, SESSION
from router.access.written import written
from router.contracts import Clock
from router.database import Database
from router.errors import Bug

IDLE: Final = 30 * 60.0
LONGEST: Final = 12 * 3600.0
ANONYMOUS: Final = 15 * 60.0
"""Seconds that a session lives in which nobody has logged in: long enough for the identity provider's pages."""
TOUCHED: Final = 30.0
"""Seconds between two writes of when a session was last used."""
MOST_DATA: Final = 16_384
"""Bytes of the values of one session."""

Value = str | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """id: names the session in lists, gives no access;  person: None while nobody has logged in
    local: by an account of ours, else by the identity provider;  source: network address, as the console saw it
    begun, seen, ends: Unix seconds; `ends` is the absolute end;  idle_ends: the end if nothing more is asked
    csrf: what each form of this session carries;  values: small facts of the session, see `Sessions.put`
    """

    id: str
    person: Person | None
    local: bool
    source: str
    begun: float
    seen: float
    ends: float
    idle_ends: float
    csrf: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)

    def until(self, name: str, now: float) -> bool:
        """Whether the value is a time that is still to come (`content shown until`)."""
        value = self.values.get(name)
        return isinstance(value, float | int) and not isinstance(value, bool) and value > now


class Sessions:
    """Any thread; each call is one transaction.

    idle: seconds without a request after which a session ends;  longest: seconds after which it ends in any case
    """

    def __init__(self, database: Database, clock: Clock, *, idle: float = IDLE, longest: float = LONGEST) -> None:
        self._database, self._clock, self.idle, self.longest = database, clock, idle, longest

    def begin(
        self,
        person: Person | None,
        source: str,
        *,
        local: bool = True,
        replaces: str = "",
        values: Mapping[str, Value] | None = None,
    ) -> str:
        """A new session; returns what its cookie holds, which exists nowhere else.

        person: None for one in which nobody has logged in yet. replaces: the session that the browser had until now;
        it ends in the same transaction, so that a value planted before the login is worth nothing after it.
        local: of the account with the id of this person, or with her name; else she has an id of the identity provider.
        """
        if person is not None and not local and not person.id:
            raise Bug("BUG-SessionPerson", "session", "a person of an identity provider has an id")
        token, now = secrets.token_urlsafe(32), self._clock.now()
        row: dict[str, Any] = {
            "digest": digest(token),
            "id": secrets.token_hex(8),
            "person": person.id if person else "",
            "name": person.name if person else "",
            "shown": (person.shown if person else "")[:120],
            "local": local,
            "rights": rights_of.stored(person.rights if person else {}),
            "source": source[:64],
            "begun": now,
            "seen": now,
            "ends": now + (self.longest if person else ANONYMOUS),
            "data": _packed(dict(values or {})),
        }

        def begin(db: Connection) -> None:
            db.execute(SESSION.delete().where(SESSION.c.ends < now))
            if replaces:
                db.execute(SESSION.delete().where(SESSION.c.digest == digest(replaces)))
            if person and local and not person.id:
                row["person"] = db.execute(sa.select(ACCOUNT.c.id).where(ACCOUNT.c.name == person.name)).scalar() or ""
            if person and not local:
                _remember(db, person, now)
            db.execute(SESSION.insert().values(**row))

        written(self._database, begin)
        return token

    def renew(self, token: str, **values: Value) -> str:
        """The same session under a new value of its cookie, after a step that gives more (a password asked again).

        Raises `LoginRefused` (`SESSION-ENDED`).
        """
        new = secrets.token_urlsafe(32)

        def renew(db: Connection) -> None:
            row = self._alive(db, token)
            kept = {name: value for name, value in {**json.loads(row.data), **values}.items() if value is not None}
            changed = {"digest": digest(new), "seen": self._clock.now(), "data": _packed(kept)}
            db.execute(SESSION.update().where(SESSION.c.digest == row.digest).values(**changed))

        written(self._database, renew)
        return new

    def find(self, token: str, *, touch: bool = True) -> Session | None:
        """The session of a cookie; None for one that ended, whose account is locked or gone, or that never was.

        touch: it counts as used; not for a stream, which must not keep a session alive. Rights of a local account are
        those that it has now.
        """
        if not (token.isascii() and 20 <= len(token) <= 100):
            return None
        now = self._clock.now()
        with self._database.read() as db:
            row = _with_account(db, digest(token))
        if row is None or not self._lives(row, now) or (person := _person(row)) is _GONE:
            return None
        if touch and now - row.seen >= min(TOUCHED, self.idle / 10):
            seen = SESSION.update().where((SESSION.c.digest == row.digest) & (SESSION.c.seen < now)).values(seen=now)
            written(self._database, lambda db: db.execute(seen))
        found = self._session(row, person)
        return replace(found, csrf=csrf_of(token), seen=now if touch else row.seen)

    def of(self, person: str) -> list[Session]:
        """The open sessions of a person (her id), latest first: "where am I logged in?"."""
        with self._database.read() as db:
            statement = sa.select(SESSION).where(SESSION.c.person == person).order_by(SESSION.c.begun.desc())
            rows = db.execute(statement).all()
        now = self._clock.now()
        return [self._session(row, None) for row in rows if self._lives(row, now)]

    def put(self, token: str, **values: Value) -> None:
        """Keep small facts in the session; None takes one out. Raises `LoginRefused` (`SESSION-ENDED`)."""

        def put(db: Connection) -> None:
            row = self._alive(db, token)
            kept = {name: value for name, value in {**json.loads(row.data), **values}.items() if value is not None}
            db.execute(SESSION.update().where(SESSION.c.digest == row.digest).values(data=_packed(kept)))

        written(self._database, put)

    def take(self, token: str, *names: str) -> dict[str, Value]:
        """Values of the session, which forgets them: each is given once, to whoever asks first.

        Raises `LoginRefused` (`SESSION-ENDED`).
        """

        def take(db: Connection) -> dict[str, Value]:
            row = self._alive(db, token)
            kept: dict[str, Value] = json.loads(row.data)
            taken = {name: kept.pop(name) for name in names if name in kept}
            db.execute(SESSION.update().where(SESSION.c.digest == row.digest).values(data=_packed(kept)))
            return taken

        return written(self._database, take)

    def end(self, token: str) -> None:
        """Log out. Ending what has ended does nothing."""
        self._delete(SESSION.c.digest == digest(token))

    def end_id(self, person: str, identifier: str) -> bool:
        """End one session of a person (her id) by its id; whether it was there."""
        return self._delete((SESSION.c.person == person) & (SESSION.c.id == identifier)) == 1

    def end_all(self, person: str, *, but: str = "") -> int:
        """End the sessions of a person (her id), but for one (its cookie); how many there were."""
        return self._delete((SESSION.c.person == person) & (SESSION.c.digest != digest(but)))

    # -------------------------------------------------------------------------------------------- inside

    def _delete(self, which: sa.ColumnElement[bool]) -> int:
        return written(self._database, lambda db: db.execute(SESSION.delete().where(which)).rowcount)

    def _alive(self, db: Connection, token: str) -> Any:
        row = db.execute(sa.select(SESSION).where(SESSION.c.digest == digest(token)).with_for_update()).first()
        if row is None or not self._lives(row, self._clock.now()):
            raise LoginRefused("SESSION-ENDED", ENDED)
        return row

    def _lives(self, row: Any, now: float) -> bool:
        return bool(now < min(row.ends, row.seen + self.idle))

    def _session(self, row: Any, person: Person | None) -> Session:
        return Session(
            id=row.id,
            person=person,
            local=row.local,
            source=row.source,
            begun=row.begun,
            seen=row.seen,
            ends=row.ends,
            idle_ends=min(row.ends, row.seen + self.idle),
            values=json.loads(row.data),
        )


_GONE: Final = Person(name="")


def _with_account(db: Connection, digest: str) -> Any:
    """A session with what its account says now."""
    account = [
        ACCOUNT.c.name.label("account"),
        ACCOUNT.c.rights.label("account_rights"),
        ACCOUNT.c.shown.label("account_shown"),
        ACCOUNT.c.locked.label("account_locked"),
    ]
    joined = SESSION.outerjoin(ACCOUNT, (ACCOUNT.c.id == SESSION.c.person) & SESSION.c.local)
    return db.execute(sa.select(SESSION, *account).select_from(joined).where(SESSION.c.digest == digest)).first()


def _person(row: Any) -> Person | None:
    """Who uses a session; None for nobody yet, `_GONE` when its account must not be used."""
    if not row.name:
        return None
    if not row.local:
        return Person(id=row.person, name=row.name, shown=row.shown or row.name, rights=rights_of.read(row.rights))
    if row.account is None or row.account_locked:
        return _GONE
    rights = rights_of.read(row.account_rights)
    return Person(id=row.person, name=row.name, shown=row.account_shown or row.name, rights=rights)


def _remember(db: Connection, person: Person, now: float) -> None:
    """What a person of the identity provider may, as it was said at this login."""
    db.execute(PROVIDED.delete().where(PROVIDED.c.id == person.id))
    held = rights_of.stored(person.rights)
    db.execute(PROVIDED.insert().values(id=person.id, name=person.name[:120], rights=held, last_login=now))


def csrf_of(token: str) -> str:
    """What the forms of a session carry. It is computed from the cookie's value, so it is stored nowhere."""
    return hmac.new(token.encode(), b"segur-router forms", hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compares without telling by its time how much of it was right."""
    return hmac.compare_digest(given.encode(), expected.encode())


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _packed(values: Mapping[str, Value]) -> str:
    text = json.dumps(values)
    if len(text) > MOST_DATA:
        raise Bug("BUG-SessionData", "session", "a session holds small facts only")
    return text
