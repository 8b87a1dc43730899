"""Journal entries and receipts as rows: pure, so that a batch is prepared before the database is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from router.engine.delivery.command_handler import REFUSALS
from router.exchange import JournalEntry, Receipt, ReceiptKind
from router.journal.terms import owner, terms_of, typed
from router.sinks import registry

ENTRY: Final = TypeAdapter(JournalEntry)
RECEIPT: Final = TypeAdapter(Receipt)

_IDENTIFIERS: Final = registry.identifiers()
_EVENT_TEXTS: Final = ("feed", "control_id", "sender", "source", "dialect", "action", "ack", "code")
_LONGEST: Final = 500
"""Characters of an identifier that are kept for the search: an index of PostgreSQL takes 2,704 bytes, or the batch
could never be written."""
_BEGINNING: Final = re.compile(r"[0-9a-f]{8,64}")
_HEX: Final = re.compile(r"[0-9a-fA-F-]{32,36}")


@dataclass(slots=True)
class Rows:
    """What one batch writes, table by table; equal keys appear once."""

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    terms: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(event id, term) -> row."""
    touched: dict[str, float] = field(default_factory=dict)
    """Every event that a line is of -> the time of the latest."""

    @classmethod
    def of(cls, entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> Rows:
        rows = cls()
        for entry in entries:
            rows._entry(entry)
        for receipt in receipts:
            rows._receipt(receipt)
        return rows

    def stand_at(self, places: Mapping[str, tuple[int, float]]) -> None:
        """Tell every row where its event stands: event id -> (day, received)."""
        for table in (self.entries, self.receipts):
            for row in table.values():
                row["day"] = places[row["event_id"]][0]
        for row in self.deliveries.values():
            row["day"], row["received"] = places[row["event_id"]]
        for row in self.terms.values():
            row["day"], row["at"] = places[row["event_id"]]

    def _entry(self, entry: JournalEntry) -> None:
        body = ENTRY.dump_json(entry, exclude_defaults=True)
        key = _digest(body)
        self.entries[key] = {
            "digest": key,
            "event_id": clean(entry.event_id),
            "at": entry.at,
            "kind": entry.kind,
            "body": body.decode(),
        }
        self._touch(entry.event_id, entry.at)
        if entry.kind in ("received", "refused"):
            self._event(entry)
        for delivery, sink, label in entry.deliveries:
            self._delivery(delivery, entry, sink, label)
        for value in _identifiers(entry):
            self._identify(value, entry.event_id)
        for term in terms_of(entry):
            self._term(term, entry.event_id)

    def _event(self, entry: JournalEntry) -> None:
        row: dict[str, Any] = {name: clean(getattr(entry, name)) for name in _EVENT_TEXTS}
        row |= {"event_id": clean(entry.event_id), "received": entry.at, "touched": entry.at, "size": entry.size}
        row |= {"level": entry.level, "qualified": entry.qualified, "document_type": clean(entry.document_type)}
        row["structure"] = clean(owner(entry))
        row["asked"] = " ".join(entry.asked)
        known = self.events.get(row["event_id"])
        if known is None or known["received"] > entry.at:
            self.events[row["event_id"]] = row

    def _delivery(self, delivery: str, entry: JournalEntry, sink: str, label: str) -> None:
        """A delivery that was decided; what its receipts say of it later weighs more."""
        if entry.kind != "decided" or delivery in self.deliveries:
            return
        self.deliveries[delivery] = {
            "delivery_id": delivery,
            "event_id": clean(entry.event_id),
            "at": 0.0,
            "attempts": 0,
            "ended": False,
            "sink": sink,
            "label": clean(label),
            "pipeline": entry.pipeline,
            "disposition": "",
            "state": "",
            "code": "",
            "text": "",
        }

    def _receipt(self, receipt: Receipt) -> None:
        body = RECEIPT.dump_json(receipt, exclude_defaults=True, exclude={"spoken"})
        key = _digest(body)
        self.receipts[key] = {
            "digest": key,
            "event_id": clean(receipt.event_id),
            "delivery_id": receipt.delivery_id,
            "at": receipt.at,
            "body": body.decode(),
        }
        self._touch(receipt.event_id, receipt.at)
        self._identify(receipt.delivery_id, receipt.event_id)
        for name in _IDENTIFIERS:
            for value in receipt.evidence.get(name, "").split():
                self._identify(value.strip("<>,;"), receipt.event_id)
        # A command that was refused says nothing new of its delivery, which stands as it stood.
        if receipt.kind in (ReceiptKind.DELIVERY, ReceiptKind.ATTEMPT) and receipt.code not in REFUSALS:
            self._outcome(receipt)

    def _outcome(self, receipt: Receipt) -> None:
        known = self.deliveries.get(receipt.delivery_id)
        if known is not None and known["at"] > receipt.at:
            return
        self.deliveries[receipt.delivery_id] = {
            "delivery_id": receipt.delivery_id,
            "event_id": clean(receipt.event_id),
            "at": receipt.at,
            "attempts": receipt.attempt,
            "ended": receipt.disposition is not None,
            "sink": receipt.sink,
            "label": clean(receipt.label),
            "pipeline": receipt.pipeline,
            "disposition": str(receipt.disposition or ""),
            "state": str(receipt.state or ""),
            "code": clean(receipt.code),
            "text": clean(receipt.text),
        }

    def _identify(self, value: str, event_id: str) -> None:
        if value and event_id:
            self._term(named(value), event_id)

    def _term(self, term: str, event_id: str) -> None:
        event_id = clean(event_id)
        self.terms.setdefault((event_id, term), {"event_id": event_id, "term": term})

    def _touch(self, event_id: str, at: float) -> None:
        event_id = clean(event_id)
        self.touched[event_id] = max(at, self.touched.get(event_id, 0.0))


def named(value: str) -> str:
    """The term of an id: whatever somebody may know the event, a delivery or its patient by."""
    return f"id:{clean(value)[:_LONGEST]}"


def asked_ids(text: str) -> list[str]:
    """The forms under which an id that a person typed or pasted may stand in the index, likeliest first."""
    text = typed(text).strip().strip("<>").removeprefix("urn:oid:").removeprefix("urn:uuid:")
    forms = [text]
    if _HEX.fullmatch(text):
        forms.append(text.replace("-", "").lower())
    if "^" in text:
        forms.append(text.split("^", 1)[0])
    return list(dict.fromkeys(form[:_LONGEST] for form in forms if form))


def beginning(text: str) -> tuple[str, str] | None:
    """(first, end) of the event ids that begin with this text; None when it is not the beginning of one."""
    text = text.strip().lower()
    return (text, f"{text}g") if _BEGINNING.fullmatch(text) else None


def clean(text: str) -> str:
    """PostgreSQL takes no NUL in a text."""
    return text.replace("\0", "") if "\0" in text else text


def _identifiers(entry: JournalEntry) -> Iterator[str]:
    """The event's own id is the key of its row."""
    yield entry.control_id
    yield entry.lineage
    yield from entry.patients
    yield from (delivery for delivery, _, _ in entry.deliveries)
    yield from (form for document in entry.documents for form in _document_forms(document))


def _document_forms(document: str) -> Iterable[str]:
    """`root^extension` is also found by its root alone."""
    return dict.fromkeys((document, document.split("^", 1)[0]))


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
