"""Two versions of the router side by side, in turns: what the machine does meanwhile befalls both alike.

Both run on sites of their own. A round is older, newer, newer, older, so that a drift cancels out. Sender and receivers
are this version's for both. A ratio is older by newer, of the two halves of one round: above 1 the newer one
is cheaper or sooner; of the rate it is newer by older. Printed: its median, and in brackets the least and the greatest.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks.costs import Costs, Syncs, by_role, forget_peaks
from benchmarks.load import Tally, serve_sink
from benchmarks.place import Place, place
from benchmarks.run import Result, Run, bus_keys, mixed, national, relay

OLDER, NEWER = "older", "newer"
TURNS: Final = (OLDER, NEWER, NEWER, OLDER)
AFTERWARDS: Final = 1.0
"""Seconds after the last arrival that count too: the journal gathers."""
WARM: Final = 300

SCENARIOS: Final = {
    "one-patient": Run("relay", 1_000, 1_500, 32, patients=1),
    "light-1k": Run("relay", 1_000, 800, 8, 100),
    "light-100k": Run("relay", 100_000, 800, 8, 100),
    "relay-1k": Run("relay", 1_000, 2_000, 32),
    "relay-100k": Run("relay", 100_000, 800, 32),
    "national-100k": Run("national", 100_000, 200, 16),
    "national-290k": Run("national", 290_000, 120, 16),
    "large-relay-10m": Run("relay", 10_000_000, 8, 2, patients=2),
    "large-relay-20m": Run("relay", 20_000_000, 8, 2, patients=2),
    "large-national-10m": Run("national", 10_000_000, 8, 2),
    "large-national-20m": Run("national", 20_000_000, 6, 2),
    "mixed": Run("mixed", 10_000_000, 8, 8, 50),
}
"""What can be compared. The count is of one turn. Of a national message the size is that of its document."""
SETS: Final = {
    "large-relay": ("large-relay-10m", "large-relay-20m"),
    "large-national": ("large-national-10m", "large-national-20m"),
}
"""Several scenarios by one name."""

#: name -> (of a measure; whether more is better)
_SHOWN: Final[dict[str, tuple[Callable[[Measure], float], bool]]] = {
    "rate /s": (lambda one: one.result.rate, True),
    "p50 ms": (lambda one: one.result.p50, False),
    "p99 ms": (lambda one: one.result.p99, False),
    "CPU ms": (lambda one: 1000 * one.total.cpu, False),
    "written KB": (lambda one: one.total.written / 1000, False),
    "sleeps": (lambda one: one.total.slept, False),
    "syncs": (lambda one: one.syncs, False),
}


@dataclass(frozen=True)
class Measure:
    """One turn of one version. `costs` and `syncs` are for each message."""

    result: Result
    costs: dict[str, Costs]
    syncs: float

    @property
    def total(self) -> Costs:
        return sum(self.costs.values(), Costs())


@dataclass
class Side:
    """A version at work: its site, its receiver's book."""

    played: Place
    tally: Tally
    number: int = 0
    measures: list[Measure] = field(default_factory=list)

    async def turn(self, run: Run, bus: str) -> Measure:
        self.number += 1
        workers = self.played.workers()
        forget_peaks(workers)
        before, syncs = by_role(workers), Syncs(workers)
        if run.scenario == "relay":
            result = await relay(self.played, run, bus, self.tally, self.number)
        elif run.scenario == "mixed":
            result = await mixed(self.played, run, bus, self.number)
        else:
            result = await national(self.played, run, bus, self.number)
        await asyncio.sleep(AFTERWARDS)
        after, synced = by_role(workers), syncs.stop()
        costs = {role: after[role].per(before[role], run.count) for role in after if role in before}
        return Measure(result, costs, float("nan") if synced is None else synced / run.count)


async def compare(
    names: Sequence[str],
    rounds: int,
    codes: dict[str, Path],
    bus: str,
    folder: Path,
    tell: Callable[[str, Measure], None],
) -> dict[str, dict[str, list[Measure]]]:
    """Scenario -> version -> its turns, in order. codes: version -> what goes on PYTHONPATH"""
    found: dict[str, dict[str, list[Measure]]] = {}
    async with contextlib.AsyncExitStack() as stack:
        wide = any(SCENARIOS[name].scenario != "relay" for name in names)
        receives = any(SCENARIOS[name].scenario == "relay" for name in names)
        sides = {
            version: await _side(
                stack, folder / version, code, stack.enter_context(bus_keys(bus)), wide=wide, receives=receives
            )
            for version, code in codes.items()
        }
        for name in names:
            run = SCENARIOS[name]
            for side in sides.values():
                await side.turn(
                    run if run.scenario == "mixed" else replace(run, count=min(run.count, WARM), rate=0.0), bus
                )
            turns: dict[str, list[Measure]] = {version: [] for version in sides}
            for version in TURNS * rounds:
                measure = await sides[version].turn(run, bus)
                turns[version].append(measure)
                tell(f"{name} {version}", measure)
            found[name] = turns
    return found


async def _side(
    stack: contextlib.AsyncExitStack,
    folder: Path,
    code: Path,
    keys: dict[str, Any] | None,
    *,
    wide: bool,
    receives: bool,
) -> Side:
    """wide: with the national receivers;  receives: the relay's receiver is here, not in a process of its own"""
    played = await stack.enter_async_context(place(folder / "site", bus=keys, national=wide))
    tally = Tally()
    if receives:
        stack.callback((await serve_sink(tally, played.relay_port)).close)
    await played.start(code)
    return Side(played, tally)


def table(found: dict[str, dict[str, list[Measure]]]) -> Table:
    """A line for each scenario and figure: both medians, the ratio and its spread."""
    shown = Table(box=None)
    for column in ("scenario", "per message", OLDER, NEWER, "ratio (least to greatest)"):
        shown.add_column(column, justify="left" if column in ("scenario", "per message") else "right", no_wrap=True)
    for name, turns in found.items():
        for figure, (read, more) in _SHOWN.items():
            shown.add_row(
                name, figure, *_row([read(one) for one in turns[OLDER]], [read(one) for one in turns[NEWER]], more)
            )
        for role in turns[NEWER][0].costs:
            older, newer = ([1000 * one.costs[role].cpu for one in turns[version]] for version in (OLDER, NEWER))
            shown.add_row(name, f"CPU ms, {role}", *_row(older, newer, more=False))
        for role in turns[NEWER][0].result.memory_mb:
            older, newer = ([one.result.memory_mb.get(role, 0.0) for one in turns[side]] for side in (OLDER, NEWER))
            shown.add_row(name, f"peak MB, {role}", *_row(older, newer, more=False))
    return shown


def _row(older: list[float], newer: list[float], more: bool) -> tuple[str, str, str]:
    """Medians of both, and the ratios turn by turn: the n-th of one version stood beside the n-th of the other."""
    ratios = [new / old if more else old / new for old, new in zip(older, newer, strict=True) if old and new]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
    return f"{statistics.median(older):.3g}", f"{statistics.median(newer):.3g}", spread


def bad(found: dict[str, dict[str, list[Measure]]]) -> int:
    """How many messages of any turn were lost, repeated, inverted or refused."""
    results = [one.result for turns in found.values() for measures in turns.values() for one in measures]
    return sum(one.lost + one.repeated + (one.inverted or 0) + one.refused for one in results)
