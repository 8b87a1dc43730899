"""The rows of a sink's lanes that only the ledger holds: known here by their rank, loaded when their turn comes.

A lane keeps a bounded number of rows in memory (`window`). So one lane with a hundred thousand rows neither fills
the memory nor delays another. Pure and synchronous, without clock or I/O, like `Lanes`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from router.contracts import Row
from router.engine.delivery.lane_scheduler import LaneScheduler
from router.engine.delivery.lane_table import LaneTable
from router.engine.delivery.pending_delivery import Lane, PendingDelivery, Place, rank
from router.engine.delivery.wait_graph import WaitGraph


class Backlog:
    """Part of `Lanes`. `window`: rows of one lane in memory; `capacity`: rows of all lanes in memory."""

    def __init__(
        self, table: LaneTable, scheduler: LaneScheduler, wait_graph: WaitGraph, *, window: int, capacity: int
    ) -> None:
        self._table = table
        self._scheduler = scheduler
        self._wait_graph = wait_graph
        self._window = window
        self._capacity = capacity
        self.size = 0
        """Rows of all lanes that only the ledger holds."""

    # ------------------------------------------------------------------------------------------- entering

    def must_take(self, lane: Lane) -> bool:
        """Whether a new row of this lane finds no room in memory, or rows before it found none."""
        return bool(
            lane.backlog
            or lane.loading
            or len(lane.window) >= self._window
            or len(self._table.pending) >= self._capacity
        )

    def push(self, lane: Lane, row: Row, due: float) -> None:
        """From now on only the ledger holds this row; it is due at this time."""
        entry = rank(row)
        if not lane.backlog or entry < lane.backlog[0]:
            lane.backlog_due = due
            lane.backlog_parked = lane.backlog_parked and lane.parks(row)
        heapq.heappush(lane.backlog, entry)
        self.size += 1
        self._scheduler.consider(lane)

    # -------------------------------------------------------------------------------------------- loading

    def wanted(self, lanes: int) -> list[tuple[str, list[str]]]:
        """Up to `lanes` lanes with no row in memory, and the ids of their next rows, to be read and `load`ed."""
        asked: list[tuple[str, list[str]]] = []
        for lane in list(self._scheduler.to_load.values()):
            if len(asked) >= lanes or len(self._table.pending) >= self._capacity:
                break
            del self._scheduler.to_load[lane.name]
            busy = lane.loading or lane.spilling or lane.discarding or lane.window or lane.in_flight
            if busy or not lane.backlog:
                continue
            ids = [heapq.heappop(lane.backlog)[2] for _ in range(min(len(lane.backlog), self._window))]
            self.size -= len(ids)
            lane.spilled.difference_update(ids)
            lane.loading, lane.backlog_due = frozenset(ids), 0.0
            asked.append((lane.name, ids))
        return asked

    def load(self, lane_name: str, rows: Iterable[tuple[Row, float]]) -> None:
        """Rows that `wanted` asked for are back from the ledger, each with the time when it is due."""
        lane = self._table.lanes.get(lane_name)
        if lane is None:
            return
        for row, due in rows:
            if row.delivery.id not in self._table.pending and row.delivery.id not in lane.tombstones:
                pending = self._table.put(lane, row, None, due)
                self._scheduler.consider(lane)
                self._wait_graph.loaded(pending)
        for id_ in lane.loading:
            self._wait_graph.forget(id_)
        lane.tombstones = lane.tombstones - lane.loading if lane.backlog else set()
        lane.loading = frozenset()
        self._scheduler.consider(lane)
        self._table.remove_if_empty(lane)

    def loading(self, row: Row) -> bool:
        """Whether this row is on its way from the ledger."""
        lane = self._table.lanes.get(row.delivery.lane)
        return lane is not None and row.delivery.id in lane.loading

    def retry(self, lane_name: str) -> None:
        """A row of this lane that only the ledger holds may go again: look at it."""
        if lane := self._table.lanes.get(lane_name):
            lane.backlog_parked, lane.backlog_due = False, 0.0
            self._scheduler.consider(lane)

    # ------------------------------------------------------------------------------------------- spilling

    def waiting_since(self, before: float) -> list[str]:
        """Lanes whose head has been waiting since before this time, and of which some bytes are not on `held` yet."""
        return [
            name
            for name, lane in self._table.lanes.items()
            if lane.waiting_since is not None
            and lane.waiting_since <= before
            and lane.in_flight is None
            and not lane.loading
            and (lane.evictable() or len(lane.spilled) < len(lane.backlog))
        ]

    def evict(self, lane_name: str) -> list[PendingDelivery] | None:
        """The rows of a waiting lane leave memory and can't start before `spilled` is called; deletions stay.

        None when it does not wait any more: none of its rows may be touched then.
        """
        lane = self._table.lanes.get(lane_name)
        if lane is None or lane.in_flight or lane.loading:
            return None
        lane.spilling = True
        gone = lane.evictable()
        lane.window = [entry for entry in lane.window if entry[3].place is Place.WINDOW and entry[0] == 0]
        heapq.heapify(lane.window)
        first = min(gone, key=lambda pending: rank(pending.row), default=None)
        if first is not None and (not lane.backlog or rank(first.row) < lane.backlog[0]):
            lane.backlog_due, lane.backlog_parked = first.due, lane.parks(first.row)
        for pending in gone:
            self._table.remove(pending)
            heapq.heappush(lane.backlog, rank(pending.row))
            self._wait_graph.hold_back_once_loaded(pending.row, pending.waits_for.values())
        self.size += len(gone)
        return gone

    def unspilled(self, lane_name: str, limit: int) -> list[str]:
        """Ids of this lane that only the ledger holds and whose bytes are not yet on `held`."""
        lane = self._table.lanes.get(lane_name)
        if lane is None:
            return []
        ids = (id_ for _, _, id_ in lane.backlog if id_ not in lane.spilled)
        return [id_ for id_, _ in zip(ids, range(limit), strict=False)]

    def spilled(self, lane_name: str, ids: Iterable[str]) -> None:
        """The bytes of these rows now stand on `held`: the lane may go on when it is due."""
        if lane := self._table.lanes.get(lane_name):
            lane.spilled.update(ids)
            lane.spilling = False
            self._scheduler.consider(lane)

    # -------------------------------------------------------------------------------------------- leaving

    def supersede(self, row: Row) -> None:
        """A row that is not in memory was overtaken: if the ledger still answers with it, the answer is too old."""
        lane = self._table.lanes.get(row.delivery.lane)
        if lane is None:
            return
        id_ = row.delivery.id
        lane.discarding.discard(id_)
        if lane.backlog or id_ in lane.loading:
            lane.tombstones.add(id_)
            self._wait_graph.forget(id_)
            self._wait_graph.release(id_)
            self.retry(lane.name)  # it may have been the one that held its lane

    def discard(self, row: Row) -> None:
        """A person discards a row that is not in memory: nothing of its lane is loaded before `supersede`."""
        if lane := self._table.lanes.get(row.delivery.lane):
            lane.discarding.add(row.delivery.id)

    def drop(self, lane: Lane) -> set[str]:
        """The lane leaves with its partition; returns the ids of its rows that were not in memory."""
        self.size -= len(lane.backlog)
        ids = {*lane.loading, *(id_ for _, _, id_ in lane.backlog)}
        lane.backlog = []
        for id_ in ids:
            self._wait_graph.forget(id_)
        return ids
