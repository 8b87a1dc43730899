"""What the processes of a router say of themselves: those of this data folder, and others by their addresses."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from router.config.site import Site
from router.observe.readings import Reading, readings
from router.runtime import neighbours
from router.runtime.process import metrics_folder
from router.runtime.readiness import is_ready
from router.runtime.status.views import ProcessReport, Unseen, WorkerView
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

_REPORT: Final = TypeAdapter(ProcessReport)


def own_report(site: Site) -> ProcessReport | None:
    """Of the supervisor of this data folder, running or not; None when there never was one."""
    said = last_state(site.data / "run" / "state.json")
    if said is None:
        return None
    workers = tuple(_worker(site, worker) for worker in said.workers)
    values = tuple(readings(metrics_folder(site), SHOWN))
    return ProcessReport(platform.node(), our_version(), said.started, workers, values)


def page(site: Site) -> Mapping[str, Any]:
    """The same for the page `/status` of the administration port."""
    found = own_report(site)
    return asdict(found) if found is not None else {}


def asked(places: Sequence[tuple[str, int]]) -> tuple[list[ProcessReport], list[Unseen]]:
    """Reports of other supervisors, asked at their administration ports; and those that did not answer.

    A name stands for every address behind it, as a headless Service's does.
    """
    found: list[ProcessReport] = []
    unseen: list[Unseen] = []
    for host, port in places:
        addresses = list(_addresses(host))
        if not addresses:
            unseen.append(Unseen(f"{host}:{port}", "DNS", "the name is not known"))
        for address in addresses:
            where = f"{address}:{port}"
            status, said = neighbours.page(address, port, "/status")
            report = report_of(said, where) if status == 200 else None
            if report is not None:
                found.append(report)
            else:
                unseen.append(Unseen(where, f"HTTP-{status}", "no answer from this administration port"))
    return found, unseen


def _addresses(host: str) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return
    yield from sorted({str(entry[4][0]) for entry in found})


def report_of(said: Mapping[str, Any], at: str) -> ProcessReport | None:
    """A page of another version may hold other things: what can't be read is no report."""
    try:
        return _REPORT.validate_python({**said, "at": at})
    except ValidationError:
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
