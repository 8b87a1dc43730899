"""What the processes of a router say of themselves: those of this data folder, and others by their addresses."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, TypeVar

from router.config.site import Site
from router.contracts.watch import SystemClock
from router.errors import RouterError
from router.observe.readings import Reading, readings
from router.runtime.process import metrics_folder
from router.runtime.readiness import is_ready
from router.runtime.status import own_files
from router.runtime.status.views import ProcessReport, WorkerView
from router.runtime.supervisor.workers import WorkerState, last_state
from router.software import our_version

#: Of `router.measures`: what `status` shows of a process.
SHOWN: Final = frozenset(
    {
        "circuit_open",
        "in_flight",
        "connections",
        "files_left",
        "pipelines_refused",
        "site_file_changed",
        "mailbox_ok",
        "mail_read_total",
        "oldest_unread_mail_timestamp_seconds",
    }
)

T = TypeVar("T")


def own_report(site: Site) -> ProcessReport | None:
    """Of the supervisor of this data folder, running or not; None when there never was one."""
    said = last_state(site.data / "run" / "state.json")
    if said is None:
        return None
    workers = tuple(_worker(site, worker) for worker in said.workers)
    values = tuple(readings(metrics_folder(site), SHOWN))
    return ProcessReport(platform.node(), our_version(), said.started, workers, values)


def page(site: Site) -> Mapping[str, Any]:
    """The same for the page `/status` of the administration port, with what this machine's files say."""
    found = own_report(site)
    if found is None:
        return {}
    known = replace(
        found,
        certificates=tuple(one for one in own_files.certificates(site) if one.ends is not None),
        directory=_told(lambda: own_files.directory(site, SystemClock())),
        disk=_told(lambda: own_files.disk(site.data)),
    )
    return asdict(known)


def _told(look: Callable[[], T]) -> T | None:
    """None when the files can't be read: the page tells the rest."""
    try:
        return look()
    except (OSError, RouterError):
        return None


def _worker(site: Site, state: WorkerState) -> WorkerView:
    status: str = state.status
    if status == "running" and not is_ready(site, state.role, state.slot, state.pid):
        status = "starting"
    return WorkerView(state.name, state.role, status, state.since, state.restarts, state.last_exit)


class Measured:
    """Values of measures over several processes."""

    def __init__(self, reports: Sequence[ProcessReport]) -> None:
        self._readings = [reading for report in reports for reading in report.readings]

    def of(self, *measures: str, **labels: str) -> list[Reading]:
        """Those of any of these measures whose labels hold these values."""
        return [
            reading
            for reading in self._readings
            if reading.measure in measures and labels.items() <= reading.labels.items()
        ]

    def most(self, measure: str) -> int:
        """The highest; 0 when no process has measured it."""
        return round(max((reading.value for reading in self.of(measure)), default=0.0))

    def total(self, measure: str, **labels: str) -> int | None:
        """The sum; None when no process has measured it."""
        found = self.of(measure, **labels)
        return round(sum(reading.value for reading in found)) if found else None
