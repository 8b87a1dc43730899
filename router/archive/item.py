"""One thing that is kept of a delivery, and how it is read back: what the console and the commands may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from router.audit.event import AuditEvent
from router.contracts.keeping import Kind

Record = Callable[[AuditEvent], object]
"""Writes a line of the audit; the line is durable on return. Raises when it can't be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """id:   32 hex digits, made of the delivery, the kind and the digest: the same bytes again are the same item
    name:    of the transaction for SOAP (`TD2.1`), "" for others
    at:      Unix seconds when it was kept
    size:    bytes of the content as it left or came;  sha256: its digest, in hexadecimal
    content_until, proof_until: Unix seconds until which the content, and this line, are kept
    stored:  whether the content is still here. A content that was removed, or that was never written because the
             archive was away, leaves its proof: this line

    It holds no identity of a patient.
    """

    id: str
    delivery_id: str
    event_id: str
    kind: Kind
    name: str
    at: float
    size: int
    sha256: str
    content_until: float
    proof_until: float
    stored: bool


class Reading(Protocol):
    """The archive for those who look. Any thread. Raises `Unavailable` while its database is away."""

    def items(self, delivery_id: str) -> Sequence[Item]:
        """What is kept of a delivery, in the order of time. Needs no audit: an item names nobody."""
        ...

    def item(self, item_id: str) -> Item | None:
        """One item by its id; None when it is unknown, or its proof has expired."""
        ...

    def read(self, item: Item, asked: AuditEvent) -> bytes:
        """The content, exactly the bytes that left or came. `asked` (who, reason, source) is audited first, always:
        when that fails, nothing is read. `kind` and `object` of it are set here.

        Raises `OperatorFault`: `ARCHIVE-REMOVED` (expired; the proof stays), `ARCHIVE-DAMAGED` (changed, cut or
        exchanged on the disk), `SEALING-…` (no master key opens it).
        """
        ...
