"""Whether a worker works, as it says itself in `<data>/run/<role>-<slot>.json`: its process, its ports, who is away.

The supervisor reads it for `/readyz`. A consumer whose heart-beats nobody answers gets no messages, though its process
is well; a gateway is ready also then, since its AR tells the sender to come back.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from router.config.site import Site

LOOK_SECONDS: Final = 1.0


def ready_file(site: Site, role: str, slot: int) -> Path:
    """Where a worker says that it works."""
    return site.data / "run" / f"{role}-{slot}.json"


def is_ready(site: Site, role: str, slot: int, pid: int) -> bool:
    """Whether the worker that is this process says that it works."""
    return bool(_said(ready_file(site, role, slot), pid))


def waits_for(site: Site, role: str, slot: int, pid: int) -> str:
    """Why the worker that is this process does not work; "" when it does."""
    said = _said(ready_file(site, role, slot), pid)
    if not said:
        return "starting"
    return f"no heartbeat: {', '.join(said['unheard'])}" if said.get("unheard") else ""


def _said(file: Path, pid: int) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(file.read_text())
        return said if said["pid"] == pid else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class Readiness:
    """Keeps the file of this process, from `say` until `end`."""

    def __init__(self, file: Path, unheard: Callable[[], Sequence[str]]) -> None:
        """unheard: names the groups in which this process is no member any more, or perhaps none (`Bus.unheard`)."""
        self._file, self._unheard = file, unheard
        self._ports: dict[str, str] = {}
        self._told: list[str] = []
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="readiness", daemon=True)

    def say(self, ports: Mapping[str, str]) -> None:
        """It works, and listens there."""
        self._ports = dict(ports)
        self._write()
        self._watch.start()

    def end(self) -> None:
        """It works no more."""
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()
        self._file.unlink(missing_ok=True)

    def _keep(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            found = list(self._unheard())
            if found != self._told:
                self._told = found
                self._write()

    def _write(self) -> None:
        part = self._file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({"pid": os.getpid(), "ports": self._ports, "unheard": self._told}))
        part.replace(self._file)
