"""Other processes of this router, asked over their administration port: are they ready, what do they read?"""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, cast

from router.language import N_, filled, translated
from router.patience import Patience

ASK_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 1.0
PAGE_SECONDS: Final = 6.0
"""A page may take so long as a whole; `ASK_SECONDS` without a byte."""
_PAGE: Final = 1024 * 1024
"""Bytes of a page that are read."""

Lacking = Callable[[str, int], str]
"""Address and port -> what is still lacking there, in a few words; "" when nothing is."""


def ready(address: str, port: int) -> str:
    """Whether every worker of that process works."""
    status, said = page(address, port, "/readyz")
    if status == 200:
        return ""
    waiting = [f"{name} {translated(str(why))}" for name, why in said.get("waiting", {}).items()]
    return ", ".join(waiting) or _answered(status)


def _answered(status: int) -> str:
    return filled("answers {status}", status=status) if status else N_("does not answer")


def reads(form: int) -> Lacking:
    """Whether that process reads events of this format (`contracts.EVENT_FORMAT`), or a later one."""

    def lacking(address: str, port: int) -> str:
        status, said = page(address, port, "/version")
        if status != 200:  # a version that can't say it
            return filled("does not tell its version ({status})", status=status) if status else _answered(status)
        found = said.get("events")
        if isinstance(found, int) and found >= form:
            return ""
        return filled("reads events of format {present}, not {wanted}", present=found, wanted=form)

    return lacking


def wait_for(
    places: Sequence[tuple[str, int]],
    lacking: Lacking,
    *,
    seconds: float | None,
    told: Callable[[str], None],
) -> bool:
    """Until nothing is lacking at any address of these hosts, or the time is over. `told` hears each new reason.

    A name stands for every address behind it, as a headless Service's does; a name that is not known yet is waited for.
    """
    end = None if seconds is None else time.monotonic() + seconds
    before = ""
    while True:
        reason = next((found for host, port in places if (found := _missing(host, port, lacking))), "")
        if not reason:
            return True
        if reason != before:
            told(reason)
            before = reason
        if end is not None and time.monotonic() >= end:
            return False
        time.sleep(LOOK_SECONDS)


def _missing(host: str, port: int, lacking: Lacking) -> str:
    try:
        found = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return filled("{name} is not known yet", name=host)
    for address in sorted({str(entry[4][0]) for entry in found}):
        why = lacking(address, port)
        if why:
            return filled("{name} at {address}: {reason}", name=host, address=address, reason=why)
    return ""


def page(address: str, port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of a page; status 0 when nobody answers."""
    status = 0
    try:
        with socket.create_connection((address, port), ASK_SECONDS) as line:
            patience = Patience(ASK_SECONDS, total=PAGE_SECONDS)
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n".encode())
            answer = HTTPResponse(cast("Any", _Heard(line, patience)))
            answer.begin()
            status = answer.status
            said = json.loads(answer.read(_PAGE) or b"{}")
        return status, said if isinstance(said, dict) else {}
    except (ValueError, RecursionError):
        return status, {}
    except (OSError, HTTPException):
        return 0, {}


class _Heard(io.RawIOBase):
    """What a peer sends within its patience, as the file that `http.client` asks a socket for."""

    def __init__(self, line: socket.socket, patience: Patience) -> None:
        self._line, self._patience = line, patience

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._patience.receive(self._line, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
