"""Why a person or a program is not let in."""

from __future__ import annotations

from typing import Final

from router.errors import RouterError
from router.language import N_, T_, filled

REFUSED: Final = N_("name, password or code is wrong")
"""One sentence for an unknown name, a wrong password, a wrong code and a locked account: it tells no stranger which."""
CODE_NEEDED: Final = N_("the code of your authenticator is asked for")
CLOSED: Final = N_("the key of your second factor can't be read here: ask an administrator to take it away")
WAIT: Final = T_("too many attempts: try again in {seconds} s")
ENDED: Final = N_("your session has ended: log in again")


class LoginRefused(RouterError):
    """Not let in. `wait`: seconds after which another attempt is looked at, 0 for none."""

    outcome = "refused"

    def __init__(self, code: str, text: str, *, wait: float = 0.0) -> None:
        super().__init__(code, "", text)
        self.wait = wait


class CodeNeeded(LoginRefused):
    """Name and password are right; the account also has a second factor and no code was given."""


def refused() -> LoginRefused:
    return LoginRefused("LOGIN-REFUSED", REFUSED)


def closed() -> LoginRefused:
    """The password is right; nobody can log in before an administrator has taken the second factor away."""
    return LoginRefused("LOGIN-SEALED", CLOSED)


def code_needed() -> CodeNeeded:
    return CodeNeeded("LOGIN-CODE", CODE_NEEDED)


def too_many(wait: float) -> LoginRefused:
    """wait: seconds."""
    return LoginRefused("LOGIN-WAIT", filled(WAIT, seconds=max(1, round(wait))), wait=wait)
