"""Reports as mail servers and receivers write them, and a bus with one mail in flight; fictitious addresses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Row, TopicPlan, out_topic
from router.exchange import Delivery, Disposition, Origin, Pseudonyms, Receipt, ReceiptKind, State
from router.feedback.correlate import Correlator
from router.ledger.store import SqlLedger
from router.payload import DocumentOrder, reply_context, unpack_order
from router.request import Recipient
from router.sinks.mssante.mail import message_id
from router.sinks.registry import leg_of
from router.wire import delivery_record
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, delivery, order

NOW = 1_795_600_000.0
SINK = "mssante.chu"
HL7 = "hl7.sil"
PSEUDONYMS = Pseudonyms(b"test")


class Station:
    """An embedded bus and ledger, with the topics that feedback uses."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.bus = SqliteBus(folder / "bus.db", partitions=2)
        self.ledger = SqlLedger(f"sqlite:///{folder / 'ledger.db'}")
        names = ("receipts", out_topic(SINK), out_topic(HL7), "in.sil")
        self.bus.create([TopicPlan(name, 2, 14 * 86_400.0, 32 * 2**20) for name in names])

    def sent(self, given: DocumentOrder | None = None, **changes: Any) -> Delivery:
        """A mail that was submitted: its record on the bus, its row done."""
        evidence = changes.pop("evidence", {})
        made = delivery(given or order(), **({"feed": "sil", "label": "adam.hoda@…"} | changes))
        (origin,) = self.bus.producer("test").publish([delivery_record(made)])
        row = Row(
            delivery=made,
            partition=origin.partition,
            sequence=origin.offset,
            bytes_at=origin,
            state=State.DONE,
            evidence={"message_id": message_id(made.id, MAILBOX)} | evidence,
        )
        self.ledger.open([row])
        self.ledger.save([row])
        return made

    def correlator(self, sinks: Collection[str] = (SINK,)) -> Correlator:
        return Correlator(self.bus, self.ledger, sinks, PSEUDONYMS)

    def close(self) -> None:
        self.ledger.close()
        self.bus.close()


def receipt(given: Delivery, **changes: Any) -> Receipt:
    """The receipt of a submission that went well, unless changed."""
    context = reply_context(unpack_order(given.payload), leg_of(given.sink)) | changes.pop("more", {})
    return Receipt(
        **{
            "delivery_id": given.id,
            "event_id": given.event_id,
            "sink": given.sink,
            "kind": ReceiptKind.DELIVERY,
            "ok": True,
            "at": NOW,
            "disposition": Disposition.DELIVERED,
            "feed": "sil",
            "key": given.key,
            "context": context,
            "evidence": {"dsn": "1"},
            **changes,
        }
    )


def an_order(recipient: Recipient, **changes: Any) -> DocumentOrder:
    return order(recipient=recipient, **changes)


def dsn(
    identity: str,
    action: str = "delivered",
    *,
    status: str = "2.0.0",
    diagnostic: str = "smtp; 250 2.0.0 Ok",
    envid: bool = True,
    original: bool = True,
    extra: Sequence[str] = (),
    recipient: str = DOCTOR,
    return_path: str | None = "<>",
    top: Sequence[str] = (),
) -> bytes:
    """A DSN in the form of RFC 3464. `identity`: the delivery's id, or an ENVID that begins with it."""
    lines = [
        *([] if return_path is None else [f"Return-Path: {return_path}"]),
        *top,
        "From: MAILER-DAEMON@relais.mssante.fr (Mail Delivery System)",
        f"To: {MAILBOX}",
        "Subject: Successful Mail Delivery Report",
        "Date: Mon, 25 Nov 2024 06:00:10 +0100",
        "Message-ID: <dsn-1@relais.mssante.fr>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"',
        "",
        "--B",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "Your message was handled.",
        "",
        "--B",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; relais.mssante.fr",
        *([f"Original-Envelope-Id: {identity}"] if envid else []),
        "Arrival-Date: Mon, 25 Nov 2024 05:59:58 +0100",
        "",
        f"Original-Recipient: rfc822;{recipient.replace('-', '+2D')}",
        f"Final-Recipient: rfc822; {recipient}",
        f"Action: {action}",
        f"Status: {status}",
        f"Diagnostic-Code: {diagnostic}",
        "Last-Attempt-Date: Mon, 25 Nov 2024 06:00:05 +0100",
        *extra,
        "",
        "--B",
        "Content-Type: text/rfc822-headers",
        "",
        *([f"Message-ID: {message_id(identity[:32], MAILBOX)}"] if original else []),
        f"To: {recipient}",
        "",
        "--B--",
        "",
    ]
    return "\r\n".join(lines).encode()


def mdn(
    identity: str,
    disposition: str,
    *,
    error: str = "",
    subject: str = "XDM/1.0/DDM+CR",
    reader: str = DOCTOR,
    sender: str = DOCTOR,
    about: str | None = None,
    blank: bool = True,
    original: str | None = None,
    top: Sequence[str] = (),
) -> bytes:
    """An MDN; `blank=False` gives the shape of the national example, whose report part has no blank line."""
    lines = [
        *top,
        f"From: {sender}",
        f"To: {MAILBOX}",
        f"Subject: {subject}",
        "Date: Mon, 25 Nov 2024 07:00:00 +0100",
        "Message-ID: <mdn-1@test-ci-sis.mssante.fr>",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="B"',
        "",
        "--B",
        "Content-Type: text/plain",
        "",
        "Le document a été traité.".encode().decode("latin-1"),
        "",
        "--B",
        "Content-Type: message/disposition-notification",
        *([""] if blank else []),
        "Reporting-UA: lps; exemple",
        f"Original-Recipient: rfc822;{reader if original is None else original} ",
        f"Final-Recipient: rfc822;{reader} ",
        *([f"Original-Message-ID: {message_id(identity, MAILBOX).replace('>', ' >')}"] if about is None else []),
        *([f"Original-Message-ID: {about}"] if about else []),
        f"Disposition:{disposition}",
        *([f"Error: {error}"] if error else []),
        "",
        "--B",
        "Content-Type: message/rfc822",
        "",
        f"To: {DOCTOR}",
        "",
        "corps",
        "--B--",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def letter(**headers: str) -> bytes:
    """A plain mail with these headers; `body` is its text."""
    body = headers.pop("body", "Bonjour")
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    head = "\r\n".join(f"{name}: {value}" for name, value in names.items())
    return f"{head}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n".encode()


ORIGIN = Origin("receipts", 0, 7)
