"""A patient's address is in no receipt: it is read again where it stands, to write OBX2 of a Z02 or Z03."""

from __future__ import annotations

from router.contracts import Bus, Ledger
from router.errors import MessageFault, OperatorFault, Unavailable
from router.exchange import Origin, Receipt
from router.feedback.answers import recipient_of
from router.hl7.message import Message
from router.payload import unpack_order
from router.wire import delivery_at, event_at, read_event


class Recipients:
    """Identifier and address of a receipt's recipient; raises `Unavailable` while bus or ledger are away, and for
    an event of a newer format, which a newer process reads."""

    def __init__(self, bus: Bus, ledger: Ledger) -> None:
        self._bus = bus
        self._ledger = ledger

    def __call__(self, receipt: Receipt) -> tuple[str, str]:
        """From the context; for a patient from the delivery, else from the event itself; else ('', '')."""
        known = recipient_of(receipt)
        if known[1]:
            return known
        return self._from_delivery(receipt) or self._from_event(receipt) or known

    def _from_delivery(self, receipt: Receipt) -> tuple[str, str] | None:
        row = self._ledger.get([receipt.delivery_id]).get(receipt.delivery_id)
        record = delivery_at(self._bus, row) if row else None
        if record is None:
            return None
        try:
            recipient = unpack_order(record.value).recipient
        except (MessageFault, ValueError):
            return None
        return (recipient.id, recipient.address_received or recipient.address) if recipient else None

    def _from_event(self, receipt: Receipt) -> tuple[str, str] | None:
        """The PRT of that rank in the accepted message; `origin` of the context says where it stands."""
        rank, place = receipt.context.get("rank", ""), receipt.context.get("origin", "")
        if not (rank.isascii() and rank.isdigit() and place):
            return None
        try:
            record = event_at(self._bus, Origin.parse(place), receipt.event_id)
            if record is None:
                return None
            for part in Message.parse(read_event(record).body).segments("PRT"):
                if part.index == int(rank):
                    number = part.text("5.1") or part.text("8.10") or part.text("10.1")
                    return number, part.text("15.4")
        except (MessageFault, KeyError, ValueError):
            pass
        except OperatorFault as fault:  # written by a newer version: a process of that one will read it
            raise Unavailable(fault.code, fault.place, fault.text) from fault
        return None
