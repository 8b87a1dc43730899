"""A document taken out of the DMP by hand, under the INS it was deposited with (decisions D1; dmp §1.7).

A deletion needs a qualified INS. When the identity was downgraded since the deposit, the sender's own deletion is
refused: a person orders it here. It travels as any other delivery, on the sink's topic and in the document's lane, so
it overtakes what is not on the wire; nobody but the lane's owner touches the lane.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from router.cisis.lineage import document_pseudonym, journalled, lineage, ordering_key
from router.contracts import Header, Ledger, Row
from router.engine.dead_letters.evidence import proof
from router.engine.delivery.supersession_rules import DELETE, later, lineages
from router.errors import MessageFault, Refused
from router.exchange import Delivery, Event, Exchange, JournalEntry, Origin, State, delivery_id, same_structure
from router.journal.criteria import ANY
from router.language import N_, filled
from router.payload import NOTICE, WITHDRAWN, DocumentOrder, pack, unpack
from router.request import Action
from router.runtime.pipelines import Compiler
from router.runtime.site_services import SiteServices
from router.runtime.wording import EVIDENCE
from router.sinks.dmp import deposit_history
from router.sinks.dmp.sink_type import DMP
from router.sinks.mssante.sink_type import MSSANTE
from router.wire import delivery_at, delivery_record, event_at, journal_record, read_event

PIPELINE: Final = "withdraw"
"""This stands in the place of a pipeline's name, because no pipeline file made this delivery."""
COMMAND: Final = "WITHDRAW"
ORDERED: Final = N_("Retrait du DMP ordonné.")


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody who has had the document by mail. `label`: a professional's address, or `patient`."""

    label: str
    at: float
    message_id: str
    certain: bool
    """False while the outcome of an attempt is unknown."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What would be sent. `deposit`: what the ledger knows of it; None when it came from a file alone."""

    delivery: Delivery
    deposit: Row | None
    order: DocumentOrder = field(repr=False)
    received: tuple[Received, ...] = ()


class Withdrawals:
    """Finds deposits and orders their deletion. Any process of the site."""

    def __init__(self, services: SiteServices, ledger: Ledger) -> None:
        self._services = services
        self._ledger = ledger

    def plan(self, document: str, copy: Path | None = None, *, within: frozenset[str] | None = None) -> Withdrawal:
        """What a withdrawal of this document id would send. `copy`: the sender's message, when ours has expired.

        within: FINESS of the structures that the asker sees: another one's document is unknown. None: all
        Only deliveries of the deposit's own structure say what became of it, and who had it.
        Raises `Refused`: unknown, already deleted, replaced by a version that is the one to withdraw, expired, or a
        copy that is of another document or patient.
        """
        versions = self._versions(document, within)
        deposit = _deposit(versions, self._services.pseudonyms.of("document", document), document)
        if deposit is None and copy is None:
            text = "aucun dépôt connu de ce document : donner une copie du message d'origine avec --from"
            raise Refused("WITHDRAW-UNKNOWN", "", text)
        if deposit is not None:
            _still_there(deposit, versions)
        order, documents = self._content(deposit, copy)
        if document not in {name for header in order.request.documents for name in (header.id, header.uid)}:
            raise Refused("WITHDRAW-COPY", "--from", "cette copie est celle d'un autre document")
        if order.request.patient.ins is None:
            raise Refused("WITHDRAW-INS", "PID-32", "ce message ne porte pas d'INS qualifiée")
        self._same_patient(deposit, order)
        order = _as_deletion(order)
        payload, number = pack(order, documents), 0
        delivery = self._delivery(deposit, order, payload, number)
        while (known := self._ledger.get([delivery.id]).get(delivery.id)) is not None:
            if known.state is not State.SUPERSEDED:
                raise Refused("WITHDRAW-KNOWN", "", filled("retrait déjà ordonné : {text}", text=_became(known)))
            number += 1  # given up, or overtaken by a deletion that did not succeed either: it may be ordered again
            delivery = self._delivery(deposit, order, payload, number)
        return Withdrawal(delivery, deposit, order, tuple(self._received(delivery, within)))

    def order(self, planned: Withdrawal, *, by: str, reason: str, producer_name: str) -> None:
        """Publish it, with who and why in the stories of the withdrawal and of the deposit. Durable on return."""
        producer = self._services.bus.producer(producer_name)
        entries = _entries(planned, self._services, by, reason)
        producer.publish([*map(journal_record, entries), delivery_record(planned.delivery)])
        producer.close()

    # ------------------------------------------------------------------------------------------- what we know

    def _versions(self, document: str, within: frozenset[str] | None) -> list[Row]:
        """Every DMP delivery of the document's family, in order, that the asker may know of."""
        name = self._services.pseudonyms.of("document", document)
        sinks = [sink for sink, config in self._services.config.sinks.items() if config.type == DMP.name]
        stories = self._services.journal.story(document, 50, replace(ANY, within=within))
        told = [one.delivery_id for story in stories for one in story.deliveries]
        rows = [row for row in self._ledger.get(told).values() if row.delivery.sink in sinks]
        rows += [row for sink in sinks for row in self._ledger.lineage(sink, name)]
        family = {row.delivery.id: row for row in rows}
        for row in rows:
            for related in lineages(row.delivery):
                family |= {one.delivery.id: one for one in self._ledger.lineage(row.delivery.sink, related)}
        seen = [row for row in family.values() if within is None or row.delivery.structure in within]
        return sorted(seen, key=lambda row: (row.delivery.created, row.partition, row.sequence))

    def _received(self, delivery: Delivery, within: frozenset[str] | None = None) -> Iterable[Received]:
        """Who has had any version of it by mail, in order of time."""
        found: dict[str, Row] = {}
        for sink, config in self._services.config.sinks.items():
            if config.type == MSSANTE.name:
                for name in lineages(delivery):
                    found |= {row.delivery.id: row for row in self._ledger.lineage(sink, name)}
        for row in sorted(found.values(), key=lambda row: row.updated):
            seen = within is None or row.delivery.structure in within
            if not (seen and same_structure(row.delivery.structure, delivery.structure)):
                continue
            if row.delivery.action == DELETE or row.delivery.pipeline == NOTICE:
                continue
            if row.state in (State.DONE, State.UNKNOWN, State.BEGUN):
                message_id = row.evidence.get("message_id", "")
                yield Received(row.delivery.label, row.updated, message_id, row.state is State.DONE)

    def _content(self, deposit: Row | None, copy: Path | None) -> tuple[DocumentOrder, Sequence[bytes | memoryview]]:
        """The order as it was deposited: our own bytes, else the accepted message, else the sender's copy."""
        bus = self._services.bus
        if deposit is not None:
            if (record := delivery_at(bus, deposit)) is not None:
                return unpack(record.value)
            if (record := event_at(bus, deposit.delivery.origin, deposit.delivery.event_id)) is not None:
                return self._parsed(read_event(record))
        if copy is None:
            raise Refused("WITHDRAW-EXPIRED", "", "contenu expiré sur le bus : donner une copie du message avec --from")
        feeds = [name for name, feed in self._services.config.feeds.items() if feed.kind == "documents"]
        feed = deposit.delivery.feed if deposit is not None else next(iter(feeds), "")
        return self._parsed(Event("", feed, "", copy.read_bytes(), {Header.CHECKED: COMMAND}))

    def _parsed(self, event: Event) -> tuple[DocumentOrder, Sequence[bytes]]:
        try:
            exchange = Compiler(self._services).parse(Exchange(event))
        except MessageFault as fault:
            text = filled("ce message ne peut pas être relu : {text}", text=fault.text)
            raise Refused("WITHDRAW-COPY", fault.place, text) from fault
        request, structures = exchange.asked(), self._services.config.structures
        named = request.sender.structure.finess if request.sender and request.sender.structure else ""
        structure = structures.get(request.speaks_for or named)
        return DocumentOrder(request=request, structure=structure), [bytes(one.raw) for one in exchange.documents]

    def _same_patient(self, deposit: Row | None, order: DocumentOrder) -> None:
        """Never another patient's INS: the deposit's receipt holds the pseudonym of the one it was made under."""
        under = deposit.evidence.get(deposit_history.PATIENT, "") if deposit is not None else ""
        ins = order.request.patient.ins
        if under and (ins is None or self._services.pseudonyms.of("ins", ins.value) != under):
            raise Refused("WITHDRAW-PATIENT", "PID-3", "l'INS de ce message n'est pas celle du dépôt")

    # -------------------------------------------------------------------------------------------- what is sent

    def _delivery(self, deposit: Row | None, order: DocumentOrder, payload: bytes, number: int = 0) -> Delivery:
        """Its id is that of this deposit's withdrawal: ordered twice, it is one delivery.

        number: of withdrawals that came to nothing before
        """
        pseudonyms, now = self._services.pseudonyms, self._services.clock.now()
        again = f"|{number}" if number else ""
        if deposit is not None:
            old = deposit.delivery
            event_id = _digest(f"withdraw|{old.id}|{old.replay}{again}")
            return replace(
                old,
                id=delivery_id(event_id, f"{old.sink}|{old.destination}"),
                event_id=event_id,
                payload=payload,
                pipeline=PIPELINE,
                digest="",
                action=DELETE,
                replay=0,
                created=now,
            )
        structure, request = order.structure, order.request
        sink = structure.sink_of(DMP.name) if structure else ""
        if structure is None or not sink:
            raise Refused("WITHDRAW-STRUCTURE", "PRT-8", "le site ne connaît pas de DMP pour cette structure")
        key, document = ordering_key(request, pseudonyms), document_pseudonym(request, pseudonyms)
        event_id = _digest(f"withdraw|{document}{again}")
        return Delivery(
            id=delivery_id(event_id, f"{sink}|dmp"),
            event_id=event_id,
            sink=sink,
            destination="dmp",
            key=key,
            lane=f"{key}:{structure.finess}",
            payload=payload,
            origin=Origin("none", 0, 0),
            pipeline=PIPELINE,
            lineage=lineage(request, pseudonyms),
            document=document,
            action=DELETE,
            created=now,
            label="DMP",
            structure=structure.finess,
        )


def _deposit(versions: Sequence[Row], pseudonym: str, document: str) -> Row | None:
    """The last deposit that was made of this document; else the last that was to be made."""
    mine = [
        row
        for row in versions
        if row.delivery.action != DELETE
        and (row.delivery.document == pseudonym or document in dict(deposit_history.deposited_ids(row)).values())
    ]
    done = [row for row in mine if row.state is State.DONE]
    return next(reversed(done or mine), None)


def _still_there(deposit: Row, versions: Sequence[Row]) -> None:
    """Raises `Refused` when a later delivery took its place, naming it."""
    mine = [row for row in versions if same_structure(row.delivery.structure, deposit.delivery.structure)]
    after = [row for row in mine if row.state is State.DONE and later(row, deposit)]
    for row in after:
        if row.delivery.action == DELETE:
            text = filled("ce document n'est plus au DMP : {text}", text=proof(row, EVIDENCE))
            raise Refused("WITHDRAW-DONE", "", text)
    for row in after:
        if row.delivery.replaces and row.delivery.replaces == deposit.delivery.document:
            name = row.evidence.get("xds_unique_id", row.delivery.id)
            raise Refused(
                "WITHDRAW-REPLACED", "", filled("remplacé depuis par {name} : retirer cette version-là", name=name)
            )


def _became(row: Row) -> str:
    if row.state is State.DEAD:
        return filled(
            "en échec ({code}) ; corriger, puis `segur-router dlq replay {name}`", code=row.code, name=row.delivery.id
        )
    return proof(row, EVIDENCE) or N_("en cours")


def _as_deletion(order: DocumentOrder) -> DocumentOrder:
    """The same request as a deletion. No acknowledgement: the sender did not ask for this one."""
    request = order.request.model_copy(
        update={
            "action": Action.DELETE,
            "dmp": True,
            "dmp_inadmissible": None,
            "ack_reception": False,
            "ack_lecture": False,
            "recipients": (),
        }
    )
    return order.model_copy(update={"request": request, "recipient": None, "options": {WITHDRAWN: True}})


def _entries(planned: Withdrawal, services: SiteServices, by: str, reason: str) -> list[JournalEntry]:
    delivery, request, now = planned.delivery, planned.order.request, services.clock.now()
    own = JournalEntry(
        event_id=delivery.event_id,
        kind="received",
        at=now,
        feed=delivery.feed,
        control_id=request.control_id,
        source=PIPELINE,
        dialect=str(request.dialect),
        asked=("dmp",),
        **journalled(request, services.pseudonyms) | {"action": DELETE, "lineage": delivery.lineage},
    )
    said = JournalEntry(
        event_id=delivery.event_id,
        kind="command",
        at=now,
        feed=delivery.feed,
        source=by,
        code=COMMAND,
        text=" ".join((ORDERED, reason)),
    )
    decided = JournalEntry(
        event_id=delivery.event_id,
        kind="decided",
        at=now,
        feed=delivery.feed,
        pipeline=PIPELINE,
        deliveries=((delivery.id, delivery.sink, delivery.label),),
    )
    entries = [own, said, decided]
    if planned.deposit is not None:
        entries.append(replace(said, event_id=planned.deposit.delivery.event_id))
    return entries


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
