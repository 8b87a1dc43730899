"""What would bound the rate on more processors? `python -m benchmarks.bounds [--scenario …] [--disk 0.5]`.

One scenario is measured: the processor time of a message by role, and the part of it during which a turn to write is
held. From these follow bounds, each of its own; the rate is at most the least of them:

- processors / processor time of a message: all that the router does, spread evenly;
- processes of a role / its processor time: the interpreter runs one thread of a process at a time;
- 1 / time for which the turn to write the bus, or the ledger, is held: one process at a time writes a file of SQLite.
  That time is taken as the processor time in it and `--disk` milliseconds for each turn, which ends with one sync: what
  the clock says is printed too, but on a machine that others use it is mostly waiting for a processor.

Kafka and PostgreSQL have no such turns: there only the first two bounds hold, and those of the brokers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.costs import by_role
from benchmarks.load import Tally, serve_sink
from benchmarks.paired import SCENARIOS, WARM, Side
from benchmarks.place import place

WATCHED: Final = Path(__file__).parent / "turns"
PROCESSORS: Final = (1, 2, 4, 8, 16, 32)
SETTLED: Final = 1.5
"""Seconds after the last arrival: the journal gathers, and a worker tells its turns twice a second."""


@dataclass(frozen=True)
class Turn:
    """One turn to write, for each message: how often it is taken, seconds held, seconds of processor meanwhile."""

    taken: float
    held: float
    processor: float


@dataclass(frozen=True)
class Work:
    """What one message takes: seconds of processor by role, and the turns by lock file."""

    processor: Mapping[str, float]
    turns: Mapping[str, Turn]

    @property
    def whole(self) -> float:
        return sum(self.processor.values())


def bounds(work: Work, processors: int, processes: Mapping[str, int]) -> dict[str, float]:
    """Messages a second that each bound allows. processes: of a role, where it is not one."""
    found = {"processors": processors / work.whole}
    found |= {f"role {role}": processes.get(role, 1) / cost for role, cost in work.processor.items() if cost}
    return found | {f"turn {name}": 1 / turn.held for name, turn in work.turns.items() if turn.held}


def least(work: Work, processors: int) -> tuple[float, str, dict[str, int]]:
    """The rate that can be had with as many processes of each role as help, what bounds it, and how many they are."""
    turns = min((1 / turn.held for turn in work.turns.values() if turn.held), default=float("inf"))
    most = min(processors / work.whole, turns)
    needed = {role: max(1, -int(-cost * most // 1)) for role, cost in work.processor.items()}
    found = bounds(work, processors, needed)
    return min(found.values()), min(found, key=lambda name: found[name]), needed


async def watched(name: str, folder: Path) -> Work:
    """One scenario on the embedded bus."""
    run, out = SCENARIOS[name], folder / "turns"
    out.mkdir()
    os.environ["TURNS_OUT"] = str(out)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(WATCHED), str(WATCHED.parents[1])])
    async with place(folder / "site", national=run.scenario == "national") as played:
        tally = Tally()
        sink = await serve_sink(tally, played.relay_port)
        await played.start()
        side, workers = Side(played, tally), played.workers()
        await side.turn(replace(run, count=min(run.count, WARM)), "sqlite")
        before, told = by_role(workers), _told(out)
        await side.turn(run, "sqlite")
        await asyncio.sleep(SETTLED)
        after, later = by_role(workers), _told(out)
        sink.close()
    processor = {role: (after[role].cpu - before[role].cpu) / run.count for role in after}
    turns = {name: Turn(*((later[name, n] - told[name, n]) / run.count for n in range(3))) for name, _ in later}
    return Work(processor, turns)


def _told(folder: Path) -> Counter[tuple[str, int]]:
    """(lock file, 0 to 3) -> the sum over all workers."""
    found: Counter[tuple[str, int]] = Counter()
    for file in folder.glob("*.json"):
        for name, values in json.loads(file.read_text()).items():
            found.update({(name, rank): value for rank, value in enumerate(values)})
    return found


def show(console: Console, name: str, work: Work, sync: float) -> None:
    """sync: seconds of one on the disk that is meant."""
    roles = ", ".join(f"{role} {1000 * cost:.2f}" for role, cost in work.processor.items())
    console.print(f"[bold]{name}[/]: {1000 * work.whole:.2f} ms of processor a message ({roles})")
    for lock, turn in work.turns.items():
        console.print(
            f"  turn {lock}: {turn.taken:.2f} times a message, held {1000 * turn.held:.3f} ms, "
            f"{1000 * turn.processor:.3f} ms of it at work"
        )
    held = {lock: replace(turn, held=turn.processor + sync * turn.taken) for lock, turn in work.turns.items()}
    work = replace(work, turns=held)
    shown = Table(box=None)
    for column in ("processors", "rate at most", "bound by", "processes of each role"):
        shown.add_column(column, justify="left" if column == "bound by" else "right", no_wrap=True)
    for processors in PROCESSORS:
        rate, why, needed = least(work, processors)
        counts = ", ".join(f"{role} {count}" for role, count in needed.items() if count > 1) or "1"
        shown.add_row(str(processors), f"{rate:.0f}/s", why, counts)
    console.print(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=["relay-1k", "national-100k"])
    parser.add_argument("--disk", type=float, default=0.5, help="milliseconds of a sync")
    options = parser.parse_args()
    console = Console(width=140)
    for name in options.scenario:
        with tempfile.TemporaryDirectory(prefix="segur-bounds-") as folder:
            show(console, name, uvloop.run(watched(name, Path(folder))), options.disk / 1000)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
