"""The last step: from a request to deliveries. A pipeline may narrow what was asked, never widen it (decisions D5).

What was asked but is refused by a rule (an INS that is not qualified for the DMP, a patient address that is not
the patient's own) becomes a receipt: it is told to the sender like any other outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from router.cisis.lineage import document_pseudonym, lineage, replaces_pseudonym
from router.contracts import Clock, Header
from router.contracts.sink_type import Leg, SinkType
from router.errors import Refused
from router.exchange import (
    Delivery,
    Disposition,
    Exchange,
    Origin,
    Pseudonyms,
    Receipt,
    ReceiptKind,
    Routed,
    delivery_id,
)
from router.language import N_
from router.payload import DocumentOrder, pack, reply_context
from router.request import TransmissionRequest
from router.structures import StructureConfig

NO_SINK: Final = ("SITE-SINK", N_("aucun connecteur du routeur ne sert cette destination pour cette structure"))


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry of a pipeline's `sinks`: an instance by name, or a type whose instance the structure chooses."""

    type: SinkType
    instance: str = ""
    """`hl7.dpi`, or '' when the structure of the sender names it."""
    condition: Callable[[Exchange], bool] | None = None
    options: Mapping[str, str | bool | int] = field(default_factory=dict)
    strict: bool = False


class Route:
    """Plans the deliveries of one exchange."""

    def __init__(
        self,
        *,
        pipeline: str,
        digest: str,
        destinations: tuple[Destination, ...],
        structures: Mapping[str, StructureConfig],
        pseudonyms: Pseudonyms,
        clock: Clock,
    ) -> None:
        self._pipeline = pipeline
        self._digest = digest
        self._destinations = destinations
        self._structures = structures
        self._pseudonyms = pseudonyms
        self._clock = clock

    def __call__(self, exchange: Exchange) -> Routed:
        """Raises `Refused` `SITE-STRUCTURE` when the message speaks for no structure of the site (decisions D11)."""
        deliveries: dict[str, Delivery] = {}
        receipts: list[Receipt] = []
        for destination in self._destinations:
            if destination.condition is not None and not destination.condition(exchange):
                continue
            for made in self._plan(destination, exchange):
                if isinstance(made, Receipt):
                    receipts.append(made)
                else:
                    deliveries.setdefault(made.id, made)
        return Routed(tuple(deliveries.values()), exchange, tuple(receipts))

    def _plan(self, destination: Destination, exchange: Exchange) -> Iterator[Delivery | Receipt]:
        if destination.type.carries == "message":
            yield self._relay(destination, exchange)
        elif exchange.request is not None:
            for leg in destination.type.legs(exchange.request, self._pseudonyms):
                yield self._leg(destination, exchange, exchange.request, leg)

    def _relay(self, destination: Destination, exchange: Exchange) -> Delivery:
        event = exchange.event
        return self._delivery(
            exchange,
            sink=destination.instance,
            destination=destination.instance,
            lane=destination.instance,
            payload=event.body if exchange.body is None else exchange.body,
            label=destination.instance,
            strict=destination.strict,
        )

    def _leg(
        self, destination: Destination, exchange: Exchange, request: TransmissionRequest, leg: Leg
    ) -> Delivery | Receipt:
        structure = self._structure(request)
        sink = self._instance(destination, structure)
        order = DocumentOrder(
            request=_own(request, leg),
            recipient=leg.recipient,
            structure=structure,
            options=dict(destination.options),
            accepted=_accepted(exchange),
        )
        if not sink and leg.refusal is None:
            leg = replace(leg, refusal=NO_SINK)
        if leg.refusal is not None:
            return self._refusal(exchange, order, destination.type, leg, sink=sink or destination.type.name)
        lane = leg.lane if leg.lane is not None else structure.finess
        return self._document(exchange, order, sink=sink, destination=leg.destination, lane=lane, label=leg.label)

    def _structure(self, request: TransmissionRequest) -> StructureConfig:
        """Whom the message speaks for: what the check at intake found, else what an older router's request names."""
        sender = request.sender
        named = sender.structure.finess if sender and sender.structure else ""
        structure = self._structures.get(request.speaks_for or named)
        if structure is None:
            raise Refused("SITE-STRUCTURE", "PRT-8", "the message speaks for no structure of the site")
        unit = sender.structure.id if sender and sender.structure else ""
        return structure.sending(*request.sending, unit)

    def _instance(self, destination: Destination, structure: StructureConfig) -> str:
        """The sink that serves this structure; "" when the site names none, or when it is another structure's alone."""
        kind, name = destination.type, destination.instance
        own = structure.sink_of(kind.name)
        if not name:
            return own
        claimed = kind.one_structure and any(one.sink_of(kind.name) == name for one in self._structures.values())
        return "" if claimed and own != name else name

    def _document(
        self, exchange: Exchange, order: DocumentOrder, *, sink: str, destination: str, lane: str, label: str
    ) -> Delivery:
        request = order.request
        return self._delivery(
            exchange,
            sink=sink,
            destination=destination,
            lane=lane,
            payload=pack(order, [document.raw for document in exchange.documents]),
            label=label,
            action=str(request.action),
            lineage=lineage(request, self._pseudonyms),
            document=document_pseudonym(request, self._pseudonyms),
            replaces=replaces_pseudonym(request, self._pseudonyms),
        )

    def _delivery(
        self,
        exchange: Exchange,
        *,
        sink: str,
        destination: str,
        lane: str,
        payload: bytes,
        label: str,
        action: str = "",
        lineage: str = "",
        document: str = "",
        replaces: str = "",
        strict: bool = False,
    ) -> Delivery:
        event = exchange.event
        return Delivery(
            id=delivery_id(event.id, f"{sink}|{destination}"),
            event_id=event.id,
            sink=sink,
            destination=destination,
            key=event.key,
            lane=f"{event.key}:{lane}",
            payload=payload,
            origin=event.origin or Origin("none", 0, 0),
            feed=event.feed,
            pipeline=self._pipeline,
            digest=self._digest,
            lineage=lineage,
            document=document,
            replaces=replaces,
            action=action,
            strict=strict,
            created=_accepted(exchange) or self._clock.now(),
            label=label,
            structure=exchange.request.speaks_for if exchange.request else "",
        )

    def _refusal(self, exchange: Exchange, order: DocumentOrder, kind: SinkType, leg: Leg, *, sink: str) -> Receipt:
        event = exchange.event
        code, text = leg.refusal or ("", "")
        return Receipt(
            delivery_id=delivery_id(event.id, f"{sink}|{leg.destination}"),
            event_id=event.id,
            sink=sink,
            kind=ReceiptKind.DELIVERY,
            ok=False,
            at=self._clock.now(),
            disposition=Disposition.FILTERED,
            code=code,
            text=text,
            feed=event.feed,
            key=event.key,
            destination=leg.destination,
            label=leg.label,
            pipeline=self._pipeline,
            context=reply_context(order, kind.answer.leg if kind.answer else "") | {"origin": str(event.origin or "")},
        )


def _own(request: TransmissionRequest, leg: Leg) -> TransmissionRequest:
    """The request with the recipient of this delivery only: with all of them in each, payloads would be quadratic."""
    own = () if leg.recipient is None else (leg.recipient,)
    return request.model_copy(update={"recipients": own})


def _accepted(exchange: Exchange) -> float:
    return float(exchange.event.headers.get(Header.RECEIVED, "0"))
