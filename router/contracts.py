"""The seams: every protocol between two rooms, and the names that travel on the bus.

Nothing here has behaviour worth a test of its own; each implementation passes the contract suite of its
protocol (`tests/contracts/`), the fakes of `router.simulators` included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from router.exchange import Delivery, Exchange, Filtered, Origin, State
from router.measures import Measure

# ---------------------------------------------------------------------------------------------------- topics


def in_topic(feed: str) -> str:
    """Accepted events of a feed: checked, identified, keyed."""
    return f"in.{feed}"


def raw_topic(feed: str) -> str:
    """What outside producers write for a feed: the gateway checks it like a listener's message."""
    return f"raw.{feed}"


def out_topic(sink: str) -> str:
    """Deliveries of a sink instance, and the commands on them."""
    return f"out.{sink}"


def held_topic(sink: str) -> str:
    """Bytes of deliveries that wait longer than a minute; never expires."""
    return f"held.{sink}"


def dlq_topic(stage: str) -> str:
    """Dead letters of `intake`, `pipeline` or a sink instance; never expires."""
    return f"dlq.{stage}"


RECEIPTS = "receipts"
"""Receipts of every sink, JSON, keyed by the event's ordering key."""
JOURNAL = "journal"
"""Journal entries of the gateway and the pipelines, JSON, keyed by event id."""


class Header:
    """Names of the headers of a record. Values are short text without any identity."""

    ID = "id"
    FEED = "feed"
    KIND = "kind"  # hl7 | cda
    ORIGIN = "origin"
    RECEIVED = "received"  # Unix time, seconds, 3 decimals
    CHECKED = "checked"  # what the gateway checked: the profile's version, or "" for a relay
    ACK = "ack"  # AA, AE, AR
    ACK_BYTES = "ack-bytes"  # the whole ACK, latin-1 safe base64: what a sender that repeats itself gets
    WARNINGS = "warnings"
    CONTROL = "control"  # MSH-10
    SOURCE = "source"  # mllp | http | folder | raw
    INS_STATUS = "ins-status"  # raw CDA intake
    CODE = "code"
    PLACE = "place"
    TEXT = "text"
    STAGE = "stage"
    STEP = "step"
    PIPELINE = "pipeline"
    DIGEST = "digest"
    SINK = "sink"
    DELIVERY = "delivery"
    ATTEMPTS = "attempts"
    FIRST = "first"
    LAST = "last"
    CAUSE = "cause"  # fingerprint: what `dlq ls` groups by
    NEXT = "next"  # what a person should do
    COMMAND = "command"  # replay | discard, on a sink's own topic


# ------------------------------------------------------------------------------------------------------- bus


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write. `key` chooses the partition; "" spreads. Header values are text."""

    topic: str
    key: str
    value: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A record read. `timestamp`: Unix seconds at which the bus took it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timestamp: float = 0.0

    @property
    def origin(self) -> Origin:
        return Origin(self.topic, self.partition, self.offset)


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


Offsets = Mapping[Partition, int]
"""Per partition, the offset of the *next* record to read."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What a topic must be. `retention`: seconds, None = for ever. `partitions` never changes in place."""

    name: str
    partitions: int
    retention: float | None
    max_bytes: int
    compacted: bool = False


class Consumer(Protocol):
    """One member of a consumer group. Used by one thread at a time, except `owns`, which any thread may call.

    Records of a partition come in offset order, only committed transactions, from the group's committed
    offset; from the first record where the group never committed. Raises `Unavailable` when the bus is away:
    the caller backs off and calls again.
    """

    def poll(self, *, max_records: int, max_bytes: int, timeout: float) -> Sequence[Record]:
        """Up to so many records and bytes (one oversize record alone), waiting `timeout` seconds at most for one.

        Rebalance callbacks run inside this call. Paused partitions give nothing, but polling must go on.
        """
        ...

    def pause(self, partitions: Collection[Partition]) -> None: ...

    def resume(self, partitions: Collection[Partition]) -> None: ...

    def seek(self, partition: Partition, offset: int) -> None: ...

    def commit(self, offsets: Offsets) -> None:
        """Move the group's committed offsets; durable on return. Raises `Unavailable`, or `Fenced` if not ours."""
        ...

    def committed(self, partition: Partition) -> int | None: ...

    def assignment(self) -> frozenset[Partition]: ...

    def owns(self, partition: Partition) -> bool:
        """Whether this member still owns the partition *now*: asked before each effect."""
        ...

    def close(self) -> None: ...


class Producer(Protocol):
    """Writes records. One per role and slot: `name` is stable over restarts and fences its predecessor."""

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        """Write them all, or none, and move the offsets of `settle` in the same transaction.

        Durable on return; the origins are in the order of `records`. Without `settle` the batch may be
        written without a transaction (a reader may then see a part of it after a crash).
        Raises `Unavailable` (nothing is known to be written), or `Fenced` when another took our name.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Settle:
    """The input offsets that belong to a transaction."""

    consumer: Consumer
    offsets: Offsets


@runtime_checkable
class Bus(Protocol):
    """The log between stages (DESIGN §2). Nothing above knows which one it is."""

    def producer(self, name: str) -> Producer: ...

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callable[[frozenset[Partition]], None] | None = None,
        revoked: Callable[[frozenset[Partition]], None] | None = None,
    ) -> Consumer:
        """Join `group` as the stable `member` (`<role>-<slot>`).

        `assigned` runs with newly owned partitions before their first record is returned; `revoked` runs
        while they are still ours where the bus can say so, so that it may drain and commit.
        """
        ...

    def read(self, origin: Origin) -> Record | None:
        """One record by its place; None when it was trimmed. Any thread."""
        ...

    def scan(self, topic: str, *, newest_first: bool = False, limit: int | None = None) -> Iterable[Record]:
        """Records of a topic for an operator's command, without any group. Ends at the present end."""
        ...

    def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create what is missing; raise `OperatorFault` for what exists but can't keep our promises."""
        ...

    def migrate(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        """Make drained topics anew with their planned partitions; returns their names. Raises `OperatorFault`."""
        ...

    def check(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        """One sentence per way in which the bus differs from the plans; empty when all is well."""
        ...

    def lag(self, group: str) -> Mapping[Partition, int]:
        """Records not yet consumed, per partition of the group."""
        ...

    def ends(self, topic: str) -> Offsets:
        """Per partition, the offset behind the last record; empty for a topic that does not exist."""
        ...

    def trim(self, partition: Partition, below: int) -> None:
        """Forget the records below this offset."""
        ...

    def close(self) -> None: ...


# ---------------------------------------------------------------------------------------------------- ledger


@dataclass(frozen=True, slots=True)
class Claim:
    """An event id taken by the first origin that shows it; keeps the ACK its sender got."""

    id: str
    origin: Origin
    ack: bytes = field(repr=False)
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A delivery in the ledger: everything but its payload, which stands at `bytes_at`."""

    delivery: Delivery
    """With an empty payload."""
    partition: int
    sequence: int
    """Offset in `out.<sink>`: the order of the lane."""
    bytes_at: Origin
    state: State = State.READY
    attempts: int = 0
    first_try: float = 0.0
    next_try: float = 0.0
    code: str = ""
    text: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    updated: float = 0.0


Fence = Mapping[tuple[str, int], int]
"""(sink, partition) -> the epoch at which the writer of its rows took it: see `Ledger.take`."""


class Ledger(Protocol):
    """What was accepted and what became of every delivery: the authority that makes repeats harmless.

    SQL, synchronous, used by one thread at a time; every call is one transaction, durable on return, and
    raises `Unavailable` when the database is away. Batches are lists of any length.

    A process that was frozen may wake after another took its partitions and write what it was about to write.
    So who is assigned partitions `take`s them, and shows with each write the epochs it got (`fence`): a batch with
    a row of a partition that was taken again since, or that the fence does not name, is refused as a whole by
    `Fenced`, which names those partitions. Without a fence nothing is asked (tools and tests).
    """

    def claim(self, claims: Sequence[Claim]) -> Sequence[Origin]:
        """For each claim the origin that owns the id: its own, or that of the first one."""
        ...

    def acks(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """The stored ACKs of those ids that were claimed."""
        ...

    def take(self, sink: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Raise the epochs of these partitions and return them: who took them earlier writes no row there any more."""
        ...

    def open(self, rows: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        """Insert the rows whose id is new; return the rows that were already there, by id. Raises `Fenced`."""
        ...

    def save(self, rows: Sequence[Row], fence: Fence | None = None) -> None:
        """Write the present state of rows that exist. Raises `Fenced`."""
        ...

    def write(self, opens: Sequence[Row], saves: Sequence[Row], fence: Fence | None = None) -> Mapping[str, Row]:
        """`open` some rows and `save` others in one transaction; returns what `open` does. Raises `Fenced`."""
        ...

    def unfinished(self, sink: str, partitions: Collection[int]) -> Sequence[Row]:
        """Rows in a state that is not final, by partition and sequence."""
        ...

    def get(self, ids: Sequence[str]) -> Mapping[str, Row]: ...

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        """Every row of a document's versions in this sink, in order: what replay and supersede look at."""
        ...

    def dead(self, sink: str | None = None) -> Sequence[Row]: ...

    def needed(self, sink: str) -> Collection[Origin]:
        """Where the bytes stand of this sink's rows that a lane or a person may still need: unfinished or dead."""
        ...

    def forget(self, before: float) -> int:
        """Drop claims and finished rows older than this Unix time; returns how many."""
        ...

    def close(self) -> None: ...


# ----------------------------------------------------------------------------------------- steps and sinks


class Step(Protocol):
    """One transformation: pure but for the look-ups it was built with.

    Raises `MessageFault` (dead letter) or `Unavailable` (the whole batch waits and is tried again).
    """

    def __call__(self, exchange: Exchange) -> Exchange | Filtered: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which try this is: `number` from 1, `first` Unix time of the first one, `unknown` if one's outcome is."""

    number: int
    first: float
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sink says of an effect that succeeded: evidence for the receipt, context for feedback."""

    code: str = ""
    text: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Delivers to one outside system. Lives on one event loop; many `deliver` run at once, one per lane.

    No foreign exception leaves it: `Refused` and the other `MessageFault`s dead-letter the delivery (their
    receipt answers the sender), `Unavailable` waits, `OutcomeUnknown` asks `on_unknown`, `OperatorFault` opens
    the circuit. What reaches the outside derives its identifiers from `delivery.id` alone.
    """

    name: str
    on_unknown: Literal["verify", "repeat", "hold"]

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome: ...

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        """After an unknown outcome: the outcome if the effect did happen, None if it did not."""
        ...

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """The receipt's context, also for a delivery that failed or was superseded. Cheap, no I/O."""
        ...

    async def probe(self) -> None:
        """One cheap call that fails as a delivery would while the system is down."""
        ...

    async def close(self) -> None: ...


class Archive(Protocol):
    """What a sink may ask of the past, read-only: earlier deliveries of the same document."""

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]: ...


# ------------------------------------------------------------------------------------------- time and watch


class Clock(Protocol):
    """Time is handed in: tests pass one that they move."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float: ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Observer(Protocol):
    """Takes measurements; the closed list of names and labels is `router.measures`."""

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: Measure, value: float, **labels: str) -> None: ...

    def time(self, measure: Measure, seconds: float, **labels: str) -> None: ...


class Unobserved:
    """An observer that looks away."""

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None: ...

    def set(self, measure: Measure, value: float, **labels: str) -> None: ...

    def time(self, measure: Measure, seconds: float, **labels: str) -> None: ...
