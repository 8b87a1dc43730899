"""Other supervisors of the site, asked at their administration ports; who has answered before is remembered."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from router.language import N_
from router.runtime import neighbours
from router.runtime.status.views import ProcessReport, Unseen

AT_ONCE: Final = 8
"""Ports that are asked at the same time: one that is silent takes seconds."""
_SILENT: Final = N_("no answer from this administration port")
_MOST: Final = 2.5e11
"""The year 9892 as Unix time: no number of a report is larger. NaN and infinity are not believed either."""
_DISK_UNIT: Final = 1024 * 1024
"""Bytes: of a file system these are the numbers."""
_REPORT: Final = TypeAdapter(ProcessReport)


@dataclass(frozen=True, slots=True)
class _Heard:
    """The last answer of an address."""

    machine: str
    at: float


class Others:
    """`ask` as often as wanted. One thread. A name stands for every address behind it, as a headless Service's does.

    An address that is no longer behind its name is forgotten: that pod was replaced, or is no longer wanted.
    """

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        self._places = tuple(places)
        self._heard: dict[str, _Heard] = {}

    def ask(self, now: float) -> tuple[list[ProcessReport], list[Unseen]]:
        """Reports of those that answer, and those that do not, with the moment of their last answer."""
        if not self._places:
            return [], []
        with ThreadPoolExecutor(AT_ONCE, "status") as pool:
            behind = list(pool.map(_addresses, (host for host, _ in self._places)))
            unseen = [
                self._silent(f"{host}:{port}", "DNS", N_("the name is not known"))
                for (host, port), found in zip(self._places, behind, strict=True)
                if not found
            ]
            doors = {
                (address, port): None
                for (_, port), found in zip(self._places, behind, strict=True)
                for address in found
            }
            said = list(pool.map(lambda door: neighbours.page(door[0], door[1], "/status"), doors))
        reports = []
        for (address, port), (status, page) in zip(doors, said, strict=True):
            where = f"{address}:{port}"
            report = report_of(page, where) if status == 200 else None
            if report is None:
                unseen.append(self._silent(where, f"HTTP-{status}", _SILENT))
            else:
                self._heard[where] = _Heard(report.machine, now)
                reports.append(report)
        wanted = {f"{address}:{port}" for address, port in doors}
        self._heard = {where: heard for where, heard in self._heard.items() if where in wanted}
        return reports, unseen

    def _silent(self, where: str, code: str, text: str) -> Unseen:
        heard = self._heard.get(where)
        if heard is None:
            return Unseen(where, code, text, process=True)
        return Unseen(f"{heard.machine} ({where})", code, text, since=heard.at, process=True)


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def report_of(said: Mapping[str, Any], at: str) -> ProcessReport | None:
    """A page of another version may hold other things: what can't be read, or counted with, is no report."""
    try:
        found = _REPORT.validate_python({**said, "at": at})
    except ValidationError:
        return None
    return found if all(-_MOST <= number <= _MOST for number in _numbers(found)) else None


def _numbers(report: ProcessReport) -> Iterator[float]:
    """What is added up, or shown as a time or an age."""
    yield report.started
    for worker in report.workers:
        yield from (worker.since, worker.restarts, worker.last_exit or 0)
    yield from (reading.value for reading in report.readings)
    yield from (one.ends for one in report.certificates if one.ends is not None)
    if (lists := report.directory) is not None:
        yield from (lists.liste_blanche_age or 0, lists.annuaire_age or 0, lists.domains, lists.mailboxes)
    if (disk := report.disk) is not None:
        yield from (part // _DISK_UNIT for part in (disk.free, disk.size, disk.inodes_free))
