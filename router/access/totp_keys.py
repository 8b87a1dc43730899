"""The keys of second factors as they stand in the database: sealed where the site has a master key.

A key is sealed under a data key of the site, so a rotation of the master key covers it, and what it belongs to is bound
to it: one that was copied into another account's row opens nothing. A site without `encryption` keeps it in clear.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from router.errors import Malformed, OperatorFault
from router.language import N_
from router.sealing import envelope
from router.sealing.sealer import Sealer

SEALED: Final = "sealed:"
"""No Base32 begins so."""
CLOSED: Final = N_(
    "the key of this second factor is sealed, and `encryption` of the site file does not open it: name the master key "
    "there, or take the second factor away (`access totp NAME --off`)"
)


def no_sealer() -> Sealer | None:
    return None


class TotpKeys:
    """sealer: asked when something is sealed or opened; it gives None where the site has no master key."""

    def __init__(self, sealer: Callable[[], Sealer | None] = no_sealer) -> None:
        self._sealer = sealer

    def closed(self, name: str, secret: str) -> str:
        """The key of this account, as it is kept. Raises what `Sealer.seal` raises."""
        sealer = self._sealer()
        if sealer is None:
            return secret
        return SEALED + base64.b64encode(sealer.seal(secret.encode(), _what(name))).decode()

    def opened(self, name: str, kept: str) -> str:
        """The key itself. Raises `OperatorFault` (`ACCESS-SEALED`) for one that can't be opened, `Unavailable`."""
        if not kept.startswith(SEALED):
            return kept
        sealer = self._sealer()
        if sealer is None:
            raise OperatorFault("ACCESS-SEALED", name, CLOSED)
        try:
            return sealer.unseal(base64.b64decode(kept[len(SEALED) :], validate=True), _what(name)).decode()
        except (Malformed, binascii.Error):
            raise OperatorFault("ACCESS-SEALED", name, CLOSED) from None

    @property
    def seals(self) -> bool:
        return self._sealer() is not None


def _what(name: str) -> bytes:
    return envelope.context("totp", name)
