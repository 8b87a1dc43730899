"""The authority that makes repeats harmless: claims, rows, fences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from router.exchange import Delivery, Origin, State


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
        """Every row of a document's versions in this sink, in order, and what replaces it: for replay and supersede."""
        ...

    def overtakers(self, sink: str, names: Sequence[str]) -> Sequence[Row]:
        """The deletions and replacements among the rows that `lineage` finds under any of these names."""
        ...

    def dead(self, sink: str | None = None) -> Sequence[Row]: ...

    def needed(self, sink: str) -> Collection[Origin]:
        """Where the bytes stand of this sink's rows that a lane or a person may still need: unfinished or dead."""
        ...

    def outdate(self, sink: str) -> None:
        """The sink's topic is about to be made anew: every row there is comes before whatever will stand on it."""
        ...

    def forget(self, before: float) -> int:
        """Drop claims and finished rows older than this Unix time, deletions and replacements a year later.

        Returns how many.
        """
        ...

    def close(self) -> None: ...
