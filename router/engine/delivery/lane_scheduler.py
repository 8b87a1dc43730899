"""Which lane is to be looked at next: those whose head may start, those that wait for time, those that ran empty."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from router.engine.delivery.pending_delivery import Lane


class LaneScheduler:
    """`hungry`: lanes by name whose next rows only the ledger holds. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._ready: deque[Lane] = deque()
        self._timers: list[tuple[float, int, Lane]] = []
        self._ties = count()
        self.hungry: dict[str, Lane] = {}

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
        """When the next timer rings."""
        return self._timers[0][0] if self._timers else None

    def wake(self, now: float) -> None:
        """Look at the lanes whose timer has rung."""
        while self._timers and self._timers[0][0] <= now:
            due, _, lane = heapq.heappop(self._timers)
            if lane.timer == due:
                lane.timer = None
            self.consider(lane, now)

    def consider(self, lane: Lane, now: float = 0.0) -> None:
        """Queue the lane if its head can start, set a timer if it waits, ask the ledger if it ran empty.

        Without `now` a head that waits gets a timer even if it is due: the next `wake` finds it.
        """
        if lane.wire is not None or lane.queued:
            return
        slot = lane.head()
        if slot is None:
            self._consider_far(lane, now)
        elif slot.waits_for:
            return
        elif lane.parks(slot.row):
            lane.since = lane.since if lane.since is not None else slot.due
        elif slot.due > now:
            self._set_timer(lane, slot.due)
        else:
            lane.queued = True
            self._ready.append(lane)

    def leave(self, lane: Lane) -> None:
        """The lane is no longer ours; its timers find it empty."""
        self.hungry.pop(lane.name, None)

    def _consider_far(self, lane: Lane, now: float) -> None:
        if not lane.far or lane.loading or lane.moving or lane.leaving or lane.stuck:
            return
        if lane.due > now:
            self._set_timer(lane, lane.due)
        else:
            self.hungry[lane.name] = lane

    def _set_timer(self, lane: Lane, due: float) -> None:
        if lane.timer is None or due < lane.timer:
            lane.timer = due
            heapq.heappush(self._timers, (due, next(self._ties), lane))
