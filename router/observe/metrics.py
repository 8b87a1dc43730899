"""The observer that gives `router.measures` to Prometheus, over all the processes of one router."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from router.measures import BUG, MEASURES, OTHER, PREFIX, Declaration, Measure
from router.observe.measure_file import MeasureFile

BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600)
"""Upper bounds in seconds of every histogram."""
_MERGES: Final = {"sum": "livesum", "max": "livemax", "min": "livemin"}
"""How the gauges of several processes become one; a dead process no longer counts."""

Labels = Mapping[str, str]


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
    """`contracts.Observer` on a registry of its own; a measure that is not in the table can't be written.

    A label keeps to its closed list: any other value is counted as `other`, and the code of a bug as `BUG`.
    """

    def __init__(self, lists: Mapping[str, Collection[str]] | None = None) -> None:
        """`lists`: label -> its closed list, of labels whose list the site or the programme makes (`code`, `type`)."""
        self.registry = CollectorRegistry()
        self._lists = lists or {}
        self._made: dict[Measure, Counter | Gauge | Histogram] = {}
        self._children: dict[tuple[str, tuple[str, ...]], Counter | Gauge | Histogram] = {}

    def born(self, counters: Iterable[tuple[Measure, Labels]]) -> None:
        """Make these counters at 0: `increase()` of Prometheus sees no first event of a series that begins with it."""
        for name, labels in counters:
            self._child(name, labels)

    def _family(self, name: Measure) -> Counter | Gauge | Histogram:
        """The metric, made when it is first written: a gauge without labels is 0 from the moment that it is made."""
        if name not in self._made:
            self._made[name] = self._make(PREFIX + name, MEASURES[name])
        return self._made[name]

    def _make(self, full: str, declared: Declaration) -> Counter | Gauge | Histogram:
        labels, text = declared.labels, declared.text
        if declared.kind == "counter":
            return Counter(full, text, labels, registry=self.registry)
        if declared.kind == "gauge":
            mode = _MERGES[declared.merge]
            return Gauge(full, text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]
        return Histogram(full, text, labels, registry=self.registry, buckets=BUCKETS)

    def _child(self, name: Measure, labels: Labels) -> Counter | Gauge | Histogram:
        declared = MEASURES[name]
        given = tuple(labels[label] for label in declared.labels)
        child = self._children.get((name, given))
        if child is None:
            made = self._family(name)
            kept = [self._kept(declared, label, value) for label, value in zip(declared.labels, given, strict=True)]
            child = made.labels(*kept) if kept else made
            self._children[name, given] = child
        return child

    def _kept(self, declared: Declaration, label: str, value: str) -> str:
        words = declared.words.get(label) or self._lists.get(label)
        if words is None or not value or value in words:
            return value
        return BUG if label == "code" and value.startswith("BUG-") else OTHER

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
