"""The lanes of one sink by name and the deliveries in memory by id: one index, which `Lanes` and `Backlog` share."""

from __future__ import annotations

from router.contracts import Row
from router.engine.delivery.pending_delivery import Lane, PendingDelivery, Place


class LaneTable:
    """Finds, makes and removes lanes and pending deliveries. It starts nothing and orders nothing."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.pending: dict[str, PendingDelivery] = {}

    def lane_of(self, row: Row) -> Lane:
        """The lane of this row; a new one if there is none."""
        lane = self.lanes.get(row.delivery.lane)
        if lane is None:
            lane = self.lanes[row.delivery.lane] = Lane(row.delivery.lane, row.partition)
        return lane

    def put(self, lane: Lane, row: Row, payload: bytes | None, due: float) -> PendingDelivery:
        """Put a row in the window of its lane."""
        pending = PendingDelivery(row, lane, payload, due)
        self.pending[pending.id] = pending
        lane.push(pending)
        return pending

    def remove(self, pending: PendingDelivery) -> None:
        """This delivery leaves memory. Its entry in the window is dropped when it comes to the head."""
        pending.place = Place.GONE
        self.pending.pop(pending.id, None)

    def remove_if_empty(self, lane: Lane) -> None:
        lane.head()
        if lane.empty and self.lanes.get(lane.name) is lane:
            del self.lanes[lane.name]

    def holds(self, row: Row) -> bool:
        """Whether this row already stands in its lane, in memory or not. Walks over the backlog of one lane."""
        id_ = row.delivery.id
        if id_ in self.pending:
            return True
        lane = self.lanes.get(row.delivery.lane)
        return lane is not None and (id_ in lane.loading or any(entry[2] == id_ for entry in lane.backlog))
