"""Who looks at the console: what it needs of accounts and sessions."""

from __future__ import annotations

from typing import Protocol

from router.access.person import Person


class NotLetIn(Exception):
    """The name, the password or the code is wrong, or the account is locked: the text says no more than is wise."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class People(Protocol):
    """Accounts and their sessions. Any thread. Raises `Unavailable` while the database is away."""

    def login(self, name: str, password: str, code: str, *, source: str) -> tuple[str, Person]:
        """A new session: its secret, and who it is. Raises `NotLetIn`.

        code: of the authenticator, "" for none;  source: address of the network
        """
        ...

    def session(self, secret: str, *, alive: bool = True) -> Person | None:
        """Whose session this is; None when it has ended. `alive`: this request is a sign of life of the person."""
        ...

    def logout(self, secret: str) -> None: ...
