"""A pod without Kubernetes: one role under one slot, started and stopped as `deploy/helm/segur-router` does it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from router.runtime.supervisor.workers import die_with_parent

ROOT: Final = Path(__file__).resolve().parents[2]
READY_SECONDS: Final = 240.0
CLOSING_SECONDS: Final = 3
"""Of the supervisor, after the drain (`router.runtime.supervisor.router_process`)."""
SPARE_SECONDS: Final = 5
"""What the chart adds to the grace (`segur.grace`)."""


def command(role: str) -> list[str]:
    """The arguments that the chart gives to the router's program."""
    return ["run", "--only", role]


def environment(role: str, site: Path, slot: int) -> dict[str, str]:
    """The variables that the chart sets: the index by the downward API; the journal's pod keeps the audit's anchor."""
    anchor = {} if role == "journal" else {"SEGUR_AUDIT_ANCHOR": "elsewhere"}
    return {"SEGUR_SITE": str(site), "SEGUR_SLOT": str(slot), **anchor}


@dataclass(frozen=True, slots=True)
class Fall:
    """A worker that ended inside its pod although nobody told it to. `code`: exit code, 75 is a fence.

    older: of older code than the present one
    """

    pod: str
    code: int
    older: bool = False


class Ended(RuntimeError):
    """A pod ended while it started. The text has the end of its log."""


@dataclass
class Pod:
    """`role`-`slot` with its own address, data and environment.

    address: of the loopback network, of this pod alone;  site: the site file's content, before the pod's own values
    code:    folder of the router's code that it runs
    falls:   workers that ended by themselves;  other_names: workers that said another role or slot than this one
    """

    role: str
    slot: int
    address: str
    folder: Path
    site: Mapping[str, Any]
    code: Path = ROOT
    falls: list[Fall] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    _generation: int = 0
    _restarts: int = 0

    @property
    def name(self) -> str:
        return f"{self.role}-{self.slot}"

    @property
    def site_file(self) -> Path:
        return self.folder / "router.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def grace(self) -> float:
        """Seconds from SIGTERM to SIGKILL: the chart's grace without its preStop."""
        return float(self.site.get("limits", {}).get("drain_seconds", 7)) + CLOSING_SECONDS + SPARE_SECONDS

    @property
    def _data(self) -> Path:
        return self.folder / f"data-{self._generation}"

    # ----------------------------------------------------------------------------------------------- its life

    async def start(self, *, new: bool = True) -> None:
        """Start it; `ready` waits. new: with an empty data folder, as a new pod; else as a container started again."""
        self._generation += new
        self._restarts = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        with self.site_file.open("w", encoding="utf-8") as file:
            YAML().dump(self._own_site(), file)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"PYTHONPATH": str(self.code), "TMPDIR": str(self.folder / "tmp"), "SEGUR_LANG": "en"}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router.cli.main", *command(self.role),
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
                env=kept | own | environment(self.role, self.site_file, self.slot),
            )  # fmt: skip

    def _own_site(self) -> dict[str, Any]:
        site = copy.deepcopy(dict(self.site))
        site["data"] = str(self._data)
        site["admin"] = {**site["admin"], "host": self.address}
        for feed in site["feeds"].values():
            feed["mllp"]["host"] = self.address
        return site

    async def ready(self) -> float:
        """Seconds until `/readyz` says 200. `Ended` when the pod ends, RuntimeError when it never gets ready."""
        began = time.monotonic()
        while await asyncio.to_thread(self.page, "/readyz") is None:
            if self.process is None or self.process.returncode is not None:
                raise Ended(f"{self.name} ended while it started:\n{self.last_words()}")
            if time.monotonic() - began > READY_SECONDS:
                raise RuntimeError(f"{self.name} is not ready after {READY_SECONDS:g} s:\n{self.last_words()}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    @property
    def admin(self) -> str:
        """Its administration port: `host:port`."""
        return f"{self.address}:{self.site['admin']['port']}"

    def page(self, path: str) -> Any:
        """What a page of its administration port says, None unless it answers 200."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{self.admin}{path}", timeout=2) as answer:
            return json.loads(answer.read()) if answer.status == 200 else None
        return None

    def last_words(self, most: int = 2000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-most:]

    async def stop(self) -> tuple[float, int]:
        """SIGTERM as the kubelet sends it, SIGKILL when the grace is over: seconds it took, exit code."""
        assert self.process is not None
        began = time.monotonic()
        self.look()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), self.grace)
        except TimeoutError:
            await self.kill()
        return time.monotonic() - began, self.process.returncode or 0

    async def kill(self) -> None:
        """SIGKILL of every process of the pod at once, as when its memory is used up."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    # ------------------------------------------------------------------------------------- what is seen of it

    def worker(self) -> int:
        """Pid of the worker inside, 0 while there is none."""
        return next((int(one["pid"]) for one in self._workers()), 0)

    def _workers(self) -> list[dict[str, Any]]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            said = json.loads((self._data / "run" / "state.json").read_text())
            if self.process is not None and said["pid"] == self.process.pid:
                return list(said["workers"])
        return []

    def look(self) -> None:
        """Take note of workers that fell, or work under another name."""
        for one in self._workers():
            if (one["role"], one["slot"]) != (self.role, self.slot):
                self.other_names.append(f"{self.name} runs {one['role']}-{one['slot']}")
            if one["restarts"] > self._restarts:
                self._restarts = one["restarts"]
                self.falls.append(Fall(self.name, one["last_exit"] or 0, self.code != ROOT))
