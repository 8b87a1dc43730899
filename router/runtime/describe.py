"""What the journal keeps of an event, and which destinations that were asked for got nobody to serve them (D5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from router.cisis.lineage import document_ids, lineage, patient_pseudonyms
from router.contracts import Clock, Header
from router.errors import MessageFault
from router.exchange import (
    Disposition,
    Event,
    Exchange,
    Plan,
    Pseudonyms,
    Receipt,
    ReceiptKind,
    delivery_id,
    recipient_label,
)
from router.payload import DocumentOrder, reply_context
from router.request import TransmissionRequest
from router.steps.route import served_recipients

#: Attribute of the request -> word of `JournalEntry.asked`.
_ASKED = {
    "dmp": "dmp",
    "mss_professionals": "mssante",
    "mss_patient": "mssante-patient",
    "ack_reception": "ack-reception",
    "ack_lecture": "ack-lecture",
}


@dataclass(frozen=True, slots=True)
class Describe:
    """Fields of a `JournalEntry` for an event and, once it was read, its exchange."""

    pseudonyms: Pseudonyms

    def __call__(self, event: Event, exchange: Exchange | None) -> dict[str, Any]:
        headers = event.headers
        fields: dict[str, Any] = {
            "feed": event.feed,
            "control_id": headers.get(Header.CONTROL, ""),
            "source": headers.get(Header.SOURCE, ""),
            "ack": headers.get(Header.ACK, ""),
            "origin": str(event.origin) if event.origin else "",
            "size": len(event.body),
        }
        if warnings := headers.get(Header.WARNINGS):
            fields["warnings"] = tuple(warnings.split("\n"))
        if exchange is not None and exchange.message is not None:
            text = exchange.message.text
            fields["sender"] = "|".join(part for part in (text("MSH-3.1"), text("MSH-4.1")) if part)
        if exchange is not None and exchange.request is not None:
            fields |= self._request(exchange.request)
        return fields

    def _request(self, request: TransmissionRequest) -> dict[str, Any]:
        return {
            "control_id": request.control_id,
            "dialect": str(request.dialect),
            "action": str(request.action),
            "asked": tuple(word for name, word in _ASKED.items() if getattr(request, name)),
            "documents": document_ids(request.documents),
            "lineage": lineage(request, self.pseudonyms) if request.documents else "",
            "patients": patient_pseudonyms(request, self.pseudonyms),
            "warnings": request.warnings,
        }


@dataclass(frozen=True, slots=True)
class Unserved:
    """Receipts for what was asked and no pipeline serves: filtered, faulty, or simply not configured."""

    pseudonyms: Pseudonyms
    clock: Clock

    def __call__(self, exchange: Exchange, plans: Sequence[Plan], fault: MessageFault | None = None) -> list[Receipt]:
        """`plans`: what all pipelines of the event made of it; `fault`: why one of them stopped, if it did."""
        request = exchange.request
        if request is None:
            return []
        served = {
            found.destination for plan in plans for found in (*plan.deliveries, *plan.receipts) if found.destination
        }
        code = fault.code if fault else "NOT-SERVED"
        text = fault.text if fault else "aucun circuit du routeur ne dessert cette destination"
        missing: list[Receipt] = []
        if request.dmp and "dmp" not in served:
            missing.append(self._receipt(exchange, DocumentOrder(request=request), "dmp", "DMP", code, text))
        for recipient in served_recipients(request):
            who = self.pseudonyms.of("address", recipient.address.lower() or f"rank {recipient.rank}")
            if f"mss:{who}" not in served:
                order = DocumentOrder(request=request, recipient=recipient)
                missing.append(self._receipt(exchange, order, f"mss:{who}", recipient_label(recipient), code, text))
        return missing

    def _receipt(
        self, exchange: Exchange, order: DocumentOrder, destination: str, label: str, code: str, text: str
    ) -> Receipt:
        event = exchange.event
        sink = "dmp" if destination == "dmp" else "mssante"
        return Receipt(
            delivery_id=delivery_id(event.id, f"{sink}|{destination}|unserved"),
            event_id=event.id,
            sink=sink,
            kind=ReceiptKind.DELIVERY,
            ok=False,
            at=self.clock.now(),
            disposition=Disposition.FILTERED,
            code=code,
            text=text,
            feed=event.feed,
            key=event.key,
            destination=destination,
            label=label,
            context=reply_context(order),
        )
