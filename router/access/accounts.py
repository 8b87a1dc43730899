"""Local accounts: for a site without an identity provider, and for the night when it is away."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from router.access import lockout, passwords, totp
from router.access import rights as rights_of
from router.access.faults import closed, code_needed, refused
from router.access.passwords import Passwords
from router.access.person import Person, Role
from router.access.sessions import digest
from router.access.tables import ACCOUNT, SESSION, new_id
from router.access.totp_keys import SEALED, TotpKeys
from router.access.written import written
from router.contracts import Clock
from router.database import Database
from router.errors import OperatorFault
from router.language import T_, filled

log = logging.getLogger(__name__)

UNKNOWN: Final = T_("no account is named {what}")
TAKEN: Final = T_("an account is named {what} already")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """id: never given again, `name` may be;  totp: has a second factor;  locked: by an administrator
    demo: nobody's own
    waits: Unix time until which logins are refused, or 0
    created, changed, last_login: Unix seconds, 0 for never
    """

    id: str
    name: str
    shown: str
    rights: Mapping[str, Role] = field(default_factory=dict)
    totp: bool
    locked: bool
    demo: bool
    waits: float = 0.0
    created: float
    changed: float
    last_login: float

    @property
    def person(self) -> Person:
        return Person(id=self.id, name=self.name, shown=self.shown or self.name, rights=self.rights)


class Accounts:
    """Any thread; each call is one transaction. Raises `OperatorFault` for an unknown name, `Unavailable`.

    production: accounts of the demo are refused
    """

    def __init__(
        self, database: Database, clock: Clock, hashes: Passwords, keys: TotpKeys, *, production: bool = False
    ) -> None:
        self._database, self._clock, self._passwords, self._production = database, clock, hashes, production
        self.totp_keys = keys

    # --------------------------------------------------------------------------------------------- login

    def login(self, name: str, password: str, code: str = "") -> Person:
        """Who this is. Raises `LoginRefused`: `LOGIN-WAIT`, `LOGIN-REFUSED`, or `CodeNeeded`.

        An unknown name takes the same way as a known one: counted, a hash verified, one sentence.
        """
        found = rights_of.folded(name)
        account = self._row(found)
        row = lockout.row_of(found, known=account is not None)
        written(self._database, lambda db: lockout.charge(db, row, self._clock.now()))
        hashed = account.password if account is not None else self._passwords.nobodys
        right = self._passwords.right(hashed, password)
        if account is None or not right or account.locked or (account.demo and self._production):
            raise refused()
        if account.totp and not code.strip():
            written(self._database, lambda db: lockout.give_back(db, row))
            raise code_needed()
        renewed = self._passwords.hash(password) if self._passwords.outdated(hashed) else hashed
        secret = self._secret(account)
        written(self._database, lambda db: self._enter(db, account, secret, code, renewed))
        return _account(account).person

    def _secret(self, account: Any) -> str:
        """The key of the second factor; "" for none. Raises `LoginRefused` (`LOGIN-SEALED`) when nothing opens it."""
        try:
            return self.totp_keys.opened(account.name, account.totp)
        except OperatorFault as fault:
            log.error("a second factor can't be opened", extra={"code": fault.code, "alert": "access-sealed"})
            raise closed() from fault

    def _enter(self, db: Connection, account: Any, secret: str, code: str, hashed: str) -> None:
        """Use the code up and forget the failures. The account must still be what was looked at."""
        now = self._clock.now()
        values: dict[str, Any] = {"last_login": now, "password": hashed}
        same = (ACCOUNT.c.name == account.name) & (ACCOUNT.c.password == account.password) & ~ACCOUNT.c.locked
        if secret:
            step = totp.step_of(secret, code, now, account.totp_step)
            if step is None:
                raise refused()
            values["totp_step"] = step
        same &= (ACCOUNT.c.totp == account.totp) & (ACCOUNT.c.totp_step == account.totp_step)
        if db.execute(ACCOUNT.update().where(same).values(**values)).rowcount != 1:
            raise refused()
        lockout.clear(db, account.name)

    # ----------------------------------------------------------------------------------------- questions

    def all(self) -> list[Account]:
        """Every account, by name."""
        with self._database.read() as db:
            rows = db.execute(sa.select(ACCOUNT).order_by(ACCOUNT.c.name)).all()
            left_alone = lockout.left_alone(db, self._clock.now())
        return [_account(row, left_alone.get(row.name, 0.0)) for row in rows]

    def find(self, name: str) -> Account | None:
        row = self._row(rights_of.folded(name))
        return _account(row) if row is not None else None

    def of(self, person: str) -> Account | None:
        """The account of this id; None when it is gone, or never was."""
        with self._database.read() as db:
            row = db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.id == person)).first()
        return _account(row) if row is not None else None

    def _row(self, name: str) -> Any:
        if not rights_of.plain(name):
            return None
        with self._database.read() as db:
            return db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.name == name)).first()

    # ------------------------------------------------------------------------------------------- changes

    def add(
        self, name: str, password: str, rights: Mapping[str, Role], *, shown: str = "", demo: bool = False
    ) -> Account:
        """A new account. demo: any password is taken, and production refuses it.

        Raises `OperatorFault`: `ACCESS-NAME`, `ACCESS-TAKEN`, `ACCESS-PASSWORD`.
        """
        found, now = rights_of.checked_name(name), self._clock.now()
        if not demo:
            passwords.check(password, found, shown)
        values = {
            "id": new_id(),
            "name": found,
            "shown": shown[:120],
            "password": self._passwords.hash(password),
            "rights": rights_of.stored(rights),
            "demo": demo,
            "created": now,
            "changed": now,
        }

        def add(db: Connection) -> None:
            if db.execute(sa.select(ACCOUNT.c.name).where(ACCOUNT.c.name == found)).first():
                raise OperatorFault("ACCESS-TAKEN", "", filled(TAKEN, what=found))
            db.execute(ACCOUNT.insert().values(**values))

        written(self._database, add)
        account = self.find(found)
        assert account is not None  # noqa: S101  # it was written a line above
        return account

    def set_rights(self, name: str, rights: Mapping[str, Role]) -> None:
        """In place of those it had; open sessions have them at their next request."""
        self._set(name, rights=rights_of.stored(rights))

    def objection(self, name: str, password: str) -> None:
        """Raises `OperatorFault` (`ACCESS-PASSWORD`) when the account can't have this password."""
        account = self.find(name)
        passwords.check(password, name, account.shown if account else "")

    def set_password(self, name: str, password: str, *, keep: str = "") -> None:
        """Ends the waiting after failures, and the sessions of whoever knew the old one.

        keep: the cookie of the session that goes on. Raises `OperatorFault` (`ACCESS-PASSWORD`).
        """
        self.objection(name, password)
        self._set(name, out=True, keep=keep, password=self._passwords.hash(password))
        self.unlock_waiting(name)

    def set_totp(self, name: str, secret: str, code: str) -> None:
        """A second factor from now on, once a code of it was given. Raises `OperatorFault` (`ACCESS-CODE`)."""
        step = totp.check(secret, code, self._clock.now())
        self._set(name, totp=self.totp_keys.closed(rights_of.folded(name), secret), totp_step=step)

    def remove_totp(self, name: str) -> None:
        self._set(name, totp="", totp_step=0)

    def seal_keys(self) -> int:
        """Seal the keys of second factors that stand in clear, where the site has a master key; returns how many."""
        clear = (ACCOUNT.c.totp != "") & ~ACCOUNT.c.totp.startswith(SEALED)
        with self._database.read() as db:
            found = db.execute(sa.select(ACCOUNT.c.name, ACCOUNT.c.totp).where(clear)).all()
        if not found or not self.totp_keys.seals:
            return 0
        closed = {row.name: (row.totp, self.totp_keys.closed(row.name, row.totp)) for row in found}

        def seal(db: Connection) -> int:
            if self._database.dialect == "sqlite":  # or the old bytes stay in the free part of the page
                db.exec_driver_sql("PRAGMA secure_delete = ON")
            same = ((ACCOUNT.c.name == name) & (ACCOUNT.c.totp == was) for name, (was, _) in closed.items())
            values = (new for _, new in closed.values())
            return sum(
                db.execute(ACCOUNT.update().where(where).values(totp=new)).rowcount
                for where, new in zip(same, values, strict=True)
            )

        return written(self._database, seal)

    def lock(self, name: str) -> None:
        """No login until `unlock`; open sessions end."""
        self._set(name, out=True, locked=True)

    def unlock(self, name: str) -> None:
        """Undo `lock`, and end the waiting after failures."""
        self._set(name, locked=False)
        self.unlock_waiting(name)

    def unlock_waiting(self, name: str) -> None:
        written(self._database, lambda db: lockout.clear(db, rights_of.folded(name)))

    def remove(self, name: str) -> None:
        """The account and its sessions. What it did stays in the audit, under its name."""
        found = rights_of.folded(name)

        def remove(db: Connection) -> None:
            if not rights_of.plain(found) or db.execute(ACCOUNT.delete().where(ACCOUNT.c.name == found)).rowcount != 1:
                raise _unknown(found)
            lockout.clear(db, found)
            db.execute(SESSION.delete().where((SESSION.c.name == found) & SESSION.c.local))

        written(self._database, remove)

    def _set(self, name: str, *, out: bool = False, keep: str = "", **values: object) -> None:
        """out: the sessions of the account end, but for that of the cookie `keep`."""
        found = rights_of.folded(name)
        sessions = (SESSION.c.name == found) & SESSION.c.local & (SESSION.c.digest != digest(keep))
        statement = ACCOUNT.update().where(ACCOUNT.c.name == found).values(changed=self._clock.now(), **values)

        def change(db: Connection) -> None:
            if not rights_of.plain(found) or db.execute(statement).rowcount != 1:
                raise _unknown(found)
            if out:
                db.execute(SESSION.delete().where(sessions))

        written(self._database, change)


def _unknown(name: str) -> OperatorFault:
    return OperatorFault("ACCESS-UNKNOWN", "", filled(UNKNOWN, what=repr(name[:64])))


def _account(row: Any, waits: float = 0.0) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        shown=row.shown,
        rights=rights_of.read(row.rights),
        totp=bool(row.totp),
        locked=row.locked,
        demo=row.demo,
        waits=waits,
        created=row.created,
        changed=row.changed,
        last_login=row.last_login,
    )
