"""One event's lines, as the gateway, a pipeline, a sink and the mailbox write them."""

from __future__ import annotations

from typing import Any

from router.exchange import Decision, Disposition, JournalEntry, Receipt, ReceiptKind, State

START = 1_700_000_000.0
OID = "1.2.250.1.213.1.1.9.1"


def received(event: str = "e" * 64, at: float = START, **changes: Any) -> JournalEntry:
    facts: dict[str, Any] = {
        "feed": "sil",
        "control_id": "MSG0001",
        "sender": "SIL|LABO",
        "source": "mllp",
        "dialect": "2.1",
        "action": "initial",
        "asked": ("dmp", "mssante"),
        "documents": (f"{OID}^77",),
        "lineage": "lineage-1",
        "patients": ("pseudonym-1",),
        "ack": "AA",
        "size": 293_000,
        "warnings": ("R51 valeur hors jeu",),
    }
    return JournalEntry(event_id=event, kind="received", at=at, **facts | changes)


def decided(event: str = "e" * 64, at: float = START + 1) -> JournalEntry:
    return JournalEntry(
        event_id=event,
        kind="decided",
        at=at,
        feed="sil",
        pipeline="biologie",
        decisions=(Decision("look_up", "adresse donnée par l'émetteur"),),
        deliveries=(("d" * 31 + "1", "dmp.chu", "DMP"), ("d" * 31 + "2", "mssante.chu", "adam.hoda@x.mssante.fr")),
    )


def receipt(number: int, at: float, kind: ReceiptKind = ReceiptKind.DELIVERY, **changes: Any) -> Receipt:
    sink, label = {1: ("dmp.chu", "DMP"), 2: ("mssante.chu", "adam.hoda@x.mssante.fr")}[number]
    facts: dict[str, Any] = {
        "delivery_id": "d" * 31 + str(number),
        "event_id": "e" * 64,
        "sink": sink,
        "label": label,
        "ok": True,
        "feed": "sil",
        "pipeline": "biologie",
        "attempt": 1,
    }
    if kind is ReceiptKind.DELIVERY:
        facts |= {"disposition": Disposition.DELIVERED, "state": State.DONE}
    return Receipt(kind=kind, at=at, **facts | changes)


def whole() -> tuple[list[JournalEntry], list[Receipt]]:
    """Received, decided, DMP at the third try, mail at once, then its DSN."""
    waits = {"ok": False, "state": State.WAITING, "code": "DMP-503", "text": "service indisponible"}
    return [received(), decided()], [
        receipt(1, START + 2, ReceiptKind.ATTEMPT, attempt=1, **waits),
        receipt(1, START + 3, ReceiptKind.ATTEMPT, attempt=2, **waits),
        receipt(2, START + 4, evidence={"message_id": "<abc@segur>", "smtp": "250 2.0.0"}),
        receipt(1, START + 5, attempt=3, evidence={"xds_unique_id": OID, "submission_set": "2.25.99"}),
        receipt(2, START + 9, ReceiptKind.DSN, evidence={"envid": "d" * 31 + "2"}),
    ]
