"""What the workers of one machine have measured, read by another process: the files of their data folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one measure of `router.measures`, over all the processes of a machine."""

    measure: str
    labels: Mapping[str, str]
    value: float


def readings(folder: Path, measures: Collection[str]) -> list[Reading]:
    """The present values of these measures (names of `router.measures`); none where no worker has written any."""
    if not folder.is_dir():
        return []
    collector = MultiProcessCollector(CollectorRegistry(), path=str(folder))  # type: ignore[no-untyped-call]
    found = []
    for metric in collector.collect():  # type: ignore[no-untyped-call]
        for sample in metric.samples:
            name = sample.name.partition("_")[2]
            if name in measures:
                found.append(Reading(name, dict(sample.labels), float(sample.value)))
    return found
