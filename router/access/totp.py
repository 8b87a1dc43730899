"""The second factor: codes of six digits that change every 30 s (RFC 6238), each good for one login."""

from __future__ import annotations

import hmac
from typing import Final

import pyotp

from router.errors import OperatorFault
from router.language import N_

ISSUER: Final = "segur-router"
STEP: Final = 30
WRONG_CODE: Final = N_("the code is not that of this secret: is the clock of the telephone right?")
_AROUND: Final = (0, -1, 1)
"""Steps around now whose code is taken: clocks of telephones differ."""


def new_secret() -> str:
    """160 bits in Base32."""
    return pyotp.random_base32()


def address(name: str, secret: str, issuer: str = ISSUER) -> str:
    """The `otpauth://` address that an authenticator reads, as text or as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def check(secret: str, code: str, now: float) -> int:
    """The step of a first code. Raises `OperatorFault` (`ACCESS-CODE`): the clock of a telephone may be wrong."""
    if (step := step_of(secret, code, now)) is None:
        raise OperatorFault("ACCESS-CODE", "", WRONG_CODE)
    return step


def step_of(secret: str, code: str, now: float, after: int = 0) -> int | None:
    """The step whose code this is, when it is near now and later than `after`; None for a wrong or used code."""
    given = "".join(code.split())
    if not (given.isascii() and given.isdigit()):
        return None
    here, maker = int(now) // STEP, pyotp.TOTP(secret)
    for step in (here + away for away in _AROUND):
        if hmac.compare_digest(maker.at(step * STEP), given) and step > after:
            return step
    return None
