"""What the journal answers: plain values, in order of time, without any identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MomentKind = Literal[
    "received",
    "duplicate",
    "refused",
    "warning",
    "decided",
    "decision",
    "filtered",
    "dead",
    "command",
    "delivery",
    "attempt",
    "dsn",
    "mdn",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """One event, as a search lists it. Times are Unix seconds.

    structure: FINESS of the structure that it belongs to, "" for none
    level: of the document's body, 1 or 3; 0 without a document
    """

    event_id: str
    received: float
    touched: float
    feed: str = ""
    control_id: str = ""
    sender: str = ""
    source: str = ""
    dialect: str = ""
    action: str = ""
    asked: tuple[str, ...] = ()
    ack: str = ""
    code: str = ""
    size: int = 0
    document_type: str = ""
    structure: str = ""
    level: int = 0
    qualified: bool | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What came by one feed.

    last: Unix time of its last message, None before the first;  received, refused: numbers; refused: answered AE or AR
    """

    last: float | None
    received: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """Where one delivery of an event stands: `disposition` is "" while it has not ended."""

    delivery_id: str
    event_id: str
    sink: str
    label: str = ""
    pipeline: str = ""
    disposition: str = ""
    state: str = ""
    attempts: int = 0
    code: str = ""
    text: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a story.

    where: pipeline, step, or sink and label;  ok: None where nothing succeeded or failed
    """

    at: float
    kind: MomentKind
    where: str = ""
    code: str = ""
    place: str = ""
    text: str = ""
    ok: bool | None = None
    attempt: int = 0
    delivery_id: str = ""
    disposition: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStory:
    """Everything known of one event."""

    event: EventSummary
    documents: tuple[str, ...] = ()
    deliveries: tuple[DeliveryState, ...] = ()
    timeline: tuple[Moment, ...] = ()
    origin: str = ""
    """Where the accepted message stands on the bus, as `Origin` writes it; "" when no line of the journal says it."""
    lineage: str = ""
    """Pseudonym of the family of versions of its document, by which the others are found; "" when it has none."""
