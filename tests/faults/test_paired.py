"""Two versions measured in turns, and what a profile says when no profiler is there."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks import paired, profile
from benchmarks.costs import Costs, by_role
from benchmarks.paired import NEWER, OLDER, Measure
from benchmarks.run import Result


def measure(rate: float, cpu: float, lost: int = 0) -> Measure:
    result = Result(
        "relay", "sqlite", 2, 1000, 8, 0.0, rate, 1, 1, 1, 1, 1, None, {}, {"sinks": 1}, lost, 0, None, 0
    )  # fmt: skip
    return Measure(result, {"sinks": Costs(cpu, 1000, 2)}, float("nan"))


def lines(found: dict[str, dict[str, list[Measure]]]) -> dict[str, list[str]]:
    """Figure -> the cells behind it."""
    columns = [list(column.cells) for column in paired.table(found).columns]
    return {str(cells[1]): [str(cell) for cell in cells[2:]] for cells in zip(*columns, strict=True)}


def test_a_ratio_above_one_says_that_the_newer_version_is_better() -> None:
    """Of a rate it is newer by older, of a cost older by newer; turn by turn, with the least and the greatest."""
    older = [measure(100, 0.004), measure(100, 0.002)]
    newer = [measure(300, 0.002), measure(200, 0.002)]
    shown = lines({"one-patient": {OLDER: older, NEWER: newer}})
    assert shown["rate /s"] == ["100", "250", "2.50 (2.00 to 3.00)"]
    assert shown["CPU ms, sinks"] == ["3", "2", "1.50 (1.00 to 2.00)"]
    assert shown["syncs"][2].startswith("nan")


def test_what_is_lost_in_a_turn_is_told() -> None:
    """A version that loses messages is not faster."""
    assert paired.bad({"x": {OLDER: [measure(1, 1)], NEWER: [measure(1, 1, lost=2)]}}) == 2


def test_costs_are_read_of_living_processes_and_added_by_role() -> None:
    """A process that has ended is left out."""
    mine = by_role({os.getpid(): "me", 2**22 + 1: "gone"})
    assert set(mine) == {"me"}
    assert mine["me"].cpu > 0
    assert Costs(3, 30, 6).per(Costs(1, 10, 2), 2) == Costs(1, 10, 2)


def test_without_a_profiler_it_says_what_to_install(tmp_path: Path) -> None:
    """Folded stacks are counted for a function itself and for what it calls."""
    assert "py-spy" in profile.readable("")
    folded = tmp_path / "sinks.folded"
    folded.write_text("main;work;write 3\nmain;work 1\n")
    own, below, total = profile.shares(folded)
    assert (own["write"], below["work"], total) == (3, 4, 4)
