"""How a sink, or who reads a mailbox, hands over what is kept as a proof."""

from __future__ import annotations

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
    parts: Sequence[bytes] = field(repr=False)


class Keeper(Protocol):
    """Takes what is kept. It never raises and never waits, but where the site says `archive.required`."""

    @property
    def required(self) -> bool:
        """Whether nothing may leave that is not kept."""
        ...

    async def keep(self, what: Kept) -> None:
        """Hand it over; durable on return only when `required`.

        Raises `Unavailable` (`ARCHIVE-…`, the circuit stays closed) only when `required`.
        """
        ...


class KeepsNothing:
    """`Keeper` of a site without an archive, and of tests."""

    required = False

    async def keep(self, what: Kept) -> None:
        del what
