"""How a sink, or who reads a mailbox, hands over what is kept as a proof."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What is kept. The values are stored: they never change."""

    MAIL = "mail"
    """The mail as it was sent (RFC 5322)."""
    SOAP_REQUEST = "soap-request"
    SOAP_ANSWER = "soap-answer"
    DSN = "dsn"
    MDN = "mdn"
    ZAM = "zam"
    """The business acknowledgement as it went back to the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """`parts`: the bytes, one after the other, never changed after. `name`: of the transaction for SOAP (`TD2.1`)."""

    delivery_id: str
    event_id: str
    kind: Kind
    name: str = ""
    parts: Sequence[bytes | memoryview] = field(repr=False)
    length: int = -1
    """Bytes of all parts, from those who know it: a part may be made anew whenever it is asked for."""

    @property
    def size(self) -> int:
        return self.length if self.length >= 0 else sum(map(len, self.parts))

    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        sha = hashlib.sha256()
        for part in self.parts:
            sha.update(part)
        return sha.hexdigest()


class Keeper(Protocol):
    """Takes what is kept, before it leaves. The digest that it returns belongs into the evidence of the receipt."""

    async def keep(self, what: Kept) -> str:
        """Hand it over; returns its digest, "" where nothing is kept.

        Where the site says `archive.required` it is durable on return, and `Unavailable` (`ARCHIVE-…`, the circuit
        stays closed) is raised while it can't be kept. Elsewhere this neither waits nor raises.
        """
        ...

    def keep_now(self, what: Kept) -> str:
        """The same for a thread without an event loop."""
        ...

    def settled(self, seconds: float) -> bool:
        """Wait until what was handed over is durable; False when it is not after so many seconds. For a thread."""
        ...


class KeepsNothing:
    """`Keeper` of a site without an archive."""

    async def keep(self, what: Kept) -> str:
        return self.keep_now(what)

    def keep_now(self, what: Kept) -> str:
        del what
        return ""

    def settled(self, seconds: float) -> bool:
        del seconds
        return True
