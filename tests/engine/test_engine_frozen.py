"""Real sink workers on the embedded bus, one of them stopped (SIGSTOP) at some instant of its work."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.demo.services import freeze
from router.exchange import Delivery, State
from router.ledger.store import SqlLedger
from router.wire import delivery_record, read_receipt
from tests.engine.crash import run_member
from tests.engine.crash_walk import started
from tests.engine.sinks import delivery
from tests.engine.test_engine_crash import publish

LANES = 6


def start(folder: Path, member: str) -> BaseProcess:
    return started(run_member, str(folder), member)


def until(truth: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)


def made(folder: Path) -> list[list[str]]:
    """(id, lane, attempt, unknown) of each effect, in order."""
    return [line.split() for line in (folder / "effects").read_text().splitlines()]


def seats(folder: Path, member: str) -> int:
    """How many partitions a worker says it has; -1 while it says nothing."""
    path = folder / f"{member}.partitions"
    text = path.read_text() if path.exists() else ""
    return int(text) if text else -1


def look(folder: Path, deliveries: list[Delivery]) -> None:
    """Each delivery was made once, in the order of its lane, and its row and its receipt say so."""
    effects = made(folder)
    assert Counter(id_ for id_, *_ in effects) == Counter(d.id for d in deliveries)
    for lane in range(LANES):
        assert [id_ for id_, at, *_ in effects if at == f"lane-{lane}"] == [d.id for d in deliveries[lane::LANES]]
    bus, ledger = SqliteBus(folder / "bus.db", partitions=2), SqlLedger(f"sqlite:///{folder}/ledger.db")
    rows = ledger.get([d.id for d in deliveries])
    assert {row.state for row in rows.values()} == {State.DONE}
    ended = {r.delivery_id for r in map(read_receipt, bus.scan("receipts")) if r.disposition}
    assert ended == {d.id for d in deliveries}
    ledger.close()
    bus.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("after", "woken"), [(1, True), (40, True), (33, False)])
def test_a_stopped_worker_keeps_its_partitions_until_it_goes_on_or_ends(
    tmp_path: Path, after: int, woken: bool
) -> None:
    """Nobody else can take them (file locks), so nothing is made meanwhile; then nothing is repeated or inverted.

    Woken it shares its partitions with the worker that came; killed it leaves all of them to it at once. Stopped
    in the middle of a write it holds the bus too: the other can't even start, and is started again afterwards.
    """
    (tmp_path / "effects").touch()
    deliveries = [delivery(n, f"lane-{n % LANES}") for n in range(120)]
    publish(tmp_path, [delivery_record(d) for d in deliveries])
    first = start(tmp_path, "sinks-0")
    assert first.pid is not None
    workers = [first]
    try:
        until(lambda: len(made(tmp_path)) >= after)
        freeze(first.pid)
        before = len(made(tmp_path))
        second = start(tmp_path, "sinks-1")
        workers.append(second)
        until(lambda: seats(tmp_path, "sinks-1") >= 0 or second.exitcode is not None)
        time.sleep(1.0)  # long enough for the second to look at the group several times
        assert seats(tmp_path, "sinks-1") <= 0
        assert len(made(tmp_path)) == before
        os.kill(first.pid, signal.SIGCONT if woken else signal.SIGKILL)
        while second.exitcode is None or second.exitcode > 0:  # as the supervisor does
            second.join(60)
            if second.exitcode:
                second = start(tmp_path, "sinks-1")
                workers.append(second)
        first.join(60)
        assert first.exitcode == (0 if woken else -signal.SIGKILL)
        assert second.exitcode == 0
    finally:
        for worker in workers:
            worker.kill()
    look(tmp_path, deliveries)
