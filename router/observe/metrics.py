"""The observer that gives `router.measures` to Prometheus, over all the processes of one router."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from router.measures import MEASURES, Measure
from router.observe.measure_file import MeasureFile

PREFIX: Final = "segur_"
_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
#: How the gauges of several processes add up; a dead process no longer counts.
_SUM: Final = "livesum"
_MAX: Final = "livemax"
_GAUGE_MODES: Final[dict[Measure, str]] = {
    "oldest_pending_seconds": _MAX,
    "circuit_open": _MAX,
    "journal_lag_seconds": _MAX,
    "certificate_expiry_seconds": "livemin",
    "liste_blanche_age_seconds": _MAX,
    "annuaire_age_seconds": _MAX,
    "directory_differences": _MAX,
    "lag": _MAX,
    "mailbox_ok": "livemin",
}


def share_between_processes(folder: Path) -> None:
    """Keep the values in files of `folder`, so that one process can answer for all.

    Call it before the first `Metrics` of the process; what an earlier run left is removed by `forget_runs`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.MmapedDict = MeasureFile  # type: ignore[attr-defined]
    # The library chose when it was imported, before it could know.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def forget_runs(folder: Path) -> None:
    """Remove the files of processes that no longer run (start of the supervisor)."""
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


class Metrics:
    """`contracts.Observer` on a registry of its own; a measure that is not in the table can't be written."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for name, (kind, labels, text) in MEASURES.items():
            self._made[name] = self._make(name, kind, labels, text)
        self._children: dict[tuple[str, tuple[str, ...]], Counter | Gauge | Histogram] = {}

    def _make(self, name: Measure, kind: str, labels: tuple[str, ...], text: str) -> Counter | Gauge | Histogram:
        full = PREFIX + name
        if kind == "counter":
            return Counter(full, text, labels, registry=self.registry)
        if kind == "gauge":
            mode = _GAUGE_MODES.get(name, _SUM)
            return Gauge(full, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]
        return Histogram(full, text, labels, registry=self.registry, buckets=_BUCKETS)

    def _child(self, name: Measure, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        names = MEASURES[name][1]
        values = tuple(labels[label] for label in names)
        child = self._children.get((name, values))
        if child is None:
            made = self._made[name]
            child = made.labels(*values) if names else made
            self._children[name, values] = child
        return child

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None:
        self._child(measure, labels).inc(amount)  # type: ignore[union-attr]

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        self._child(measure, labels).set(value)  # type: ignore[union-attr]

    def time(self, measure: Measure, seconds: float, **labels: str) -> None:
        self._child(measure, labels).observe(seconds)  # type: ignore[union-attr]


def exposition() -> bytes:
    """All processes' values in the Prometheus text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def process_died(pid: int) -> None:
    """Stop counting the gauges of a process that ended."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
