"""The lanes of one sink: pure, synchronous, without clock or I/O, so that properties can be tested.

In order and one at a time within a lane, in parallel across lanes. A head that waits holds its own lane only.
Every operation costs O(log n) of its own lane; nothing walks over all of them except `drop` and `overview`.

A lane keeps a bounded number of rows in memory (`near`); what comes after stays in the ledger and is known here
by its rank alone (`far`), so that one lane with a hundred thousand rows neither fills the window nor delays another.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

from router.contracts import Row
from router.engine.delivery.lane_scheduler import LaneScheduler
from router.engine.delivery.pending_delivery import Lane, PendingDelivery, Place, rank
from router.engine.delivery.supersession_rules import DELETE, unknown
from router.engine.delivery.wait_graph import WaitGraph
from router.exchange import State


class Lanes:
    """See the module. `near`: rows of one lane in memory; `window`: rows of all lanes in memory."""

    def __init__(self, *, near: int = 64, window: int = 10_000) -> None:
        self._near = near
        self._window = window
        self._lanes: dict[str, Lane] = {}
        self._slots: dict[str, PendingDelivery] = {}
        self._scheduler = LaneScheduler()
        self._wait_graph = WaitGraph()
        self.elsewhere: set[str] = set()
        """Ids of deliveries in other workers' lanes that may be waited for, until they are `off_wire`."""
        self.far = 0
        self.on_wire = 0
        self.inversions = 0

    # ------------------------------------------------------------------------------------------- entering

    def add(self, row: Row, *, payload: bytes | None = None, due: float = 0.0) -> PendingDelivery | None:
        """Put a row in its lane. None when the lane or the window is full: the ledger alone holds it then."""
        lane = self._lane(row)
        lane.ghosts.discard(row.delivery.id)
        if row.delivery.action != DELETE and (
            lane.far or lane.loading or len(lane.near) >= self._near or len(self._slots) >= self._window
        ):
            self._push_far(lane, row, due)
            return None
        return self._push_near(lane, row, payload, due)

    def load(self, lane_name: str, rows: Iterable[tuple[Row, float]]) -> None:
        """Rows that `wanted` asked for are back from the ledger, each with the time when it is due."""
        lane = self._lanes.get(lane_name)
        if lane is None:
            return
        for row, due in rows:
            if row.delivery.id not in self._slots and row.delivery.id not in lane.ghosts:
                self.hold_back(self._push_near(lane, row, None, due), self._wait_graph.due_of(row.delivery.id))
        for id_ in lane.loading:
            self._wait_graph.forget(id_)
        lane.ghosts = lane.ghosts - lane.loading if lane.far else set()
        lane.loading = frozenset()
        self._scheduler.consider(lane)
        self._forget(lane)

    def block(self, row: Row) -> None:
        """A dead letter of a strict relay is known: what comes after it in its lane is parked."""
        self._lane(row).blockers.add(row.delivery.id)

    def unblock(self, row: Row) -> None:
        """That dead letter is resolved: the lane goes on."""
        if lane := self._lanes.get(row.delivery.lane):
            lane.blockers.discard(row.delivery.id)
            lane.stuck = False
            self._scheduler.consider(lane)
            self._forget(lane)

    def revive(self, lane_name: str) -> None:
        """A row of this lane that only the ledger holds may go again: look at it."""
        if lane := self._lanes.get(lane_name):
            lane.stuck, lane.due = False, 0.0
            self._scheduler.consider(lane)

    # ------------------------------------------------------------------------------------------- starting

    def take(self, now: float, limit: int) -> list[PendingDelivery]:
        """Up to `limit` heads that may start, each now on the wire of its lane. Lanes take turns."""
        self._scheduler.wake(now)
        taken: list[PendingDelivery] = []
        while len(taken) < limit and (lane := self._scheduler.next()) is not None:
            slot = lane.head()
            if slot is None or not lane.may_start(slot, now):
                self._scheduler.consider(lane, now)
                continue
            taken.append(self._start(lane, slot))
        return taken

    def begin(self, slot: PendingDelivery) -> bool:
        """Put this very slot on the wire if it is the head of an idle lane."""
        lane = slot.lane
        if lane.head() is not slot or not lane.may_start(slot, slot.due):
            return False
        self._start(lane, slot)
        return True

    def idle(self, lane_name: str) -> bool:
        """Whether nothing at all stands in this lane: a new row would be its head and could start."""
        return lane_name not in self._lanes

    def next_due(self) -> float | None:
        """Monotonic time at which a waiting head is due; None when nothing waits for time."""
        return self._scheduler.next_due()

    @property
    def startable(self) -> int:
        """Lanes whose head could start now (an upper bound)."""
        return self._scheduler.ready

    # --------------------------------------------------------------------------------------------- ending

    def finish(self, slot: PendingDelivery) -> None:
        """The row reached a final state, durably: it leaves, its lane goes on."""
        self._leave(slot)
        self._scheduler.consider(slot.lane)
        self._forget(slot.lane)

    def wait(self, slot: PendingDelivery, due: float, now: float) -> None:
        """The attempt ended without an outcome: the head waits and its lane behind it."""
        lane = slot.lane
        if lane.since is None:
            lane.since = now
        self._unwire(slot)
        slot.due = due
        slot.place = Place.NEAR
        lane.push(slot)
        self._release(slot.id, known=not unknown(slot.row))
        self._scheduler.consider(lane)

    def supersede(self, row: Row, by: str) -> PendingDelivery | None:
        """Take a row that event `by` overtook out of its lane; one on the wire stays and is doomed."""
        slot = self._slots.get(row.delivery.id)
        if slot is None:
            if lane := self._lanes.get(row.delivery.lane):
                lane.leaving.discard(row.delivery.id)
                if lane.far or row.delivery.id in lane.loading:
                    lane.ghosts.add(row.delivery.id)
                    self._wait_graph.forget(row.delivery.id)
                    self._release(row.delivery.id)
                    self.revive(lane.name)  # it may have been the one that held its lane
            return None
        if slot.place is Place.WIRE:
            slot.doomed = by
            return slot
        self.finish(slot)
        return slot

    def hold(self, row: Row) -> None:
        """A row that is being given up: until `supersede` and `revive` neither it nor what is behind it starts."""
        if slot := self._slots.get(row.delivery.id):
            slot.waits_for[slot.id] = slot.row
        elif lane := self._lanes.get(row.delivery.lane):
            lane.leaving.add(row.delivery.id)

    def hold_back(self, slot: PendingDelivery, others: Iterable[Row]) -> None:
        """`slot` may not start before these deliveries, which are on the wire or unknown, are no longer so."""
        self._wait_graph.hold_back(slot, filter(self._in_sight, others))

    def owe(self, row: Row, others: Iterable[Row]) -> None:
        """`hold_back` for a row that found no room in memory: it holds from the moment when it is loaded."""
        self._wait_graph.owe(row.delivery.id, list(filter(self._in_sight, others)))

    def off_wire(self, id_: str, *, known: bool) -> None:
        """A delivery in another worker's lane has ended its attempt; `known`: with an outcome."""
        if known:
            self.elsewhere.discard(id_)
        self._release(id_, known=known)

    # ---------------------------------------------------------------------------------------- the ledger's part

    def wanted(self, lanes: int) -> list[tuple[str, list[str]]]:
        """Lanes that ran empty and the ids of their next rows, to be fetched from the ledger and `load`ed."""
        asked: list[tuple[str, list[str]]] = []
        for lane in list(self._scheduler.hungry.values()):
            if len(asked) >= lanes or len(self._slots) >= self._window:
                break
            del self._scheduler.hungry[lane.name]
            if lane.loading or lane.moving or lane.leaving or lane.near or lane.wire or not lane.far:
                continue
            ids = [heapq.heappop(lane.far)[2] for _ in range(min(len(lane.far), self._near))]
            self.far -= len(ids)
            lane.kept.difference_update(ids)
            lane.loading, lane.due = frozenset(ids), 0.0
            asked.append((lane.name, ids))
        return asked

    def waiting_since(self, before: float) -> list[str]:
        """Lanes whose head has been waiting since before this time and whose rows still pin bytes."""
        return [
            name
            for name, lane in self._lanes.items()
            if lane.since is not None
            and lane.since <= before
            and lane.wire is None
            and not lane.loading
            and (lane.pins() or len(lane.kept) < len(lane.far))
        ]

    def send_away(self, lane_name: str) -> list[PendingDelivery] | None:
        """The window's rows of a waiting lane leave memory and can't start before `kept`; deletions stay.

        None when it does not wait any more: none of its rows may be touched then.
        """
        lane = self._lanes.get(lane_name)
        if lane is None or lane.wire or lane.loading:
            return None
        lane.moving = True
        gone = lane.pins()
        lane.near = [entry for entry in lane.near if entry[3].place is Place.NEAR and entry[0] == 0]
        heapq.heapify(lane.near)
        first = min(gone, key=lambda slot: rank(slot.row), default=None)
        if first is not None and (not lane.far or rank(first.row) < lane.far[0]):
            lane.due, lane.stuck = first.due, lane.parks(first.row)
        for slot in gone:
            self._drop(slot)
            heapq.heappush(lane.far, rank(slot.row))
            self.owe(slot.row, slot.waits_for.values())
        self.far += len(gone)
        return gone

    def unkept(self, lane_name: str, limit: int) -> list[str]:
        """Ids of this lane that only the ledger holds and whose bytes are not yet on `held`."""
        lane = self._lanes.get(lane_name)
        if lane is None:
            return []
        ids = (id_ for _, _, id_ in lane.far if id_ not in lane.kept)
        return [id_ for id_, _ in zip(ids, range(limit), strict=False)]

    def kept(self, lane_name: str, ids: Iterable[str]) -> None:
        """The bytes of these rows now stand on `held`: the lane may go on when it is due."""
        if lane := self._lanes.get(lane_name):
            lane.kept.update(ids)
            lane.moving = False
            self._scheduler.consider(lane)

    # -------------------------------------------------------------------------------------------- looking

    def find(self, id_: str) -> PendingDelivery | None:
        return self._slots.get(id_)

    def __len__(self) -> int:
        """Rows in memory."""
        return len(self._slots)

    @property
    def slots(self) -> Iterable[PendingDelivery]:
        return self._slots.values()

    def overview(self) -> Counter[State]:
        """Rows in memory by state; those that only the ledger holds count as waiting."""
        states = Counter(State.BEGUN if s.place is Place.WIRE else s.row.state for s in self._slots.values())
        states[State.WAITING] += self.far
        return states

    def oldest(self) -> float | None:
        """Creation time (Unix) of the oldest delivery in memory."""
        return min((s.row.delivery.created for s in self._slots.values()), default=None)

    def drop(self, partitions: Iterable[int], *, wire: bool) -> list[PendingDelivery]:
        """Forget the rows of partitions that we lose, those on the wire too when `wire`; returns their slots.

        Who waits for one of them goes on waiting: it is another worker's from now on.
        """
        lost = set(partitions)
        lanes = [lane for lane in self._lanes.values() if lane.partition in lost]
        gone = [s for s in self._slots.values() if s.lane.partition in lost and (wire or s.place is not Place.WIRE)]
        far: list[str] = []
        for lane in lanes:
            self.far -= len(lane.far)
            far += [*lane.loading, *(id_ for _, _, id_ in lane.far)]
            lane.near, lane.far = [], []
            lane.blockers.clear()
            self._scheduler.leave(lane)
            self._lanes.pop(lane.name)
        for id_ in far:
            self._wait_graph.forget(id_)
        for slot in gone:
            self._unwire(slot)
            self._drop(slot)
        self._part_with({*far, *(slot.id for slot in gone)})
        return gone

    def lose(self, slot: PendingDelivery) -> None:
        """An attempt ended whose partition left meanwhile: what became of it is another worker's to say."""
        self._unwire(slot)
        self._drop(slot)
        self._part_with({slot.id})

    def knows(self, row: Row) -> bool:
        """Whether this row already stands in its lane, in memory or not. Walks over one lane's far rows."""
        id_ = row.delivery.id
        if id_ in self._slots:
            return True
        lane = self._lanes.get(row.delivery.lane)
        return lane is not None and (id_ in lane.loading or any(entry[2] == id_ for entry in lane.far))

    def loading(self, row: Row) -> bool:
        """Whether this row is on its way from the ledger."""
        lane = self._lanes.get(row.delivery.lane)
        return lane is not None and row.delivery.id in lane.loading

    def parked(self, lane_name: str) -> list[PendingDelivery]:
        """Slots in memory that stay parked behind a dead letter of their strict relay."""
        lane = self._lanes.get(lane_name)
        if lane is None or not lane.blockers:
            return []
        return [entry[3] for entry in lane.near if entry[3].place is Place.NEAR and lane.parks(entry[3].row)]

    # ------------------------------------------------------------------------------------------- internals

    def _lane(self, row: Row) -> Lane:
        lane = self._lanes.get(row.delivery.lane)
        if lane is None:
            lane = self._lanes[row.delivery.lane] = Lane(row.delivery.lane, row.partition)
        return lane

    def _push_near(self, lane: Lane, row: Row, payload: bytes | None, due: float) -> PendingDelivery:
        slot = PendingDelivery(row, lane, payload, due)
        self._slots[slot.id] = slot
        lane.push(slot)
        self._scheduler.consider(lane)
        return slot

    def _push_far(self, lane: Lane, row: Row, due: float) -> None:
        entry = rank(row)
        if not lane.far or entry < lane.far[0]:
            lane.due = due
            lane.stuck = lane.stuck and lane.parks(row)
        heapq.heappush(lane.far, entry)
        self.far += 1
        self._scheduler.consider(lane)

    def _start(self, lane: Lane, slot: PendingDelivery) -> PendingDelivery:
        heapq.heappop(lane.near)
        slot.place = Place.WIRE
        lane.wire = slot
        self.on_wire += 1
        row = slot.row
        if row.delivery.action != DELETE and not row.delivery.replay:
            self.inversions += row.sequence < lane.high
            lane.high = max(lane.high, row.sequence)
        return slot

    def _unwire(self, slot: PendingDelivery) -> None:
        if slot.place is Place.WIRE:
            slot.lane.wire = None
            self.on_wire -= 1

    def _leave(self, slot: PendingDelivery) -> None:
        self._unwire(slot)
        slot.lane.since = None
        self._drop(slot)
        self._release(slot.id)

    def _drop(self, slot: PendingDelivery) -> None:
        slot.place = Place.GONE
        self._slots.pop(slot.id, None)

    def _part_with(self, ids: set[str]) -> None:
        self.elsewhere |= ids & self._wait_graph.awaited()
        for id_ in ids - self.elsewhere:
            self._release(id_)

    def _in_sight(self, row: Row) -> bool:
        return row.delivery.id in self.elsewhere or self.knows(row)

    def _release(self, id_: str, *, known: bool = True) -> None:
        """Those who waited for it go on, see `WaitGraph.release`."""
        for waiter in self._wait_graph.release(id_, known=known):
            self._scheduler.consider(waiter.lane)

    def _forget(self, lane: Lane) -> None:
        lane.head()
        if lane.empty and self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their lanes: by partition, then by sequence."""
    return sorted(rows, key=lambda row: (row.partition, row.sequence))
