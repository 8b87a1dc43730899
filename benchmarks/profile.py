"""Where each role of a router spends its time, seen from outside while it works: `py-spy`, or else `perf`.

py-spy sees the lines of Python; with perf only the kernel's and the libraries' functions are seen.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

MISSING: Final = "neither py-spy nor perf is installed: no profile (`pip install py-spy` in an environment of your own)"
_HZ: Final = 200
_LINES: Final = 12


def profiler() -> str:
    """The tool that is there; "" when there is none."""
    return next((found for name in ("py-spy", "perf") if (found := shutil.which(name))), "")


async def watch(tool: str, workers: dict[int, str], seconds: int, folder: Path) -> dict[str, Path]:
    """Role -> a file of folded stacks (`frame;frame count`), which a flame graph is made of."""
    running, files = [], {}
    for pid, role in workers.items():
        file = files[role] = folder / f"{role}.folded"
        running.append(await asyncio.create_subprocess_exec(
            *_words(tool, pid, seconds, file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ))  # fmt: skip
    for one in running:
        await one.wait()
    if Path(tool).name == "perf":
        for file in files.values():
            _fold(tool, file)
    return {role: file for role, file in files.items() if file.exists()}


def _words(tool: str, pid: int, seconds: int, file: Path) -> list[str]:
    if Path(tool).name == "perf":
        return [tool, "record", "-F", str(_HZ), "-g", "-p", str(pid), "-o", f"{file}.data", "--", "sleep", str(seconds)]
    return [
        tool, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(_HZ), "--nonblocking",
        "--threads", "--format", "raw", "--output", str(file),
    ]  # fmt: skip


def _fold(tool: str, file: Path) -> None:
    """perf's own stacks, folded: an empty line ends each."""
    said = subprocess.run(
        [tool, "script", "-i", f"{file}.data", "-F", "ip,sym"], capture_output=True, text=True, check=False
    ).stdout
    stacks: Counter[str] = Counter()
    for stack in said.split("\n\n"):
        frames = [" ".join(line.split()[1:]) or "?" for line in stack.splitlines() if line.strip()]
        if frames:
            stacks[";".join(reversed(frames))] += 1
    file.write_text("".join(f"{stack} {count}\n" for stack, count in stacks.items()))


def show(console: Console, files: dict[str, Path]) -> None:
    """What each role did most: of all samples the share in a function itself, and below it."""
    for role, file in files.items():
        own, below, all_ = shares(file)
        console.print(f"[bold]{role}[/]: {all_} samples, stacks in {file}", soft_wrap=True)
        shown = Table(box=None)
        for column in ("itself %", "with what it calls %", "function"):
            shown.add_column(column, justify="left" if column == "function" else "right", no_wrap=True)
        for name, count in own.most_common(_LINES):
            shown.add_row(f"{100 * count / all_:.1f}", f"{100 * below[name] / all_:.1f}", escape(name))
        console.print(shown)


def shares(file: Path) -> tuple[Counter[str], Counter[str], int]:
    """Samples in each function itself, with what it calls, and of all."""
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in file.read_text(errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            below[frame] += int(count)
    return own, below, sum(own.values())


def readable(tool: str) -> str:
    """What to tell of the tool that was found."""
    if not tool:
        return MISSING
    if Path(tool).name == "perf":
        return "py-spy is not installed: perf is used, which sees no line of Python"
    return f"py-spy, {_HZ} times a second, as user {os.getuid()}"
