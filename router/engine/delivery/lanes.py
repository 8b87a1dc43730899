"""The lanes of one sink: pure, synchronous, without clock or I/O, so that properties can be tested.

In order and one at a time within a lane, in parallel across lanes. A head that waits holds its own lane only.
Every operation costs O(log n) of its own lane; nothing walks over all of them except `drop` and `overview`.

Built here, each on those before it: `LaneTable` (what there is), `LaneScheduler` (whose turn it is), `WaitGraph` (who
waits for whom across lanes), `Backlog` (what only the ledger holds).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

from router.contracts import Row
from router.engine.delivery.backlog import Backlog
from router.engine.delivery.lane_scheduler import LaneScheduler
from router.engine.delivery.lane_table import LaneTable
from router.engine.delivery.pending_delivery import Lane, PendingDelivery, Place
from router.engine.delivery.supersession_rules import DELETE, unknown
from router.engine.delivery.wait_graph import WaitGraph
from router.exchange import State


class Lanes:
    """See the module. `window`: rows of one lane in memory; `capacity`: rows of all lanes in memory."""

    def __init__(self, *, window: int = 64, capacity: int = 10_000) -> None:
        self._table = LaneTable()
        self._scheduler = LaneScheduler()
        self._wait_graph = WaitGraph(self._table, self._scheduler)
        self.backlog = Backlog(self._table, self._scheduler, self._wait_graph, window=window, capacity=capacity)
        self._begun: list[PendingDelivery] = []
        self.in_flight = 0
        self.inversions = 0

    # ------------------------------------------------------------------------------------------- entering

    def add(self, row: Row, *, payload: bytes | None = None, due: float = 0.0) -> PendingDelivery | None:
        """Put a row in its lane. None when there is no room in memory: then it stands in the backlog."""
        lane = self._table.lane_of(row)
        lane.tombstones.discard(row.delivery.id)
        if row.delivery.action != DELETE and self.backlog.must_take(lane):
            self.backlog.push(lane, row, due)
            return None
        pending = self._table.put(lane, row, payload, due)
        self._scheduler.consider(lane)
        return pending

    def block(self, row: Row) -> None:
        """A dead letter of a strict relay is known: what comes after it in its lane is parked."""
        self._table.lane_of(row).blockers.add(row.delivery.id)

    def unblock(self, row: Row) -> None:
        """That dead letter is resolved: the lane goes on."""
        if lane := self._table.lanes.get(row.delivery.lane):
            lane.blockers.discard(row.delivery.id)
            lane.backlog_parked = False
            self._scheduler.consider(lane)
            self._table.remove_if_empty(lane)

    # ------------------------------------------------------------------------------------------- starting

    def take(self, now: float, limit: int) -> list[PendingDelivery]:
        """Up to `limit` heads that may start, each now in flight. Lanes take turns."""
        self._scheduler.wake(now)
        taken: list[PendingDelivery] = []
        while len(taken) < limit and (lane := self._scheduler.next()) is not None:
            head = lane.head()
            if head is None or not lane.may_start(head, now):
                self._scheduler.consider(lane, now)
                continue
            taken.append(self._start(lane, head))
        return taken

    def begin(self, pending: PendingDelivery) -> bool:
        """Put this very delivery, whose row says `begun`, in flight if it is the head of an idle lane.

        Whether it was; then `take_begun` returns it, once.
        """
        lane = pending.lane
        if lane.head() is not pending or not lane.may_start(pending, pending.due):
            return False
        self._begun.append(self._start(lane, pending))
        return True

    def take_begun(self) -> list[PendingDelivery]:
        """What `begin` put in flight since the last call: their attempts are to start at once."""
        begun, self._begun = self._begun, []
        return begun

    def follow(self, pending: PendingDelivery) -> PendingDelivery | None:
        """The next in the lane of this delivery, whose outcome is known: in flight from now on, while that is settled.

        None when nothing may go ahead. Only for what no deletion or replacement concerns.
        """
        lane, head = pending.lane, pending.lane.head()
        if lane.in_flight is not pending or head is None or pending.row.delivery.action or head.row.delivery.action:
            return None
        lane.in_flight = None
        if head.row.state is not State.READY or not lane.may_start(head, 0.0):
            lane.in_flight = pending
            return None
        lane.settling += 1
        return self._start(lane, head)

    def idle(self, lane_name: str) -> bool:
        """Whether nothing at all stands in this lane: a new row would be its head and could start."""
        return lane_name not in self._table.lanes

    def next_due(self) -> float | None:
        """Monotonic time at which a waiting head is due; None when nothing waits for time."""
        return self._scheduler.next_due()

    @property
    def startable(self) -> int:
        """Lanes whose head could start now (an upper bound)."""
        return self._scheduler.ready

    # -------------------------------------------------------------------------------- after an attempt, or instead

    def finish(self, pending: PendingDelivery) -> None:
        """The row reached a final state, durably: it leaves, its lane goes on."""
        self._attempt_over(pending)
        pending.lane.waiting_since = None
        self._table.remove(pending)
        self._wait_graph.release(pending.id)
        self._scheduler.consider(pending.lane)
        self._table.remove_if_empty(pending.lane)

    def wait(self, pending: PendingDelivery, due: float, now: float) -> None:
        """The attempt ended without an outcome: the head waits and its lane behind it."""
        lane = pending.lane
        if lane.waiting_since is None:
            lane.waiting_since = now
        self._attempt_over(pending)
        pending.due = due
        pending.place = Place.WINDOW
        lane.push(pending)
        self._wait_graph.release(pending.id, known=not unknown(pending.row))
        self._scheduler.consider(lane)

    def supersede(self, row: Row, by: str) -> PendingDelivery | None:
        """Take a row that event `by` overtook out of its lane; one in flight stays and learns by whom."""
        pending = self._table.pending.get(row.delivery.id)
        if pending is None:
            self.backlog.supersede(row)
            return None
        if pending.place is Place.IN_FLIGHT:
            pending.superseded_by = by
            return pending
        self.finish(pending)
        return pending

    def discard(self, row: Row) -> None:
        """A person discards a row: until `supersede` and `backlog.retry` neither it nor what is behind it starts."""
        if pending := self._table.pending.get(row.delivery.id):
            pending.waits_for[pending.id] = pending.row
        else:
            self.backlog.discard(row)

    def lose(self, pending: PendingDelivery) -> None:
        """An attempt ended whose partition left meanwhile: what became of it is another worker's to say."""
        self._attempt_over(pending)
        self._table.remove(pending)
        self._wait_graph.give_away({pending.id})

    def drop(self, partitions: Iterable[int], *, in_flight: bool) -> list[PendingDelivery]:
        """Forget the rows of partitions that we lose, and return them; those in flight too if `in_flight`.

        Who waits for one of them goes on waiting: it is another worker's from now on.
        """
        lost = set(partitions)
        lanes = [lane for lane in self._table.lanes.values() if lane.partition in lost]
        gone = [
            one
            for one in self._table.pending.values()
            if one.lane.partition in lost and (in_flight or one.place is not Place.IN_FLIGHT)
        ]
        ids: set[str] = set()
        for lane in lanes:
            ids |= self.backlog.drop(lane)
            lane.window = []
            lane.blockers.clear()
            self._scheduler.leave(lane)
            self._table.lanes.pop(lane.name)
        for pending in gone:
            self._attempt_over(pending)
            self._table.remove(pending)
        self._wait_graph.give_away(ids.union(pending.id for pending in gone))
        return gone

    # ----------------------------------------------------------------------------------- waiting across lanes

    def hold_back(self, pending: PendingDelivery, others: Iterable[Row]) -> None:
        """`pending` may not start while one of these deliveries is in flight or its outcome is unknown."""
        self._wait_graph.hold_back(pending, others)

    def hold_back_once_loaded(self, row: Row, others: Iterable[Row]) -> None:
        """`hold_back` for a row that found no room in memory: it counts from the moment when the row is loaded."""
        self._wait_graph.hold_back_once_loaded(row, others)

    @property
    def remote(self) -> set[str]:
        """Ids of deliveries in other workers' lanes that may be waited for."""
        return self._wait_graph.remote

    def remote_started(self, ids: Iterable[str]) -> None:
        """These deliveries of other workers are in flight, or their outcome is unknown."""
        self._wait_graph.remote.update(ids)

    def remote_ended(self, id_: str, *, known: bool) -> None:
        """A delivery in another worker's lane has ended its attempt; `known`: with an outcome."""
        if known:
            self._wait_graph.remote.discard(id_)
        self._wait_graph.release(id_, known=known)

    # -------------------------------------------------------------------------------------------- looking

    def find(self, id_: str) -> PendingDelivery | None:
        return self._table.pending.get(id_)

    def knows(self, row: Row) -> bool:
        """Whether this row already stands in its lane, in memory or not. Walks over the backlog of one lane."""
        return self._table.holds(row)

    def __len__(self) -> int:
        """Rows in memory."""
        return len(self._table.pending)

    @property
    def pending(self) -> Iterable[PendingDelivery]:
        """The deliveries in memory."""
        return self._table.pending.values()

    def parked(self, lane_name: str) -> list[PendingDelivery]:
        """Deliveries in memory that stay parked behind a dead letter of their strict relay."""
        lane = self._table.lanes.get(lane_name)
        if lane is None or not lane.blockers:
            return []
        return [entry[3] for entry in lane.window if entry[3].place is Place.WINDOW and lane.parks(entry[3].row)]

    def overview(self) -> Counter[State]:
        """Rows in memory by state; those that only the ledger holds count as waiting."""
        states = Counter(State.BEGUN if one.place is Place.IN_FLIGHT else one.row.state for one in self.pending)
        states[State.WAITING] += self.backlog.size
        return states

    def oldest(self) -> float | None:
        """Creation time (Unix) of the oldest delivery in memory."""
        return min((one.row.delivery.created for one in self.pending), default=None)

    # ------------------------------------------------------------------------------------------- internals

    def _start(self, lane: Lane, pending: PendingDelivery) -> PendingDelivery:
        heapq.heappop(lane.window)
        pending.place = Place.IN_FLIGHT
        lane.in_flight = pending
        self.in_flight += 1
        row = pending.row
        if row.delivery.action != DELETE and not row.delivery.replay:
            self.inversions += row.sequence < lane.highest_begun
            lane.highest_begun = max(lane.highest_begun, row.sequence)
        return pending

    def _attempt_over(self, pending: PendingDelivery) -> None:
        """This delivery is not in flight any more, if it was."""
        if pending.place is not Place.IN_FLIGHT:
            return
        self.in_flight -= 1
        if pending.lane.in_flight is pending:
            pending.lane.in_flight = None
        else:
            pending.lane.settling -= 1


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their lanes: by partition, then by sequence."""
    return sorted(rows, key=lambda row: (row.partition, row.sequence))
