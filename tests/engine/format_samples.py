"""One record of each kind that processes hand each other over the bus, as the writers of the code at hand make it.

Only fields that 0.3.0 has. `python -m tests.engine.format_samples` with its code wrote `data/records_0.3.0.json`.
"""

from __future__ import annotations

import json
from typing import Any

from router.contracts import Header, Outgoing
from router.exchange import (
    Decision,
    Delivery,
    Disposition,
    Event,
    JournalEntry,
    Origin,
    Receipt,
    ReceiptKind,
    State,
    delivery_id,
)
from router.payload import pack
from router.wire import delivery_record, event_record, journal_record, receipt_record
from tests.sinks.mssante_samples import order

ORIGIN = Origin("in.sil", 3, 41)
EVENT = Event(
    id="e" * 64, feed="sil", key="0123456789abcdef", body=b"MSH|^~\\&|SIL\r",
    headers={
        Header.ID: "e" * 64, Header.FEED: "sil", Header.KIND: "hl7", Header.RECEIVED: "1764500000.125",
        Header.CHECKED: "cisis-2.1.3/2", Header.ACK: "AA", Header.ACK_BYTES: "TVNB", Header.CONTROL: "M1",
        Header.SOURCE: "mllp", Header.STRUCTURES: "750100125",
    },
    verdict=b'{"mark":"x"}',
)  # fmt: skip
ORDER = order().model_copy(update={"options": {"corps": "complet", "copies": 2, "avis": True}})
DOCUMENTS = [b"<ClinicalDocument/>", b""]
DELIVERY = Delivery(
    id=delivery_id("e" * 64, "dmp"), event_id="e" * 64, sink="dmp.essai", destination="dmp", key="0123456789abcdef",
    lane="0123456789abcdef:dmp", payload=pack(ORDER, DOCUMENTS), origin=ORIGIN, feed="sil", pipeline="national",
    digest="d" * 16, lineage="1" * 32, document="2" * 32, replaces="3" * 32, action="replace", strict=True, replay=2,
    created=1764500001.5, label="DMP",
)  # fmt: skip
RECEIPT = Receipt(
    delivery_id=DELIVERY.id, event_id=EVENT.id, sink="dmp.essai", kind=ReceiptKind.DELIVERY, ok=False, at=1764500002.5,
    disposition=Disposition.DEAD_LETTERED, state=State.DEAD, attempt=3, code="DMP-DMPClosed", place="TD2.1",
    text="refusé", feed="sil", key=EVENT.key, destination="dmp", label="DMP", pipeline="national",
    evidence={"submission_set": "1.2.3"}, context={"control_id": "M1", "leg": "dmp"},
)  # fmt: skip
ENTRY = JournalEntry(
    event_id=EVENT.id, kind="decided", at=1764500001.5, feed="sil", control_id="M1", sender="SIL|LABO",
    origin=str(ORIGIN), source="mllp", dialect="ORU", action="initial", asked=("dmp", "mssante"), documents=("1.2.3",),
    lineage="1" * 32, patients=("4" * 32,), pipeline="national", digest="d" * 16, ack="AA", code="", size=12,
    warnings=("R12",), decisions=(Decision("route", "un destinataire", "ROUTE"),),
    deliveries=((DELIVERY.id, "dmp.essai", "DMP"),),
)  # fmt: skip


def records() -> list[Outgoing]:
    return [event_record(EVENT), delivery_record(DELIVERY), receipt_record(RECEIPT), journal_record(ENTRY)]


def as_json(record: Outgoing) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "key": record.key,
        "headers": dict(record.headers),
        "value": record.value.decode("latin-1"),
    }


if __name__ == "__main__":
    print(json.dumps([as_json(one) for one in records()], indent=1, sort_keys=True))
