"""Passwords: what is good enough, and how one is kept.

Length counts, and that the password is not one everybody tries first. No digits or signs are asked for, and a password
does not expire: both make people choose worse ones (NIST SP 800-63B).
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from router.errors import OperatorFault
from router.language import N_, T_, filled

LEAST: Final = 12
LONGEST: Final = 256
"""Longer ones would only make us work."""
AT_ONCE: Final = 2
"""Hashes computed at the same time in one process: each takes 64 MiB."""

TOO_SHORT: Final = T_("a password has {least} characters or more: four words that do not belong together are good")
TOO_LONG: Final = T_("a password has {most} characters at most")
OBVIOUS: Final = N_("this password is one of those that are tried first: choose another")
LEFT: Final = 6
"""Characters that must be left of a password without the words below."""
#: Words that are tried first; compared without case, accents and separators.
_OBVIOUS: Final = (
    "password motdepasse mdp passe azerty azertyuiop qwerty qwertyuiop qwertyuiopasdfghjkl azertyuiopqsdfghjklm admin"
    " administrateur administrator segur segurrouter router routeur hopital hospital clinique sante bonjour bienvenue"
    " welcome changeme changezmoi letmein iloveyou jetaime soleil doudou chouchou loulou marseille france"
    " correcthorsebatterystaple lorem loremipsum"
)


def _plain(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    spread = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in spread if sign.isalnum())


def _counts(text: str) -> str:
    """A text without its pieces of three signs or more that only count (`1234`, `cba`) or repeat one (`aaa`)."""
    kept, run = [], text[:1]
    for sign in text[1:]:
        step = ord(sign) - ord(run[-1])
        if step in (-1, 0, 1) and (len(run) == 1 or step == ord(run[-1]) - ord(run[-2])):
            run += sign
            continue
        kept.append(run if len(run) < 3 else "")
        run = sign
    return "".join([*kept, run if len(run) < 3 else ""])


def _repeated(text: str) -> bool:
    """Whether a text is one short piece again and again (`xyzxyzxyzxyz`)."""
    return any(text == (text[:size] * len(text))[: len(text)] for size in range(1, 5))


def objection(password: str, *names: str) -> str | None:
    """Why a password can't be taken, in one sentence; None when it can. names: what it must not merely repeat."""
    if len(password) < LEAST:
        return filled(TOO_SHORT, least=LEAST)
    if len(password) > LONGEST:
        return filled(TOO_LONG, most=LONGEST)
    left = _plain(password)
    for word in (*(_plain(name) for name in names), *sorted(_OBVIOUS.split(), key=len, reverse=True)):
        left = left.replace(word, "") if word else left
    signs = {sign for sign in password if not sign.isalnum() and not sign.isspace()}
    if _repeated(password) or (len(_counts(left)) < LEFT and len(signs) < LEFT):
        return OBVIOUS
    return None


def check(password: str, *names: str) -> None:
    """Raises `OperatorFault` (`ACCESS-PASSWORD`) with what is wrong with it."""
    if (text := objection(password, *names)) is not None:
        raise OperatorFault("ACCESS-PASSWORD", "", text)


class Passwords:
    """Hashes and verifies. Any thread; a few at the same time, the others wait."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @cached_property
    def nobodys(self) -> str:
        """The hash of a password that nobody knows: an unknown name is made to cost what a known one does."""
        return self.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        with self._turns:
            return self._hasher.hash(_bytes(password))

    def right(self, hashed: str, password: str) -> bool:
        """Whether this is the password. A hash that can't be read is nobody's."""
        with self._turns:
            try:
                return self._hasher.verify(hashed, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(hashed)


def _bytes(password: str) -> bytes:
    """One keyboard gives é as one character, another as two. Nothing that can be typed is an error."""
    return unicodedata.normalize("NFC", password[: 2 * LONGEST]).encode(errors="surrogatepass")
