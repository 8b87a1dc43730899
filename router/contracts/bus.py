"""The log between the stages: records, consumers, producers, and the bus itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from router.errors import Fenced
from router.exchange import Origin


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
    repeated: frozenset[str] = frozenset()
    """Names of headers that the record has more than once, which Kafka allows; `headers` holds the last of each."""
    damaged: bool = False
    """It was sealed, and what stands on the disk is not what was sealed: `value` is empty, `headers` prove nothing."""

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
_EVERYTHING: Final[Offsets] = MappingProxyType({})


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

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from here. Raises `Fenced` if the partition is not assigned to us; see `rewind`."""
        ...

    def commit(self, offsets: Offsets) -> None:
        """Move the group's committed offsets; durable on return. Raises `Unavailable`, or `Fenced` if not ours."""
        ...

    def committed(self, partition: Partition) -> int | None: ...

    def assignment(self) -> frozenset[Partition]: ...

    def owns(self, partition: Partition) -> bool:
        """Whether this member still owns the partition *now*: asked before each effect.

        While the bus is silent it is False for what stays assigned: it says nothing about where to read on.
        """
        ...

    def close(self) -> None: ...


def first_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """Per partition, the least offset of these records."""
    firsts: dict[Partition, int] = {}
    for record in records:
        place = Partition(record.topic, record.partition)
        firsts[place] = min(record.offset, firsts.get(place, record.offset))
    return firsts


def rewind(consumer: Consumer, offsets: Offsets) -> None:
    """Read again from these offsets what is still assigned; who gets the others begins where the group committed.

    `owns` is not asked: what is assigned is read on after a silence of the bus, from where we stand.
    """
    for partition in sorted(offsets.keys() & consumer.assignment()):
        with suppress(Fenced):
            consumer.seek(partition, offsets[partition])


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
    """The log between stages (architecture §bus). Nothing above knows which one it is."""

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

    def headlines(self, topic: str, *, lacking: str = "", begin: Offsets = _EVERYTHING) -> Iterable[Record]:
        """Records of a topic without their bytes, by time; only those that lack this header, where one is named.

        begin: per partition, the offset of the first record that is wanted; of others all are
        A bus that can leaves the bytes, and the records that have the header, unread.
        """
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

    def positions(self, group: str) -> Offsets:
        """The committed offsets of a group, wherever it committed one. Any thread."""
        ...

    def living(self, groups: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Per group, the names (`<role>-<slot>`) of its members that are alive now, in order. Any thread."""
        ...

    def unheard(self) -> Sequence[str]:
        """Groups in which a consumer that this process opened is no member any more, or perhaps none: another has its
        name, or for a whole session no broker has answered it. Asks nobody. Any thread."""
        ...

    def identities(self, topics: Collection[str]) -> Mapping[str, str]:
        """For each topic that exists, which one it is: of the same name on another bus, or made anew behind our
        back, it has another identity."""
        ...

    def ends(self, topic: str) -> Offsets:
        """Per partition, the offset behind the last record; empty for a topic that does not exist."""
        ...

    def trim(self, partition: Partition, below: int) -> None:
        """Forget the records below this offset."""
        ...

    def close(self) -> None: ...
