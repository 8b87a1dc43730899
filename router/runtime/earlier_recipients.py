"""Who had a document by mail and is not told that it was replaced or deleted (decisions D19; mssante §3.2).

A replacement or a deletion goes to the recipients of its own message. Who had the version before, and is not among
them, keeps it: he is listed in the story of the event, and gets a notice where the site says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.cisis.lineage import document_pseudonym, lineage, replaces_pseudonym
from router.contracts import Bus, Clock, Header, Ledger, Observer, Partition, Row, out_topic
from router.errors import Malformed
from router.exchange import (
    Delivery,
    Disposition,
    Exchange,
    Origin,
    Pseudonyms,
    Receipt,
    ReceiptKind,
    Routed,
    State,
    delivery_id,
    same_structure,
)
from router.language import N_
from router.payload import NOTICE, DocumentOrder, pack, unpack_order
from router.request import Action, RecipientKind, TransmissionRequest
from router.runtime.site_services import SiteServices
from router.sinks.mssante.earlier import may_have_arrived
from router.sinks.mssante.settings import AWAITS, KEEPS, MssanteConfig
from router.wire import delivery_at, read_delivery

_WILL_HAVE: Final = frozenset({State.READY, State.WAITING, State.PARKED})
MOST_UNREAD: Final = 2_000
"""Deliveries of a sink, read by it later, that are looked through for one message."""
_TEXTS: Final = {
    Action.REPLACE: N_("garde la version précédente, que ce message remplace sans la lui adresser"),
    Action.DELETE: N_("garde le document, que ce message supprime sans le lui adresser"),
}


@dataclass(frozen=True, slots=True)
class EarlierRecipients:
    """`router.engine.pipeline.compiled.Earlier`. It asks the ledger from the thread of the pipeline worker.

    sinks: the site's mssante sinks
    """

    bus: Bus
    ledger: Ledger
    sinks: Mapping[str, MssanteConfig]
    pseudonyms: Pseudonyms
    clock: Clock
    observer: Observer

    @classmethod
    def of(cls, services: SiteServices, ledger: Ledger) -> EarlierRecipients:
        """For the pipelines of a site. ledger: that of their worker."""
        sinks = {name: sink for name, sink in services.config.sinks.items() if isinstance(sink, MssanteConfig)}
        return cls(services.bus, ledger, sinks, services.pseudonyms, services.clock, services.observer)

    def __call__(self, exchange: Exchange, deliveries: Sequence[Delivery], receipts: Sequence[Receipt]) -> Routed:
        """A receipt, or the delivery of a notice, for each of them. Raises `Unavailable`: ledger or bus are away."""
        request = exchange.request
        if request is None or request.action not in _TEXTS or not request.documents:
            return Routed((), exchange)
        named = {one.destination for one in deliveries} | {one.destination for one in receipts}
        notices: list[Delivery] = []
        listed: list[Receipt] = []
        for sink in self._unsent(request):
            if self._behind(sink) > MOST_UNREAD:
                listed.append(self._unsure(exchange, sink))
        for row, versions in self._keepers(exchange, request):
            if row.delivery.destination in named:
                continue
            named.add(row.delivery.destination)
            notice = None
            if self.sinks[row.delivery.sink].anciens_destinataires == "prevenir":
                notice = self._notice(exchange, request, row)
            if notice is not None:
                notices.append(notice)
            else:
                listed.append(self._listed(exchange, request, row, versions))
            told = "listed" if notice is None else "notice"
            self.observer.count("earlier_recipients_total", sink=row.delivery.sink, told=told)
        return Routed(notices, exchange, listed)

    # ------------------------------------------------------------------------------------------- who keeps it

    def _keepers(self, exchange: Exchange, request: TransmissionRequest) -> Iterable[tuple[Row, Sequence[str]]]:
        """By destination the last row of which somebody may hold what is replaced or deleted.

        With it the ids of all deliveries by which he has a version, or may get one. Of the message's structure only.
        """
        event = exchange.event
        own = document_pseudonym(request, self.pseudonyms)
        names = (lineage(request, self.pseudonyms), replaces_pseudonym(request, self.pseudonyms), own)
        found = {row.delivery.id: row for sink in self._unsent(request) for row in self._unread(sink, names)}
        found |= {
            row.delivery.id: row
            for sink in self.sinks
            for name in dict.fromkeys(filter(None, names))
            for row in self.ledger.lineage(sink, name)
        }
        accepted = float(event.headers.get(Header.RECEIVED, "0")) or self.clock.now()
        last: dict[str, Row] = {}
        versions: dict[str, list[str]] = {}
        for row in sorted(found.values(), key=lambda row: (row.delivery.created, row.sequence)):
            if not same_structure(row.delivery.structure, request.speaks_for):
                continue
            if row.delivery.event_id != event.id and _holds(row, request.action):
                last[row.delivery.destination] = row
                if row.delivery.pipeline != NOTICE and row.delivery.action != Action.DELETE:
                    versions.setdefault(row.delivery.destination, []).append(row.delivery.id)
        for row in last.values():
            notice = row.delivery.pipeline == NOTICE and request.action is Action.REPLACE
            told = notice or row.delivery.action == Action.DELETE
            current = request.action is Action.REPLACE and row.delivery.document == own
            if not (told or current or row.delivery.created > accepted):
                yield row, versions.get(row.delivery.destination, ())

    def _unsent(self, request: TransmissionRequest) -> Iterable[str]:
        """Sinks of which what they have not read yet counts. A deletion supersedes it (D1), and waits for no look."""
        return self.sinks if request.action is Action.REPLACE else ()

    def _begin(self, sink: str) -> dict[Partition, int]:
        """Per partition of its topic, the offset from which the ledger knows nothing: the sink has not read on yet."""
        topic = out_topic(sink)
        seen = self.ledger.seen(topic)
        return {place: min(seen.get(place.number, 0), end) for place, end in self.bus.ends(topic).items()}

    def _behind(self, sink: str) -> int:
        begin = self._begin(sink)
        return sum(end - begin.get(place, end) for place, end in self.bus.ends(out_topic(sink)).items())

    def _unread(self, sink: str, names: Iterable[str]) -> Iterator[Row]:
        """What is about this document among the deliveries that the sink has not read: its server may be away."""
        asked = set(filter(None, names))
        if not 0 < self._behind(sink) <= MOST_UNREAD:
            return
        for record in self.bus.headlines(out_topic(sink), begin=self._begin(sink)):
            try:
                delivery = read_delivery(record) if Header.COMMAND not in record.headers else None
            except Malformed:
                continue
            if delivery is not None and asked & {delivery.lineage, delivery.document, delivery.replaces}:
                yield Row(delivery=delivery, partition=record.partition, sequence=record.offset, bytes_at=record.origin)

    # -------------------------------------------------------------------------------------------- what is made

    def _notice(self, exchange: Exchange, request: TransmissionRequest, row: Row) -> Delivery | None:
        """A mail of ours to a professional, who had the document by this very address; None when he can't be told.

        It speaks of what he had, in the words of that order: nothing of the new version goes to him.
        """
        record = delivery_at(self.bus, row)
        try:
            earlier = unpack_order(record.value) if record is not None else None
        except Malformed:
            earlier = None
        if earlier is None or earlier.recipient is None or earlier.recipient.kind is RecipientKind.PATIENT:
            return None
        old, event = row.delivery, exchange.event
        return Delivery(
            id=delivery_id(event.id, f"{old.sink}|{old.destination}|{NOTICE}"),
            event_id=event.id,
            sink=old.sink,
            destination=old.destination,
            key=old.key,
            lane=old.lane,
            payload=pack(_order(earlier, request.action), ()),
            origin=event.origin or Origin("none", 0, 0),
            feed=event.feed,
            pipeline=NOTICE,
            lineage=old.lineage,
            document=old.document,
            action=str(request.action),
            created=float(event.headers.get(Header.RECEIVED, "0")) or self.clock.now(),
            label=old.label,
            structure=old.structure,
        )

    def _unsure(self, exchange: Exchange, sink: str) -> Receipt:
        """Too much was not read yet to be looked through here: a person looks again later."""
        event = exchange.event
        return Receipt(
            delivery_id=delivery_id(event.id, f"{sink}|{KEEPS}"),
            event_id=event.id,
            sink=sink,
            kind=ReceiptKind.DELIVERY,
            ok=False,
            at=self.clock.now(),
            disposition=Disposition.FILTERED,
            code=KEEPS,
            text=N_("le connecteur a du retard : qui garde la version précédente n'est pas su en entier"),
            feed=event.feed,
            key=event.key,
            pipeline=NOTICE,
        )

    def _listed(self, exchange: Exchange, request: TransmissionRequest, row: Row, versions: Sequence[str]) -> Receipt:
        """A line for people: the sender's acknowledgements speak of his own recipients only.

        What is not finished may be refused later: then `router.feedback.keepers` takes the line back.
        """
        event, old = exchange.event, row.delivery
        return Receipt(
            delivery_id=delivery_id(event.id, f"{old.sink}|{old.destination}|{KEEPS}"),
            event_id=event.id,
            sink=old.sink,
            kind=ReceiptKind.DELIVERY,
            ok=False,
            at=self.clock.now(),
            disposition=Disposition.FILTERED,
            code=KEEPS,
            text=_TEXTS[request.action],
            feed=event.feed,
            key=event.key,
            destination=old.destination,
            label=old.label,
            pipeline=NOTICE,
            evidence={key: row.evidence[key] for key in ("message_id",) if key in row.evidence}
            | ({AWAITS: " ".join(versions)} if versions else {}),
        )


def _holds(row: Row, action: Action) -> bool:
    """Whether somebody has it, or will: what waits is sent after a replacement, but not after a deletion (D1)."""
    return may_have_arrived(row) or (action is Action.REPLACE and row.state in _WILL_HAVE)


def _order(earlier: DocumentOrder, action: Action) -> DocumentOrder:
    """The order of the notice: without documents, acknowledgements, or any text of the sender's."""
    changes = {
        "action": action,
        "ack_reception": False,
        "ack_lecture": False,
        "body_professionals": None,
        "body_patient": None,
        "reply_to": "",
    }
    request = earlier.request.model_copy(update=changes)
    return earlier.model_copy(update={"request": request, "options": {NOTICE: True}})
