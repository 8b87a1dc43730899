"""The steps of an upgrade beside the pods themselves: the hook before it, and what a new gateway waits for."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.rolling.older import ROOT, Older
from benchmarks.rolling.pods import Pod

WAIT_SECONDS: Final = 5
"""A gateway that has waited so long lets the other pods go first."""
NEWER: Final = "written by a newer segur-router"
"""What an older process says of newer tables (`router.database`)."""


@dataclass
class Upgrade:
    """What came of it.

    migrated: what the hook said, "" when there was none;  seconds: of the hook;  code: its exit code
    refused:  pod -> the end of its log, when it fell and its older version did not start again
    waited:   what gateways said while they waited for pipelines
    """

    migrated: str = ""
    seconds: float = 0.0
    code: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    waited: list[str] = field(default_factory=list)

    def broken(self) -> list[str]:
        """What was promised and not kept: the hook ends well, and who can't work on newer tables says so."""
        found = [f"the hook ended with {self.code}: {self.migrated}"] if self.code else []
        silent = [pod for pod, words in self.refused.items() if NEWER not in " ".join(words.split())]
        return [*found, *(f"{pod}: its older version ended without a reason" for pod in silent)]


def check_version(pods: Iterable[Pod], older: Older) -> None:
    """RuntimeError when a pod does not run the older code: the run would prove nothing."""
    for pod in pods:
        said = pod.page("/version")
        if said is None or said["version"] != older.version:
            raise RuntimeError(f"{pod.name} runs {said}, not {older.version}")


async def migrate(upgrade: Upgrade, pod: Pod) -> str:
    """The chart's hook, with the new code, while every pod is of the older one. Returns what it said."""
    began = time.monotonic()
    upgrade.code, upgrade.migrated = await _run(pod, "ledger", "migrate")
    upgrade.seconds = time.monotonic() - began
    return f"hook: ended with {upgrade.code} after {upgrade.seconds:.1f} s: {upgrade.migrated}"


async def pipelines_read(upgrade: Upgrade, name: str, pods: Iterable[Pod]) -> bool:
    """Whether all pipelines pods read what a new gateway writes, as its init container asks them."""
    pipelines = [pod for pod in pods if pod.role == "pipelines"]
    places = [pod.admin for pod in pipelines]
    code, said = await _run(pipelines[0], "wait-for", "pipelines", *places, "--timeout", str(WAIT_SECONDS))
    if code:
        upgrade.waited.append(f"{name}: {said}")
    return not code


async def _run(pod: Pod, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEGUR_SITE": str(pod.site_file), "SEGUR_LANG": "en"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router.cli.main", *words,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, " ".join(out.decode(errors="replace").split())
