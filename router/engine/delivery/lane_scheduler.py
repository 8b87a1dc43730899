"""Which lane comes next: lanes whose head may start, lanes that wait for a time, lanes that must be loaded."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from router.engine.delivery.pending_delivery import Lane


class LaneScheduler:
    """Times are monotonic seconds. `to_load`: lanes by name with no row in memory, and with rows in the ledger."""

    def __init__(self) -> None:
        self._ready: deque[Lane] = deque()
        self._timers: list[tuple[float, int, Lane]] = []
        self._ties = count()
        self.to_load: dict[str, Lane] = {}

    @property
    def ready(self) -> int:
        """Lanes whose head may start (an upper bound)."""
        return len(self._ready)

    def next(self) -> Lane | None:
        """The lane whose turn it is."""
        if not self._ready:
            return None
        lane = self._ready.popleft()
        lane.queued = False
        return lane

    def next_due(self) -> float | None:
        """When the next timer is due."""
        return self._timers[0][0] if self._timers else None

    def wake(self, now: float) -> None:
        """Look at the lanes whose timer is due."""
        while self._timers and self._timers[0][0] <= now:
            due, _, lane = heapq.heappop(self._timers)
            if lane.timer == due:
                lane.timer = None
            self.consider(lane, now)

    def consider(self, lane: Lane, now: float = 0.0) -> None:
        """Queue the lane if its head can start, set a timer if it waits, ask the ledger if no row is in memory.

        Without `now` a head that waits gets a timer even if it is due: the next `wake` finds it.
        """
        if lane.in_flight is not None or lane.queued:
            return
        head = lane.head()
        if head is None:
            self._consider_backlog(lane, now)
        elif head.waits_for:
            return
        elif lane.parks(head.row):
            lane.waiting_since = lane.waiting_since if lane.waiting_since is not None else head.due
        elif head.due > now:
            self._set_timer(lane, head.due)
        else:
            lane.queued = True
            self._ready.append(lane)

    def leave(self, lane: Lane) -> None:
        """The lane is no longer ours; its timers find it empty."""
        self.to_load.pop(lane.name, None)

    def _consider_backlog(self, lane: Lane, now: float) -> None:
        if not lane.backlog or lane.loading or lane.spilling or lane.discarding or lane.backlog_parked:
            return
        if lane.backlog_due > now:
            self._set_timer(lane, lane.backlog_due)
        else:
            self.to_load[lane.name] = lane

    def _set_timer(self, lane: Lane, due: float) -> None:
        if lane.timer is None or due < lane.timer:
            lane.timer = due
            heapq.heappush(self._timers, (due, next(self._ties), lane))
