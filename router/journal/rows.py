"""Journal entries and receipts as rows: pure, so that a batch is prepared before the database is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from router.engine.delivery.command_handler import REFUSALS
from router.exchange import JournalEntry, Receipt, ReceiptKind
from router.journal import numbers
from router.journal.terms import owner, term, terms_of, typed
from router.sinks import registry

ENTRY: Final = TypeAdapter(JournalEntry)
RECEIPT: Final = TypeAdapter(Receipt)

_IDENTIFIERS: Final = registry.identifiers()
_EVENT_TEXTS: Final = ("feed", "control_id", "sender", "source", "dialect", "action", "ack", "code")
_LONGEST: Final = 500
"""Characters of an identifier that count."""
_HEX: Final = re.compile(r"[0-9a-fA-F-]{32,36}")


@dataclass(slots=True)
class Rows:
    """What one batch writes, table by table; equal keys appear once."""

    entries: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """(event, line) -> row."""
    receipts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    terms: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    """(term, event) -> row."""
    touched: dict[int, float] = field(default_factory=dict)
    """Every event that a line is of -> the time of the latest."""
    names: dict[int, str] = field(default_factory=dict)
    """Event -> its id."""

    @classmethod
    def of(cls, entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> Rows:
        rows = cls()
        for entry in entries:
            rows._entry(entry)
        for receipt in receipts:
            rows._receipt(receipt)
        return rows

    def stand_at(self, places: Mapping[int, tuple[int, float]]) -> None:
        """Tell every row where its event stands: event -> (day, received)."""
        for table in (self.entries, self.receipts):
            for row in table.values():
                row["day"] = places[row["event"]][0]
        for row in self.deliveries.values():
            row["day"], row["received"] = places[row["event"]]
        for row in self.terms.values():
            row["day"], row["at"] = places[row["event"]]

    def _entry(self, entry: JournalEntry) -> None:
        body = ENTRY.dump_json(entry, exclude_defaults=True).decode()
        event, line = self._touched(entry.event_id, entry.at), numbers.of_text(body)
        self.entries[event, line] = {"event": event, "line": line, "at": entry.at, "kind": entry.kind, "body": body}
        if entry.kind in ("received", "refused"):
            self._event(event, entry)
        for delivery, sink, label in entry.deliveries:
            self._delivery(event, delivery, entry, sink, label)
        for value in _identifiers(entry):
            self._identify(value, event)
        for name in terms_of(entry):
            self._term(name, event)

    def _event(self, event: int, entry: JournalEntry) -> None:
        row: dict[str, Any] = {name: clean(getattr(entry, name)) for name in _EVENT_TEXTS}
        row |= {
            "event": event,
            "event_id": self.names[event],
            "received": entry.at,
            "touched": entry.at,
            "size": entry.size,
        }
        row |= {"level": entry.level, "qualified": entry.qualified, "document_type": clean(entry.document_type)}
        row["structure"] = clean(owner(entry))
        row["asked"] = " ".join(entry.asked)
        known = self.events.get(event)
        if known is None or known["received"] > entry.at:
            self.events[event] = row

    def _delivery(self, event: int, delivery: str, entry: JournalEntry, sink: str, label: str) -> None:
        """A delivery that was decided; what its receipts say of it later weighs more."""
        if entry.kind != "decided" or delivery in self.deliveries:
            return
        self.deliveries[delivery] = {
            "delivery_id": delivery,
            "event": event,
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
        body = RECEIPT.dump_json(receipt, exclude_defaults=True, exclude={"spoken"}).decode()
        event, line = self._touched(receipt.event_id, receipt.at), numbers.of_text(body)
        self.receipts[event, line] = {"event": event, "line": line, "at": receipt.at, "body": body}
        self._identify(receipt.delivery_id, event)
        self._term(term("sink", receipt.sink), event)
        if receipt.kind is ReceiptKind.DSN and not receipt.ok and receipt.code:
            self._term(term("code", clean(receipt.code)), event)  # a report changes no row of the deliveries
        for name in _IDENTIFIERS:
            for value in receipt.evidence.get(name, "").split():
                self._identify(value.strip("<>,;"), event)
        # A command that was refused says nothing new of its delivery, which stands as it stood.
        if receipt.kind in (ReceiptKind.DELIVERY, ReceiptKind.ATTEMPT) and receipt.code not in REFUSALS:
            self._outcome(event, receipt)

    def _outcome(self, event: int, receipt: Receipt) -> None:
        known = self.deliveries.get(receipt.delivery_id)
        if known is not None and known["at"] > receipt.at:
            return
        self.deliveries[receipt.delivery_id] = {
            "delivery_id": receipt.delivery_id,
            "event": event,
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

    def _identify(self, value: str, event: int) -> None:
        if value and self.names[event]:
            self._term(named(value), event)

    def _term(self, name: str, event: int) -> None:
        number = numbers.of_text(name)
        self.terms.setdefault((number, event), {"term": number, "event": event})

    def _touched(self, event_id: str, at: float) -> int:
        """The event's number."""
        event_id = clean(event_id)
        event = numbers.of_event(event_id)
        self.names[event] = event_id
        self.touched[event] = max(at, self.touched.get(event, 0.0))
        return event


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
