"""How events, deliveries, receipts and journal entries stand on the bus: record headers and JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter

from router.contracts import EVENT_FORMAT, JOURNAL, RECEIPTS, Bus, Header, Outgoing, Record, Row, in_topic, out_topic
from router.errors import Malformed, OperatorFault
from router.exchange import Delivery, Event, JournalEntry, Origin, Receipt
from router.language import filled
from router.sealing.envelope import DAMAGED

_RECEIPT = TypeAdapter(Receipt)
_ENTRY = TypeAdapter(JournalEntry)

#: Delivery field -> record header. `payload` is the value, `key` the record's key.
_TEXTS = {
    "id": Header.DELIVERY,
    "event_id": Header.ID,
    "sink": Header.SINK,
    "destination": "destination",
    "lane": "lane",
    "feed": Header.FEED,
    "pipeline": Header.PIPELINE,
    "digest": Header.DIGEST,
    "lineage": "lineage",
    "document": "document",
    "replaces": "replaces",
    "action": "action",
    "label": "label",
    "structure": Header.STRUCTURE,
    "order": "order",
}

NEWER_FORMAT: Final = "EVENT-FORMAT"
"""Code of the fault that says: a newer version wrote this event, and this process can't read it."""
_OF_THE_RECORD = frozenset({Header.FORMAT, Header.VERDICT})
"""Headers that say how a record of `in.<feed>` is written; they are nothing of its event."""


def event_record(event: Event) -> Outgoing:
    """An accepted event, for `in.<feed>`: its bytes, then the verdict where there is one."""
    headers = {**event.headers, Header.FORMAT: str(EVENT_FORMAT), Header.ID: event.id, Header.FEED: event.feed}
    if event.verdict:
        headers[Header.VERDICT] = str(len(event.verdict))
    return Outgoing(in_topic(event.feed), event.key, event.body + event.verdict, headers)


def read_event(record: Record) -> Event:
    """An event as read from `in.<feed>`; a replayed one keeps its first origin. Its body is what the sender sent.

    Raises KeyError or ValueError when a header is missing, or is not what we write; `OperatorFault` (`EVENT-FORMAT`)
    when a newer version wrote the record: it must wait for processes of that version.
    """
    if (form := int(record.headers.get(Header.FORMAT, "1"))) > EVENT_FORMAT:
        text = filled(
            "events of format {number}, by a newer segur-router: upgrade this process, which reads up to {most}",
            number=form,
            most=EVENT_FORMAT,
        )
        raise OperatorFault(NEWER_FORMAT, record.topic, text)
    headers = {name: value for name, value in record.headers.items() if name not in _OF_THE_RECORD}
    origin = Origin.parse(headers[Header.ORIGIN]) if Header.ORIGIN in headers else record.origin
    if record.damaged:
        return Event(headers[Header.ID], headers[Header.FEED], record.key, b"", headers, origin, damaged=True)
    end = len(record.value) - int(record.headers.get(Header.VERDICT, "0"))
    if not 0 <= end <= len(record.value):
        raise ValueError("the verdict is longer than the record")
    body, verdict = record.value[:end], record.value[end:]
    return Event(headers[Header.ID], headers[Header.FEED], record.key, body, headers, origin, verdict)


def damaged(topic: str) -> Malformed:
    """Why a record that was changed on the disk is a dead letter."""
    return Malformed(DAMAGED, topic, "the bus holds something else than what was sealed: see the disk, then send again")


def delivery_headers(delivery: Delivery) -> dict[str, str]:
    """Everything of a delivery but its payload and its key."""
    headers = {header: value for name, header in _TEXTS.items() if (value := getattr(delivery, name))}
    headers[Header.ORIGIN] = str(delivery.origin)
    headers["created"] = f"{delivery.created:.3f}"
    if delivery.strict:
        headers["strict"] = "1"
    if delivery.replay:
        headers["replay"] = str(delivery.replay)
    return headers


def delivery_record(delivery: Delivery, topic: str = "") -> Outgoing:
    """A delivery, for `out.<sink>` (or another topic, for `held` and the dead letters)."""
    return Outgoing(topic or out_topic(delivery.sink), delivery.key, delivery.payload, delivery_headers(delivery))


def read_delivery(record: Record) -> Delivery:
    """A delivery as read. Raises `Malformed` when a header is missing: nobody but us writes these topics; or when the
    bus holds something else than what was written."""
    headers = record.headers
    if record.damaged:
        raise damaged(record.topic)
    try:
        return Delivery(
            **{name: headers.get(header, "") for name, header in _TEXTS.items()},
            key=record.key,
            payload=record.value,
            origin=Origin.parse(headers[Header.ORIGIN]),
            created=float(headers["created"]),
            strict="strict" in headers,
            replay=int(headers.get("replay", "0")),
        )
    except (KeyError, ValueError) as error:
        raise Malformed("DELIVERY", record.topic, "a delivery record lacks a header") from error


def record_at(bus: Bus, place: Origin, header: str, value: str) -> Record | None:
    """The record at a place, if it is the one whose `header` says `value`.

    None when it was trimmed or damaged, and when something else stands there: a topic that was made anew, or a broker
    that was restored, gives the places of old records to new ones, and nobody may get another one's document.
    """
    record = bus.read(place)
    found = record is not None and not record.damaged and record.headers.get(header, "") == value
    return record if found else None


def delivery_at(bus: Bus, row: Row) -> Record | None:
    """The record in which a row says that its bytes stand, or None, see `record_at`."""
    return record_at(bus, row.bytes_at, Header.DELIVERY, row.delivery.id)


def event_at(bus: Bus, place: Origin, event_id: str) -> Record | None:
    """The record of an accepted event, or None, see `record_at`."""
    return record_at(bus, place, Header.ID, event_id)


def receipt_record(receipt: Receipt) -> Outgoing:
    headers = {Header.ID: receipt.event_id, Header.DELIVERY: receipt.delivery_id}
    return Outgoing(RECEIPTS, receipt.key, _RECEIPT.dump_json(receipt, exclude_defaults=True), headers)


def read_receipt(record: Record) -> Receipt:
    return _RECEIPT.validate_json(record.value)


def journal_record(entry: JournalEntry) -> Outgoing:
    return Outgoing(
        JOURNAL, entry.event_id, _ENTRY.dump_json(entry, exclude_defaults=True), {Header.ID: entry.event_id}
    )


def read_journal(record: Record) -> JournalEntry:
    return _ENTRY.validate_json(record.value)


def weight(records: Sequence[Outgoing | Record]) -> int:
    """Bytes of a batch: a transaction carries at most 8 MB of them (architecture §budgets)."""
    return sum(len(record.value) for record in records)
