"""What is already proved of a delivery, and what may still be said against it (decisions D15).

    SMTP reply < DSN relayed < DSN delivered < MDN displayed or processed

Each proof is a row of the ledger under an id of its own, written once: the delivery's row belongs to the sink worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from router.contracts import RECEIPTS, Ledger, Row
from router.exchange import Delivery, Origin, Receipt, State

_SINK: Final = "feedback"
"""No sink has this name, so no worker takes these rows as deliveries."""
_NOWHERE: Final = Origin(RECEIPTS, 0, 0)


class Strength(StrEnum):
    """Proofs that the recipient's side has the mail, weakest first."""

    RELAYED = "relayed"
    DELIVERED = "delivered"
    READ = "read"


_ORDER: Final = tuple(Strength)


@dataclass(frozen=True, slots=True)
class Proof:
    """One that was told. `report`: digest of the mail that proved it, as in the evidence of its receipt."""

    strength: Strength
    at: float
    report: str


class Proofs:
    """The proofs of deliveries, kept as long as the ledger keeps rows. Raises `Unavailable` while it is away."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def strongest(self, delivery_id: str) -> Proof | None:
        """None when the SMTP reply is all there is."""
        ids = {_id(delivery_id, strength): strength for strength in _ORDER}
        rows = self._ledger.get(list(ids))
        found = {strength: rows[id_] for id_, strength in ids.items() if id_ in rows}
        for strength in reversed(_ORDER):
            if strength in found:
                row = found[strength]
                return Proof(strength, float(row.evidence.get("at", "0")), row.evidence.get("report", ""))
        return None

    def keep(self, proved: Sequence[tuple[Strength, Receipt]], now: float) -> None:
        """Remember these; one that is known stays as it was first told."""
        rows = [_row(strength, receipt, now) for strength, receipt in proved]
        if rows:
            self._ledger.open(rows)


def _id(delivery_id: str, strength: Strength) -> str:
    return hashlib.sha256(f"proof|{delivery_id}|{strength}".encode()).hexdigest()[:32]


def _row(strength: Strength, receipt: Receipt, now: float) -> Row:
    name = f"proof:{strength}"
    delivery = Delivery(
        id=_id(receipt.delivery_id, strength),
        event_id=receipt.event_id,
        sink=_SINK,
        destination=name,
        key="",
        lane=name,
        payload=b"",
        origin=_NOWHERE,
        created=now,
    )
    evidence = {"delivery": receipt.delivery_id, "report": receipt.evidence.get("report", ""), "at": f"{receipt.at}"}
    return Row(
        delivery=delivery,
        partition=0,
        sequence=0,
        bytes_at=_NOWHERE,
        state=State.DONE,
        evidence=evidence,
        updated=now,
    )
