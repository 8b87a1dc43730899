"""The authority that makes repeats harmless: claims, rows, fences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from router.contracts.bus import Offsets, Record
from router.contracts.dead_letters import Beyond, DeadGroup, DeadWanted, LetterGroup
from router.exchange import Delivery, Origin, State

DISCARDED: Final = "DISCARDED"
"""Code of a row that a person gave up."""


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
    """What the sink says of its outcome, for people and for what comes later."""
    updated: float = 0.0
    waited: float = 0.0
    """Seconds spent waiting for the lane's own trouble; they are counted against the budget."""
    outages: int = 0
    """How many attempts only found the whole destination away, or us at fault."""
    outcome_unknown: bool = False
    """Whether an attempt may have reached the destination without our knowing."""
    last_try: float = 0.0
    """Unix time at which the last attempt that did not end it failed."""
    commands: tuple[str, ...] = ()
    """Which operators' commands were obeyed last, so that reading one twice does nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many unfinished deliveries of a sink are in one state, for one reason, of one structure.

    code:   of the last attempt that did not end them; "" for those not tried
    oldest: Unix time at which the oldest of them was decided
    structure: FINESS, "" for none
    """

    sink: str
    state: State
    code: str
    count: int
    oldest: float
    structure: str = ""


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

    def claim(self, claims: Sequence[Claim], seen: Offsets | None = None) -> Sequence[Origin]:
        """For each claim the origin that owns the id: its own, or that of the first one.

        seen: below these offsets there is nothing in the partitions that was not claimed; noted with them
        """
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
        """`open` some rows and `save` others in one transaction; returns what `open` does. Raises `Fenced`.

        What is opened notes how far its partition of `out.<sink>` has been seen.
        """
        ...

    def saw(self, offsets: Offsets) -> None:
        """Note that nothing below these offsets is missing here. A mark never goes back by this."""
        ...

    def seen(self, topic: str) -> Mapping[int, int]:
        """Per partition number, the offset up to which the topic was seen; nothing for one that never was.

        A group's committed offset beyond it says that this ledger is older than the bus: it was restored.
        """
        ...

    def unfinished(self, sink: str, partitions: Collection[int]) -> Sequence[Row]:
        """Rows in a state that is not final, by partition and sequence."""
        ...

    def standing(self) -> Sequence[Standing]:
        """What is unfinished in every sink, counted: by sink, state and code. Reads no payload and no finished row."""
        ...

    def get(self, ids: Sequence[str]) -> Mapping[str, Row]: ...

    def topics(self) -> Mapping[str, str]:
        """Topic -> the identity (`Bus.identities`) under which it was last seen."""
        ...

    def remember(self, identities: Mapping[str, str]) -> None:
        """From now on these are the topics we know."""
        ...

    def remade(self, topics: Collection[str]) -> None:
        """These topics were made anew on purpose, once drained: how far they were seen is forgotten."""
        ...

    def regress(self, ends: Offsets) -> Sequence[tuple[str, Origin]]:
        """The bus holds nothing at or beyond these offsets, although that was seen: it was restored, or made anew.

        Events that stood there are taken anew when they are sent again; returns their ids and where they stood. Rows
        of the sinks stay, and come before whatever will stand on these partitions. The marks go back.
        """
        ...

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        """Every row of a document's versions in this sink, in order, and what replaces it: for replay and supersede."""
        ...

    def overtakers(self, sink: str, names: Sequence[str]) -> Sequence[Row]:
        """The deletions and replacements among the rows that `lineage` finds under any of these names."""
        ...

    def dead(
        self, sink: str | None = None, within: Collection[str] | None = None, *, strict: bool = False
    ) -> Sequence[Row]:
        """The dead rows, oldest first.

        within: only those of these structures (FINESS); None: of any and of none;  strict: only those that hold up
        what comes behind them
        """
        ...

    def held(self, sink: str, code: str) -> Sequence[Row]:
        """The rows of a sink that are parked for this reason, in no order."""
        ...

    def dead_groups(self, wanted: DeadWanted) -> Sequence[DeadGroup]:
        """The dead rows counted, in no order."""
        ...

    def dead_page(
        self, wanted: DeadWanted, limit: int | None, *, newest: bool = True, beyond: Beyond | None = None
    ) -> Sequence[Row]:
        """So many of the dead rows (None: all), by their last attempt and then by id, newest or oldest first."""
        ...

    def dead_owners(self, wanted: DeadWanted) -> Collection[str]:
        """The structures (FINESS) that the dead rows belong to; "" stands for none."""
        ...

    def letters_seen(self, topic: str, identity: str) -> Offsets:
        """How far the dead letters of a topic (`dlq.*`) were read; empty for a topic that was made anew."""
        ...

    def note_letters(
        self, topic: str, identity: str, letters: Sequence[Record], resolved: Collection[Origin], ends: Offsets
    ) -> None:
        """Keep these, which have no row; forget those that were resolved; the topic was read up to `ends`.

        identity: of the topic (`Bus.identities`). Another than before forgets what was known, "" always does.
        """
        ...

    def letters(self, topic: str, within: Collection[str] | None = None) -> Sequence[Record]:
        """The dead letters of a topic that have no row, by time, without their bytes. within: as `dead`."""
        ...

    def letter_groups(self, topic: str, wanted: DeadWanted) -> Sequence[LetterGroup]:
        """The same counted, in no order."""
        ...

    def letter_page(
        self,
        topic: str,
        wanted: DeadWanted,
        any_of: Sequence[LetterGroup] | None,
        limit: int | None,
        *,
        newest: bool = True,
        beyond: Beyond | None = None,
    ) -> Sequence[tuple[float, str, Record]]:
        """So many of the letters of any of these groups (None: of all): last attempt, id, letter without bytes.

        They come by the first two; limit and order as in `dead_page`.
        """
        ...

    def letter_owners(self, topic: str, wanted: DeadWanted, any_of: Sequence[LetterGroup] | None) -> Collection[str]:
        """The structures (FINESS) that these letters belong to; "" stands for none."""
        ...

    def needed(self, sink: str, given_up_since: float) -> Collection[Origin]:
        """Where the bytes stand of this sink's rows that a lane or a person may still need: unfinished, dead, and what
        a person gave up (`DISCARDED`) since this Unix time.
        """
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
