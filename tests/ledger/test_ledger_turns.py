"""Turns over all processes: evenly spaced, without bursts, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.contracts import OwnTurns
from router.ledger.turns import ALONE, BLOCK, FARTHEST, SqlTurns
from tests.services import (
    postgresql_url,  # noqa: F401
    shared_postgresql,  # noqa: F401  (what `postgresql_url` asks for)
)

INTERVAL = 0.05
EACH = 12


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'pace.db'}"
    else:
        yield request.getfixturevalue("postgresql_url")


def take_turns(url: str, begun: multiprocessing.Queue[float]) -> None:
    """What a worker does: take a turn, wait for it, begin."""
    turns = SqlTurns(url)
    for _ in range(EACH):
        time.sleep(turns.take("1750000001|software", INTERVAL))
        begun.put(time.monotonic())
    turns.close()


def test_processes_share_one_rate(url: str) -> None:
    """Three processes at once: together no faster than the rate, in any window, and no turn is given twice."""
    SqlTurns(url).close()
    context = multiprocessing.get_context("spawn")
    begun: multiprocessing.Queue[float] = context.Queue()
    workers = [context.Process(target=take_turns, args=(url, begun)) for _ in range(3)]
    for worker in workers:
        worker.start()
    times = sorted(begun.get(timeout=30) for _ in range(3 * EACH))
    for worker in workers:
        worker.join(10)
    assert times[-1] - times[0] >= (3 * EACH - 1) * INTERVAL * 0.95
    width = 10 * INTERVAL
    assert max(sum(start <= one < start + width for one in times) for start in times) <= 12  # 10, and lateness


def test_names_do_not_wait_for_each_other_and_a_pause_earns_no_burst(url: str) -> None:
    """Each structure has its own turns; after silence the next turn is now, the one after it an interval later."""
    turns = SqlTurns(url)
    assert turns.take("a", 10.0) == 0.0
    assert turns.take("b", 10.0) == 0.0
    assert 9.0 < turns.take("a", 10.0) <= 10.0
    assert turns.take("c", 0.01) == 0.0
    time.sleep(0.1)
    assert turns.take("c", 0.5) == 0.0
    assert turns.take("c", 0.5) > 0.4
    turns.close()


def test_a_clock_that_began_anew_holds_nobody(tmp_path: Path) -> None:
    """After a restart of the machine the stored turn lies far ahead of its clock: it is forgotten."""
    url, now = f"sqlite:///{tmp_path / 'pace.db'}", [1_000_000.0]
    turns = SqlTurns(url, lambda: now[0])
    turns.take("a", 1.0)
    now[0] = 5.0
    assert turns.take("a", 1.0) == 0.0
    assert turns.take("a", 1.0) == pytest.approx(1.0)
    assert FARTHEST > 60
    turns.close()


def beginnings(clock: list[float], turns: list[SqlTurns], interval: float, seconds: float, gap: float) -> list[float]:
    """Each of these processes asks every `gap` seconds of a clock that the test moves: when its turns begin."""
    found, end = [], clock[0] + seconds
    while clock[0] < end:
        for each in turns:
            wait = each.at_hand("a", interval)
            found.append(clock[0] + (each.take("a", interval) if wait is None else wait))
        clock[0] += gap
    return found


def closest(begun: list[float]) -> float:
    """The shortest time between two turns."""
    ordered = sorted(begun)
    return min(later - one for one, later in itertools.pairwise(ordered))


@pytest.mark.parametrize("gap", [0.003, 0.0127])
def test_a_process_that_is_alone_takes_turns_ahead_and_keeps_the_rate(tmp_path: Path, gap: float) -> None:
    """Whether the rate limits it or not: no two turns are closer than the interval, and most ask no database."""
    clock, interval = [100.0], 0.005
    turns = SqlTurns(f"sqlite:///{tmp_path / 'pace.db'}", lambda: clock[0])
    begun = beginnings(clock, [turns], interval, ALONE + BLOCK, gap)
    held = 0
    for _ in range(40):
        wait = turns.at_hand("a", interval)
        held += wait is not None
        begun.append(clock[0] + (turns.take("a", interval) if wait is None else wait))
        clock[0] += gap
    assert held >= 40 * 0.6
    assert closest(begun) >= interval - 1e-9
    turns.close()


def test_who_comes_beside_a_process_that_took_ahead_waits_no_longer_than_a_block(tmp_path: Path) -> None:
    """The newcomer waits once, then both take turn by turn; together they never exceed the rate."""
    clock, interval = [100.0], 0.002
    one, other = (SqlTurns(f"sqlite:///{tmp_path / 'pace.db'}", lambda: clock[0]) for _ in range(2))
    before = beginnings(clock, [one], interval, ALONE + BLOCK, 0.01)
    clock[0] += BLOCK
    before.append(clock[0] + one.take("a", interval))  # the first turn of a block
    newcomer = other.take("a", interval)
    assert BLOCK - 2 * interval < newcomer <= BLOCK
    clock[0] += newcomer
    shared = [clock[0], *beginnings(clock, [one, other], interval, ALONE / 2, 0.01)]
    assert one.at_hand("a", interval) is None and other.at_hand("a", interval) is None
    assert closest([*before, *shared]) >= interval - 1e-9
    one.close()
    other.close()


def test_rare_turns_are_never_taken_ahead(tmp_path: Path) -> None:
    """At the DMP's rate (dmp §7: under five a second) a process holds no turn that another could have."""
    clock = [100.0]
    turns = SqlTurns(f"sqlite:///{tmp_path / 'pace.db'}", lambda: clock[0])
    beginnings(clock, [turns], 0.25, 3 * ALONE, 0.3)
    assert turns.at_hand("a", 0.25) is None
    turns.close()


def test_turns_of_one_process() -> None:
    """The same without a database."""
    now = [0.0]
    turns = OwnTurns(lambda: now[0])
    assert [turns.take("a", 0.25) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert turns.take("b", 0.25) == 0.0
    now[0] = 60.0
    assert [turns.take("a", 0.25) for _ in range(2)] == [0.0, 0.25]
