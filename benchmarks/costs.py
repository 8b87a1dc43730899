"""What a router's processes used of the machine, by role, out of `/proc`: it costs them nothing."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.place import cpu_of

_WRITTEN: Final = re.compile(r"^write_bytes: (\d+)$", re.MULTILINE)
_SLEPT: Final = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)
_SYNCS: Final = ("syscalls:sys_enter_fdatasync", "syscalls:sys_enter_fsync")


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of processor; bytes that went to the disk; how often a thread went to sleep."""

    cpu: float = 0.0
    written: float = 0.0
    slept: float = 0.0

    def __add__(self, other: Costs) -> Costs:
        return Costs(self.cpu + other.cpu, self.written + other.written, self.slept + other.slept)

    def per(self, before: Costs, count: int) -> Costs:
        """What was used since, for each of so many messages."""
        return Costs(*((now - then) / count for now, then in zip(self.values(), before.values(), strict=True)))

    def values(self) -> tuple[float, float, float]:
        return self.cpu, self.written, self.slept


def by_role(workers: Mapping[int, str]) -> dict[str, Costs]:
    """workers: pid -> role; a process that ends meanwhile is left out."""
    used: defaultdict[str, Costs] = defaultdict(Costs)
    for pid, role in workers.items():
        with contextlib.suppress(OSError):
            one = _of(Path(f"/proc/{pid}"), pid)
            used[role] += one
    return dict(used)


def forget_peaks(pids: Iterable[int]) -> None:
    """VmHWM of these processes begins anew (proc(5), clear_refs); where that is not allowed it goes on."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _of(folder: Path, pid: int) -> Costs:
    slept = sum(_number(_SLEPT, task / "status") for task in (folder / "task").iterdir())
    return Costs(cpu_of(pid), _number(_WRITTEN, folder / "io"), slept)


def _number(pattern: re.Pattern[str], file: Path) -> int:
    try:
        found = pattern.search(file.read_text())
    except OSError:  # a thread that has ended
        return 0
    return int(found[1]) if found else 0


class Syncs:
    """Counts how often processes ask the disk to be durable, by `perf stat`; where it can't be had, `None`."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._perf: subprocess.Popen[str] | None = None
        if perf := shutil.which("perf"):
            words = [perf, "stat", "-x,", "-e", ",".join(_SYNCS), "-p", ",".join(map(str, pids))]
            self._perf = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def stop(self) -> int | None:
        """How many since this was made."""
        if self._perf is None:
            return None
        self._perf.send_signal(signal.SIGINT)
        _, said = self._perf.communicate(timeout=10)
        counts = [line.split(",")[0] for line in said.splitlines() if "sys_enter" in line]
        return sum(map(int, counts)) if counts and all(map(str.isdecimal, counts)) else None
