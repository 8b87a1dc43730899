"""What the journal keeps of an event, and which destinations that were asked for got nobody to serve them (D5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from router.cisis.lineage import journalled
from router.contracts import Clock, Header
from router.contracts.sink_type import Leg, SinkType
from router.errors import MessageFault
from router.exchange import (
    Delivery,
    Disposition,
    Event,
    Exchange,
    Filtered,
    Pseudonyms,
    Receipt,
    ReceiptKind,
    delivery_id,
)
from router.language import N_, filled
from router.payload import DocumentOrder, reply_context
from router.request import TransmissionRequest
from router.sinks import registry

#: Attribute of the request -> word of `JournalEntry.asked`.
ASKED = {name: word for name, (word, _) in registry.asked().items()} | {
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
            "asked": tuple(word for name, word in ASKED.items() if getattr(request, name)),
            **journalled(request, self.pseudonyms),
            "warnings": request.warnings,
        }


@dataclass(frozen=True, slots=True)
class Unserved:
    """Receipts for what was asked and no pipeline serves: filtered, faulty, or simply not configured.

    `parse` reads an event of which no pipeline gave an exchange back.
    """

    pseudonyms: Pseudonyms
    clock: Clock
    parse: Callable[[Exchange], Exchange]

    def __call__(
        self,
        exchange: Exchange,
        deliveries: Sequence[Delivery],
        receipts: Sequence[Receipt],
        ends: Sequence[MessageFault | Filtered],
    ) -> list[Receipt]:
        """See `router.engine.pipeline.Unserved`."""
        request = self._request(exchange)
        if request is None:
            return []
        made: list[Delivery | Receipt] = [*deliveries, *receipts]
        served = {(one.sink.partition(".")[0], one.destination) for one in made}
        code, text = _why(ends)
        missing: list[Receipt] = []
        for kind in registry.SINK_TYPES.values():
            for leg in kind.legs(request, self.pseudonyms) if kind.asked else ():
                if (kind.name, leg.destination) not in served:
                    order = DocumentOrder(request=request, recipient=leg.recipient)
                    missing.append(_receipt(exchange, order, kind, leg, code, text, self.clock.now()))
        return missing

    def _request(self, exchange: Exchange) -> TransmissionRequest | None:
        if exchange.request is None:
            try:
                return self.parse(exchange).request
            except MessageFault:  # it can't be read: there is nobody to tell
                return None
        return exchange.request


def _receipt(  # one call's worth of facts
    exchange: Exchange, order: DocumentOrder, kind: SinkType, leg: Leg, code: str, text: str, now: float
) -> Receipt:
    event = exchange.event
    return Receipt(
        delivery_id=delivery_id(event.id, f"{kind.name}|{leg.destination}|unserved"),
        event_id=event.id,
        sink=kind.name,
        kind=ReceiptKind.DELIVERY,
        ok=False,
        at=now,
        disposition=Disposition.FILTERED,
        code=code,
        text=text,
        feed=event.feed,
        key=event.key,
        destination=leg.destination,
        label=leg.label,
        context=reply_context(order, registry.leg_of(kind.name)) | {"origin": str(event.origin or "")},
    )


def _why(ends: Sequence[MessageFault | Filtered]) -> tuple[str, str]:
    """Code and sentence of the first reason that is one."""
    for end in sorted(ends, key=lambda end: not isinstance(end, MessageFault)):
        if isinstance(end, MessageFault):
            return end.code, end.text
        return end.code, filled("arrêté par le circuit du routeur : {text}", text=end.reason)
    return "NOT-SERVED", N_("aucun pipeline du routeur ne dessert cette destination")
