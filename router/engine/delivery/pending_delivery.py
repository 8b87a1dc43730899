"""A delivery in a worker's memory (`PendingDelivery`) and the FIFO it stands in (`Lane`)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from enum import IntEnum

from router.contracts import Row
from router.engine.delivery.supersession_rules import DELETE, passed_by
from router.exchange import Spoken, State

PREDECESSOR = "PREDECESSOR"
"""Code of a row that is parked behind a dead letter of a strict relay."""


class Place(IntEnum):
    """Where a pending delivery is: in the window of its lane, in flight, or out of the lanes."""

    WINDOW = 0
    IN_FLIGHT = 1
    GONE = 2


class PendingDelivery:
    """One delivery in memory.

    due:           monotonic time before which it does not start
    superseded_by: id of the event that overtook it while it was in flight. The row becomes superseded, unless the
                   attempt succeeds
    waits_for:     by id the rows that must end, or whose outcome must be known, before this one starts
    spoken:        what the attempt under way, or the last one, has said to the server
    """

    __slots__ = ("due", "lane", "payload", "place", "row", "spoken", "superseded_by", "waits_for")

    def __init__(self, row: Row, lane: Lane, payload: bytes | None, due: float) -> None:
        self.row = row
        self.lane = lane
        self.payload = payload
        self.due = due
        self.place = Place.WINDOW
        self.superseded_by = ""
        self.waits_for: dict[str, Row] = {}
        self.spoken: tuple[Spoken, ...] = ()

    @property
    def id(self) -> str:
        return self.row.delivery.id

    def note_passed(self, passing: Sequence[Row]) -> None:
        """It begins, or has begun: mark it as superseded if one of these has passed it, here or elsewhere."""
        if passing and (by := passed_by(self.row, passing)) is not None:
            self.superseded_by = self.superseded_by or by.delivery.event_id

    def __repr__(self) -> str:
        return f"<PendingDelivery {self.id} {self.row.state} {self.place.name}>"


Rank = tuple[int, int, str]
"""The order within a lane: deletions first, then by sequence. The id decides between equals."""


def rank(row: Row) -> Rank:
    return (0 if row.delivery.action == DELETE else 1, row.sequence, row.delivery.id)


class Lane:
    """Deliveries that share an ordering key and a destination.

    window:         heap of the pending deliveries in memory
    in_flight:      the one whose attempt is under way
    settling:       how many are delivered and have no receipt yet: the next one went ahead (`Lanes.follow`)
    blockers:       ids of the dead letters behind which a strict relay's later rows are parked
    highest_begun:  highest sequence that was begun, to count inversions
    waiting_since:  when the present head began to wait (monotonic), None while it does not
    queued:         it stands among the lanes that may start
    timer:          when it will be looked at again (monotonic), None when no timer is set

    What only the ledger holds of it; `Backlog` changes these:

    backlog:        heap of ranks: rows that are not in memory. All of them come after those in `window`
    backlog_due:    when the first row of `backlog` is due (monotonic)
    backlog_parked: the first row of `backlog` is parked
    loading:        ids of rows that were asked of the ledger and did not come yet
    tombstones:     ids of `backlog` and `loading` that were overtaken: what the ledger answers may be older than that
    discarding:     ids of `backlog` that a person discards: nothing starts before that is durable
    spilling:       the bytes of its rows are on their way to `held.<sink>`: none of them may start
    spilled:        ids of `backlog` whose bytes stand on `held.<sink>` already
    """

    __slots__ = (
        "backlog",
        "backlog_due",
        "backlog_parked",
        "blockers",
        "discarding",
        "highest_begun",
        "in_flight",
        "loading",
        "name",
        "partition",
        "queued",
        "settling",
        "spilled",
        "spilling",
        "timer",
        "tombstones",
        "waiting_since",
        "window",
    )

    def __init__(self, name: str, partition: int) -> None:
        self.name = name
        self.partition = partition
        self.window: list[tuple[int, int, str, PendingDelivery]] = []
        self.in_flight: PendingDelivery | None = None
        self.settling = 0
        self.blockers: set[str] = set()
        self.highest_begun = -1
        self.waiting_since: float | None = None
        self.queued = False
        self.timer: float | None = None
        self.backlog: list[Rank] = []
        self.backlog_due = 0.0
        self.backlog_parked = False
        self.loading: frozenset[str] = frozenset()
        self.tombstones: set[str] = set()
        self.discarding: set[str] = set()
        self.spilling = False
        self.spilled: set[str] = set()

    def head(self) -> PendingDelivery | None:
        """The delivery that is next, after those that left the lane were dropped."""
        window = self.window
        while window and window[0][3].place is not Place.WINDOW:
            heapq.heappop(window)
        return window[0][3] if window else None

    def push(self, pending: PendingDelivery) -> None:
        heapq.heappush(self.window, (*rank(pending.row), pending))

    def evictable(self) -> list[PendingDelivery]:
        """Those in memory that may leave it: deletions stay."""
        return [entry[3] for entry in self.window if entry[3].place is Place.WINDOW and entry[0] > 0]

    def parks(self, row: Row) -> bool:
        """Whether this row stays parked: held for a person, or behind a dead letter of its strict relay."""
        if row.state is State.PARKED and row.code != PREDECESSOR:
            return True
        return bool(self.blockers) and row.delivery.strict and row.delivery.id not in self.blockers

    def may_start(self, pending: PendingDelivery, now: float) -> bool:
        """Whether an attempt of this head may start now."""
        return self.in_flight is None and not pending.waits_for and pending.due <= now and not self.parks(pending.row)

    @property
    def empty(self) -> bool:
        return not (self.window or self.backlog or self.in_flight or self.settling or self.blockers or self.loading)
