"""The cleaning of the embedded bus makes nobody wait: an acknowledgement is worth more than free space."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from router.bus.sqlite import maintenance
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Outgoing, Partition, TopicPlan

MIB = 1024 * 1024


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SqliteBus]:
    with closing(SqliteBus(tmp_path / "bus.db")) as bus:
        bus.create([TopicPlan("in.old", 1, 60.0, 32 * MIB), TopicPlan("in.new", 1, None, MIB)])
        yield bus


def test_who_writes_gets_its_turn_between_two_steps_of_the_cleaning(
    bus: SqliteBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks first after its release has the lock: the cleaner itself, unless it leaves others the time to look."""
    monkeypatch.setattr(maintenance, "_ROWS", 4)
    bus.producer("p").publish([Outgoing("in.old", "k", b"x" * 1000)] * 200)
    over, written = threading.Event(), 0
    with closing(SqliteBus(tmp_path / "bus.db")) as other:
        producer = other.producer("q")

        def write() -> None:
            nonlocal written
            while not over.is_set():
                producer.publish([Outgoing("in.new", "k", b"y")])
                written += 1
                time.sleep(0.003)  # the next message is on its way

        bus.trim(Partition("in.old", 0), 1)
        writer = threading.Thread(target=write)
        writer.start()
        bus.trim(Partition("in.old", 0), 200)
        over.set()
        writer.join()
    assert written >= 25, f"{written} commits of another process beside 50 of the cleaning"


def test_large_records_are_removed_a_few_at_a_time(bus: SqliteBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting costs as much as writing: 200 documents of 30 MB in one transaction would shut everybody out."""
    bus.producer("p").publish([Outgoing("in.old", "k", b"x" * size) for size in (3 * MIB, 3 * MIB, 9 * MIB, 1, MIB)])
    steps = []
    run = bus._writer.run

    def counted(work: Any) -> Any:
        steps.append(run(work))
        return steps[-1]

    monkeypatch.setattr(bus._writer, "run", counted)
    bus.trim(Partition("in.old", 0), 5)
    assert steps == [(2, 2), (1, 3), (2, 5)]
    assert list(bus.scan("in.old")) == []
