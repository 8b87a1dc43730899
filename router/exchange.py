"""What travels, from Origin to Receipt. All frozen; none prints its payload."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from router.request import Recipient, TransmissionRequest


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where an event was read: it survives replay in the headers of whatever comes of it."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back what `str` wrote. Raises ValueError on anything else."""
        place, _, offset = text.rpartition("@")
        topic, _, partition = place.rpartition("/")
        if not topic:
            raise ValueError("not an origin")
        return cls(topic, int(partition), int(offset))


class Pseudonyms:
    """Keyed digests that replace an identity in keys, headers, ids and lanes (architecture §ordering-key).

    One secret per site; changing it breaks the order between the messages before and after, so it is part
    of the site's backup.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, *parts: str) -> str:
        """32 hex digits for these parts, in this order. Parts can't run into each other."""
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted message on `in.<feed>`. `headers` hold no identity: see `router.contracts.Header`.

    verdict: what the gateway's check made of the body, for the pipelines; it may hold identities, and may be missing.
    """

    id: str
    feed: str
    key: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: Origin | None = None
    verdict: bytes = field(default=b"", repr=False)
    damaged: bool = False
    """What the bus holds of it was changed (`contracts.Record.damaged`): nothing can be done with it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Something a step or a sink chose, and why: a line of `explain`. Texts hold no patient data."""

    step: str
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One event on its way through one pipeline: a step returns a new one.

    `message` is the `router.hl7.message.Message` of an HL7 event and None for a raw CDA; `documents` are the
    `router.cda.document.Document`s, same order as `request.documents`. They are typed Any because the floors
    below know neither HL7 nor CDA.
    """

    event: Event
    message: Any = field(default=None, repr=False)
    documents: tuple[Any, ...] = field(default=(), repr=False)
    request: TransmissionRequest | None = field(default=None, repr=False)
    decisions: tuple[Decision, ...] = ()
    body: bytes | None = field(default=None, repr=False)
    """The bytes a relay step rewrote; None while they are the event's own."""

    def with_(self, **changes: Any) -> Exchange:
        return replace(self, **changes)

    def decided(self, step: str, text: str, code: str = "") -> Exchange:
        """The same exchange with one more line in its story."""
        return replace(self, decisions=(*self.decisions, Decision(step, text, code)))

    def asked(self) -> TransmissionRequest:
        """The request; a pipeline whose steps did not make one is wired wrongly."""
        if self.request is None:
            raise LookupError("no step has read the request yet")
        return self.request


@dataclass(frozen=True, slots=True)
class Filtered:
    """A step ended this pipeline's exchange on purpose."""

    reason: str
    code: str = "FILTERED"


class State(StrEnum):
    """Where a delivery stands in the ledger (architecture §delivery-state). The last three are final."""

    READY = "ready"
    BEGUN = "begun"
    WAITING = "waiting"
    PARKED = "parked"
    UNKNOWN = "unknown"
    DONE = "done"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class Disposition(StrEnum):
    """How an exchange or a delivery ended."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    SUPERSEDED = "superseded"
    DEAD_LETTERED = "dead_lettered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The instruction to one sink for one destination, every option resolved.

    The engine reads everything but `payload`, whose form belongs to the sink type. On the bus the payload is
    the record's value and the rest its headers, so none of the fields may hold an identity.

    id:          stable: digest of event id + destination (`delivery_id`)
    key:         ordering key of the event: partitions the topic
    destination: what makes it one destination of this event, e.g. `dmp`, or `mss:` + pseudonym of the address
    lane:        key + destination's own part: strictly one at a time, in order
    lineage:     pseudonym of the setId (else of the document): what a deletion overtakes
    document:    pseudonym of the document id; `replaces`: that of its predecessor
    action:      initial | replace | delete for documents, "" for relays and business acknowledgements
    strict:      a relay that asked for strict order: after a dead letter its lane is parked
    replay:      0, or the count of deliberate replays: never part of the id
    structure:   FINESS of the site's structure that it belongs to, "" for none (relays)
    order:       the order of a person that had it decided again, "" for none; the ledger keeps it in `Row.commands`
    """

    id: str
    event_id: str
    sink: str
    destination: str
    key: str
    lane: str
    payload: bytes = field(repr=False)
    origin: Origin
    feed: str = ""
    pipeline: str = ""
    digest: str = ""
    lineage: str = ""
    document: str = ""
    replaces: str = ""
    action: str = ""
    strict: bool = False
    replay: int = 0
    created: float = 0.0
    label: str = ""
    """For people: `DMP`, `adam.hoda@…` for a professional, `patient` for a patient. Never a patient's address."""
    structure: str = ""
    order: str = ""


def same_structure(one: str, other: str) -> bool:
    """Whether deliveries of these structures (FINESS) may decide about each other: two may use the same document id.

    "": of no structure; it counts with each, for older versions did not write it everywhere.
    """
    return not (one and other) or one == other


def delivery_id(event_id: str, destination: str) -> str:
    """The stable id of a delivery: 32 hex digits, usable as ENVID and, dashed, as a UUID."""
    return hashlib.sha256(f"{event_id}|{destination}".encode()).hexdigest()[:32]


class ReceiptKind(StrEnum):
    """What kind of proof a receipt is."""

    DELIVERY = "delivery"
    """Outcome of the effect itself: XDS response, SMTP reply to DATA, HL7 ACK, or why it was given up."""
    ATTEMPT = "attempt"
    """An attempt that did not end the delivery: it waits, or its outcome is unknown."""
    DSN = "dsn"
    MDN = "mdn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One request to a server and what it answered: a trace (mssante §11). No content, no identity of a patient.

    at:       Unix seconds of the answer;  protocol: `smtp`, `imap` or `dmp`;  server: host and port, or address
    author:   mailbox, person or structure in whose name it was asked
    action:   command or transaction (`RCPT`, `MOVE`, `TD2.1`);  request: what was asked, by ids
    answer:   codes of the reply, or of the fault that it became
    facts:    ids by which it is known elsewhere: `iti`, `submission_set`, `patient` (a pseudonym)
    """

    at: float
    protocol: str
    server: str
    author: str
    action: str
    request: str = ""
    answer: str = ""
    ok: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of an outcome, with its evidence. Travels on `receipts` as JSON; holds no patient data.

    evidence: `message_id`, `queue_id`, `smtp`, `xds_unique_id`, `submission_set`, `hl7_ack`, `envid`…
    context:  what feedback needs to answer the sender without opening the payload again (see
              `router.feedback`): `control_id`, `reply`, `dialect`, `ack_reception`, `ack_lecture`,
              `rct_id`, `rank`…  Never an address of a patient in clear.
    """

    delivery_id: str
    event_id: str
    sink: str
    kind: ReceiptKind
    ok: bool
    at: float
    disposition: Disposition | None = None
    state: State | None = None
    attempt: int = 0
    code: str = ""
    place: str = ""
    text: str = ""
    feed: str = ""
    key: str = ""
    destination: str = ""
    label: str = ""
    pipeline: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    spoken: tuple[Spoken, ...] = ()
    """What was said to the server since the receipt before; the traces keep it, the journal does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of an event's story, written by the gateway, the pipelines or an operator's command.

    kind: `received` (accepted, claimed), `duplicate`, `refused` (AE, AR or unreadable), `decided` (one pipeline's
    exchange went to its sinks), `filtered`, `dead` (one pipeline's exchange is in `dlq.pipeline`), `command`,
    `traces` (of no event).
    Identities are pseudonyms (`Pseudonyms.of("ipp", authority, value)`, `("ins", value)`), so that a search
    hashes what the operator typed. `document` is the CDA's id, which names no patient.
    """

    event_id: str
    kind: str
    at: float
    feed: str = ""
    control_id: str = ""
    sender: str = ""
    origin: str = ""
    source: str = ""
    dialect: str = ""
    action: str = ""
    asked: tuple[str, ...] = ()
    """What was asked: `dmp`, `mssante`, `mssante-patient`, `ack-reception`, `ack-lecture`."""
    documents: tuple[str, ...] = ()
    lineage: str = ""
    patients: tuple[str, ...] = ()
    pipeline: str = ""
    digest: str = ""
    ack: str = ""
    code: str = ""
    place: str = ""
    text: str = ""
    size: int = 0
    warnings: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    deliveries: tuple[tuple[str, str, str], ...] = ()
    """(delivery id, sink, label) of what the exchange became."""
    document_type: str = ""
    """Code of the principal document's type."""
    structures: tuple[str, ...] = ()
    """FINESS of the structure that sends, then of those that the documents name."""
    speaks_for: str = ""
    """FINESS of the site's structure to which the event belongs; "" when none was established (decisions D11)."""
    level: int = 0
    """Level of the principal document's body, 1 or 3; 0 when no document was read."""
    qualified: bool | None = None
    """Whether the patient's identity was; None when no request was read."""
    recipients: tuple[tuple[str, str, str], ...] = ()
    """(address, national id, name as sent) of the recipients, never of a patient."""
    spoken: tuple[Spoken, ...] = ()
    """Of an entry of kind `traces`: what was said outside of deliveries, to the server of a mailbox."""


PATIENT = "patient"
"""Label of every mail to a patient: never his address."""


def recipient_label(recipient: Recipient) -> str:
    """How a recipient is shown to an operator: a professional's address, never a patient's."""
    return PATIENT if recipient.kind == "patient" else recipient.address or f"RCT {recipient.rank}"


@dataclass(frozen=True, slots=True)
class Routed:
    """What one pipeline made of one exchange: deliveries to make, and receipts for what it does not serve.

    A receipt here is a destination that the sender asked for and that a rule refuses: the sender is told like of any
    other outcome (decisions D5), without a sink. `exchange`: as the steps left it; its decisions are journalled.
    """

    deliveries: Sequence[Delivery]
    exchange: Exchange
    receipts: Sequence[Receipt] = ()
