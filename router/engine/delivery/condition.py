"""What a sink worker says of itself: to readiness, the console and `status`, and to the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.worker_settings import WorkerSettings
from router.exchange import State


@dataclass(frozen=True, slots=True)
class Condition:
    """What a sink worker says of itself at one moment."""

    sink: str
    circuit: Circuit
    code: str
    """Why the circuit is not closed."""
    in_flight: int
    pending: Mapping[str, int]
    oldest: float | None
    """Unix time of creation of the oldest delivery in memory."""
    bytes_held: int
    inversions: int
    partitions: frozenset[int]


class Gauges:
    """Reads the state of one sink worker's collaborators; changes none of it."""

    def __init__(
        self, settings: WorkerSettings, owned: OwnedPartitions, lanes: Lanes, payloads: PayloadCache, breaker: Breaker
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._lanes = lanes
        self._payloads = payloads
        self._breaker = breaker
        self._inversions = 0
        self._full = False

    def condition(self) -> Condition:
        """The present state, cheap enough to be asked every second."""
        lanes, breaker = self._lanes, self._breaker
        return Condition(
            sink=self._settings.sink,
            circuit=breaker.state,
            code=breaker.code if breaker.state is not Circuit.CLOSED else "",
            in_flight=lanes.in_flight,
            pending={state.value: number for state, number in lanes.overview().items() if number},
            oldest=lanes.oldest(),
            bytes_held=self._payloads.held,
            inversions=lanes.inversions,
            partitions=self._owned.numbers,
        )

    def measure(self) -> None:
        """Set the gauges; alert when the backlog is full."""
        sink, observer, lanes = self._settings.sink, self._settings.observer, self._lanes
        states = lanes.overview()
        for state in (State.READY, State.BEGUN, State.WAITING, State.PARKED, State.UNKNOWN):
            observer.set("pending", states[state], sink=sink, state=state.value)
        oldest, now = lanes.oldest(), self._settings.clock.now()
        observer.set("oldest_pending_timestamp_seconds", now if oldest is None else min(oldest, now), sink=sink)
        observer.set("in_flight", lanes.in_flight, sink=sink)
        observer.set("bytes_held", self._payloads.held, stage=sink)
        observer.set("circuit_open", float(self._breaker.state is not Circuit.CLOSED), sink=sink)
        observer.count("inversions_total", lanes.inversions - self._inversions, sink=sink)
        self._inversions = lanes.inversions
        full = lanes.backlog.size >= self._settings.limits.backlog
        if full and not self._full:
            self._settings.alert("backlog-full", {"sink": sink, "text": "nothing more is read, not even a deletion"})
        self._full = full
