"""Other supervisors of the site, asked at their administration ports; who has answered before is remembered."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
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
    """A page of another version may hold other things: what can't be read is no report."""
    try:
        return _REPORT.validate_python({**said, "at": at})
    except ValidationError:
        return None
