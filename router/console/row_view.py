"""One message of a list, as a row: what it was, to whom, how each leg ended, and the cause in words when it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.cisis.valuesets import ValueSets
from router.exchange import PATIENT
from router.journal.criteria import FoundEvent
from router.journal.views import DeliveryState, EventSummary
from router.language import _, translated

_ANSWER = "ZAM^"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One delivery. to: address of a professional, the words for a patient's mailbox, or the sink alone"""

    sink: str
    to: str
    status: str
    cause: str = ""
    code: str = ""
    attempts: int = 0
    to_patient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """event: of the journal;  type: label of the document's type;  legs: what left, answers to the sender left out"""

    event: EventSummary
    type: str
    legs: tuple[Leg, ...]

    @property
    def name(self) -> str:
        """MSH-10, or the beginning of the event's id."""
        return self.event.control_id or self.event.event_id[:8]


def rows(found: Sequence[FoundEvent], sets: ValueSets) -> list[Row]:
    """Rows of a list, in its order."""
    return [Row(event=one.event, type=type_of(one.event, sets), legs=tuple(_legs(one))) for one in found]


def type_of(event: EventSummary, sets: ValueSets) -> str:
    """The label of the document's type; its code when no list knows it; "" when there is none."""
    return (sets.label("JDV_J07", event.document_type) if event.document_type else "") or event.document_type


def leg(delivery: DeliveryState) -> Leg:
    """One delivery as it stands."""
    failed = delivery.disposition != "delivered"
    return Leg(
        sink=delivery.sink,
        to=_("patient's mailbox") if delivery.label == PATIENT else delivery.label,
        status=delivery.disposition or delivery.state,
        cause=translated(delivery.text) if failed else "",
        code=delivery.code if failed else "",
        attempts=delivery.attempts,
        to_patient=delivery.label == PATIENT,
    )


def _legs(one: FoundEvent) -> list[Leg]:
    legs = [leg(delivery) for delivery in one.deliveries if not delivery.label.startswith(_ANSWER)]
    own = [Leg(sink="", to="", status=end, code=one.event.code) for end in one.ends if end != "filtered" or not legs]
    return own + legs
