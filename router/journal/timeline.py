"""From the lines of the journal to one event's story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.exchange import JournalEntry, Receipt, ReceiptKind, same_structure
from router.french_time import clock, day
from router.journal.views import DeliveryState, EventStory, EventSummary, Moment, MomentKind
from router.language import N_, T_, filled
from router.request import Action

DELETED_BEFORE: Final = T_(
    "document {document} : sa suppression a été demandée par le message {name} le {day} à {time}. Le DMP ne reprend "
    "pas un identifiant supprimé ; les mails demandés partent"
)
_ENTRY_KINDS: Final[dict[str, MomentKind]] = {
    "received": "received",
    "duplicate": "duplicate",
    "refused": "refused",
    "decided": "decided",
    "filtered": "filtered",
    "dead": "dead",
    "command": "command",
}
_RECEIPT_KINDS: Final[dict[ReceiptKind, MomentKind]] = {
    ReceiptKind.DELIVERY: "delivery",
    ReceiptKind.ATTEMPT: "attempt",
    ReceiptKind.DSN: "dsn",
    ReceiptKind.MDN: "mdn",
}
#: Lines of the same instant stand in the order in which things happen.
_ORDER: Final = ("received", "refused", "duplicate", "warning", "decision", "decided", "filtered", "dead", "command")


def tell(
    event: EventSummary,
    entries: Sequence[JournalEntry],
    receipts: Sequence[Receipt],
    deliveries: Sequence[DeliveryState],
) -> EventStory:
    """Join what is known of one event, in order of time."""
    moments = [moment for entry in entries for moment in _of_entry(entry)]
    moments += [_of_receipt(receipt) for receipt in receipts]
    documents = dict.fromkeys(document for entry in entries for document in entry.documents)
    return EventStory(
        event=event,
        documents=tuple(documents),
        deliveries=tuple(sorted(deliveries, key=lambda delivery: (delivery.sink, delivery.label))),
        timeline=tuple(sorted(moments, key=_when)),
        origin=next((entry.origin for entry in entries if entry.origin), ""),
        lineage=next((entry.lineage for entry in entries if entry.lineage), ""),
    )


def deleted_before(story: EventStory, earlier: Mapping[str, Sequence[EventSummary]]) -> EventStory:
    """The story with a warning for each document that was to be deleted before this message sent it anew.

    earlier: by document, the messages about it. A deletion of another structure says nothing of this one's.
    """
    found = list(story.timeline)
    for name, messages in earlier.items():
        gone = [one for one in messages if one.action == Action.DELETE and one.received < story.event.received]
        gone = [one for one in gone if one.ack in ("", "AA") and same_structure(one.structure, story.event.structure)]
        if gone:
            last = max(gone, key=lambda one: one.received)
            text = filled(
                DELETED_BEFORE,
                document=name,
                name=last.control_id or last.event_id[:8],
                day=day(last.received),
                time=clock(last.received),
            )
            found.append(Moment(at=story.event.received, kind="warning", text=text))
    return replace(story, timeline=tuple(sorted(found, key=_when)))


def outline(event_id: str, entries: Sequence[JournalEntry], receipts: Sequence[Receipt]) -> EventSummary:
    """The summary of an event of which the journal has lines but not (or no longer) its reception."""
    times = [entry.at for entry in entries] + [receipt.at for receipt in receipts]
    first = entries[0] if entries else JournalEntry(event_id=event_id, kind="received", at=0.0)
    feed = first.feed or next((receipt.feed for receipt in receipts), "")
    return EventSummary(
        event_id=event_id,
        received=min(times, default=0.0),
        touched=max(times, default=0.0),
        feed=feed,
        control_id=first.control_id,
    )


def _of_entry(entry: JournalEntry) -> Iterator[Moment]:
    kind = _ENTRY_KINDS.get(entry.kind, "command")
    for warning in entry.warnings:
        yield Moment(at=entry.at, kind="warning", text=warning)
    for decision in entry.decisions:
        yield Moment(at=entry.at, kind="decision", where=decision.step, code=decision.code, text=decision.text)
    yield Moment(
        at=entry.at,
        kind=kind,
        where=_source(entry) if kind != "decided" else f"{entry.pipeline} {entry.digest}".strip(),
        code=entry.code or entry.ack,
        place=entry.place,
        text=entry.text or _count(entry),
        ok={"refused": False, "dead": False}.get(kind),
    )


def _source(entry: JournalEntry) -> str:
    return entry.pipeline if entry.kind in ("filtered", "dead") else entry.source or entry.pipeline


def _count(entry: JournalEntry) -> str:
    """The destinations themselves are told by the decisions of `route` and by their receipts."""
    count = len(entry.deliveries)
    if entry.kind != "decided":
        return ""
    if count > 1:
        return filled("{count} envois", count=count)
    return N_("1 envoi") if count else N_("aucun envoi")


def _of_receipt(receipt: Receipt) -> Moment:
    return Moment(
        at=receipt.at,
        kind=_RECEIPT_KINDS[receipt.kind],
        where=f"{receipt.sink} ({receipt.label})" if receipt.label else receipt.sink,
        code=receipt.code,
        place=receipt.place,
        text=receipt.text,
        ok=receipt.ok,
        attempt=receipt.attempt,
        delivery_id=receipt.delivery_id,
        disposition=str(receipt.disposition or ""),
        evidence=dict(receipt.evidence),
    )


def _when(moment: Moment) -> tuple[float, int]:
    rank = _ORDER.index(moment.kind) if moment.kind in _ORDER else len(_ORDER)
    whole = moment.kind in ("dsn", "mdn") and moment.at == int(moment.at)
    # A mail's Date has no fraction: a report of this second comes after what was done within it.
    return moment.at + 0.999 if whole else moment.at, rank
