"""`AccessStore`: accounts, sessions and tokens of a site, in one database."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from argon2 import PasswordHasher

from router.access import sessions as sessions_of
from router.access.accounts import Accounts
from router.access.behind import Behind
from router.access.ordered import Ordered
from router.access.passwords import Passwords
from router.access.person import Person
from router.access.sessions import Session, Sessions, Value
from router.access.tables import METADATA, MIGRATIONS, VERSION
from router.access.tokens import Tokens
from router.access.totp_keys import TotpKeys, no_sealer
from router.contracts import Clock, SystemClock
from router.database import Database
from router.sealing.sealer import Sealer


class AccessStore:
    """Who may do what. Synchronous; any thread; every call is one transaction, and a login hashes for 0.3 s.

    url: an SQLite file or PostgreSQL (`Database`). Raises `Unavailable` while the database is away.
    idle, longest: seconds, see `Sessions`;  hasher: for tests, which have no time;  production: no demo account
    sealer: for the keys of second factors, see `TotpKeys`;  upgrade: see `Database`
    """

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        idle: float = sessions_of.IDLE,
        longest: float = sessions_of.LONGEST,
        hasher: PasswordHasher | None = None,
        production: bool = False,
        sealer: Callable[[], Sealer | None] = no_sealer,
        upgrade: bool = False,
    ) -> None:
        clock = clock or SystemClock()
        self._database = Database("access", url, METADATA, VERSION, MIGRATIONS, upgrade=upgrade)
        self.accounts = Accounts(self._database, clock, Passwords(hasher), TotpKeys(sealer), production=production)
        self.sessions = Sessions(self._database, clock, idle=idle, longest=longest)
        self.tokens = Tokens(self._database, clock)
        self.behind = Behind(self._database, clock, self.accounts, self.tokens)
        self.ordered = Ordered(self._database, clock)

    def login(self, name: str, password: str, code: str = "") -> Person:
        """See `Accounts.login`."""
        return self.accounts.login(name, password, code)

    def begin(
        self,
        person: Person | None,
        source: str,
        *,
        local: bool = True,
        replaces: str = "",
        values: Mapping[str, Value] | None = None,
    ) -> str:
        """See `Sessions.begin`."""
        return self.sessions.begin(person, source, local=local, replaces=replaces, values=values)

    def person_of(self, token: str, *, touch: bool = True) -> Session | None:
        """See `Sessions.find`."""
        return self.sessions.find(token, touch=touch)

    def end(self, token: str) -> None:
        """See `Sessions.end`."""
        self.sessions.end(token)

    def token(self, text: str) -> Person | None:
        """The program that this API token stands for; None for one that is unknown, revoked or at its end."""
        found = self.tokens.find(text)
        return found.person if found is not None else None

    def close(self) -> None:
        self._database.close()
