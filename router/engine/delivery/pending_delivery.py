"""A delivery in a worker's memory (`PendingDelivery`) and the FIFO it stands in (`Lane`)."""

from __future__ import annotations

import heapq
from enum import IntEnum

from router.contracts import Row
from router.engine.delivery.supersession_rules import DELETE
from router.exchange import State

PREDECESSOR = "PREDECESSOR"
"""Code of a row that is parked behind a dead letter of a strict relay."""


class Place(IntEnum):
    """Where a slot is: in its lane's window, on the wire, or out of the lanes."""

    NEAR = 0
    WIRE = 1
    GONE = 2


class PendingDelivery:
    """One delivery in the window. `due` is monotonic; `doomed`: id of the event
    that overtook it while it was on the wire: superseded unless the attempt succeeds."""

    __slots__ = ("doomed", "due", "lane", "payload", "place", "row", "waits_for")

    def __init__(self, row: Row, lane: Lane, payload: bytes | None, due: float) -> None:
        self.row = row
        self.lane = lane
        self.payload = payload
        self.due = due
        self.place = Place.NEAR
        self.doomed = ""
        self.waits_for: dict[str, Row] = {}
        """By id those whose end, or whose outcome, it must not pass."""

    @property
    def id(self) -> str:
        return self.row.delivery.id

    def __repr__(self) -> str:
        return f"<Slot {self.id} {self.row.state} {self.place.name}>"


Rank = tuple[int, int, str]
"""Order within a lane: deletions first, then by sequence; the id only makes it total."""


def rank(row: Row) -> Rank:
    return (0 if row.delivery.action == DELETE else 1, row.sequence, row.delivery.id)


class Lane:
    """Deliveries that share an ordering key and a destination.

    near:     heap of the slots in memory
    far:      heap of ranks: rows that only the ledger holds; all of them come after those in `near`
    kept:     ids of `far` whose bytes stand on `held.<sink>` already
    wire:     the one under way
    blockers: ids of the dead letters behind which a strict relay's later rows are parked
    high:     highest sequence begun, to count inversions
    since:    when the present head began to wait (monotonic), None while it does not
    due:      when the first row of `far` is due; stuck: it is parked
    loading:  ids of rows on their way from the ledger
    ghosts:   ids of `far` and `loading` that were overtaken: what the ledger answers may be older than that
    leaving:  ids of `far` that are being given up: nothing starts before that is durable
    moving:   the bytes of its rows are on their way to `held.<sink>`: none of them may start
    queued:   stands among the lanes that may start; timer: when it will be looked at again
    """

    __slots__ = (
        "blockers",
        "due",
        "far",
        "ghosts",
        "high",
        "kept",
        "leaving",
        "loading",
        "moving",
        "name",
        "near",
        "partition",
        "queued",
        "since",
        "stuck",
        "timer",
        "wire",
    )

    def __init__(self, name: str, partition: int) -> None:
        self.name = name
        self.partition = partition
        self.near: list[tuple[int, int, str, PendingDelivery]] = []
        self.far: list[Rank] = []
        self.kept: set[str] = set()
        self.ghosts: set[str] = set()
        self.leaving: set[str] = set()
        self.timer: float | None = None
        self.wire: PendingDelivery | None = None
        self.blockers: set[str] = set()
        self.high = -1
        self.due = 0.0
        self.since: float | None = None
        self.queued = False
        self.loading: frozenset[str] = frozenset()
        self.moving = False
        self.stuck = False

    def head(self) -> PendingDelivery | None:
        """The slot that is next, after those that left the lane were dropped."""
        near = self.near
        while near and near[0][3].place is not Place.NEAR:
            heapq.heappop(near)
        return near[0][3] if near else None

    def push(self, slot: PendingDelivery) -> None:
        heapq.heappush(self.near, (*rank(slot.row), slot))

    def pins(self) -> list[PendingDelivery]:
        """Those in memory that may leave it: deletions stay."""
        return [entry[3] for entry in self.near if entry[3].place is Place.NEAR and entry[0] > 0]

    def parks(self, row: Row) -> bool:
        """Whether this row stays parked: held for a person, or behind a dead letter of its strict relay."""
        if row.state is State.PARKED and row.code != PREDECESSOR:
            return True
        return bool(self.blockers) and row.delivery.strict and row.delivery.id not in self.blockers

    def may_start(self, slot: PendingDelivery, now: float) -> bool:
        """Whether this head may go on the wire now."""
        return self.wire is None and not slot.waits_for and slot.due <= now and not self.parks(slot.row)

    @property
    def empty(self) -> bool:
        return not (self.near or self.far or self.wire or self.blockers or self.loading)
