"""Kill the workers between any two durable writes, start them again, and look at what the outside world got."""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Outgoing
from router.exchange import Event, State
from router.ledger.store import SqlLedger
from router.wire import delivery_record, event_record, read_delivery, read_journal, read_receipt
from tests.engine.crash import run_pipeline, run_sink, story
from tests.engine.crash_walk import child, killed_at, killed_at_each

FIRST = range(1, 30, 9)
"""Half-steps of the short run; the long one walks through all of them."""


def publish(folder: Path, records: list[Outgoing]) -> None:
    bus = SqliteBus(folder / "bus.db", partitions=2)
    bus.producer("test").publish(records)
    bus.close()


def killed_sink(folder: Path, on_unknown: str, crash_at: int) -> bool:
    """Crash there, restart, check. False when the worker ended before it came to that step."""
    folder.mkdir()
    (folder / "effects").touch()
    publish(folder, [delivery_record(d) for d in story()])
    code = child(run_sink, str(folder), on_unknown, crash_at)
    assert code in (0, -signal.SIGKILL)
    assert child(run_sink, str(folder), on_unknown, -1) == 0
    check_sink(folder, on_unknown)
    return code != 0


def check_sink(folder: Path, on_unknown: str) -> None:
    """Nothing lost, nothing twice but after an unknown outcome, in order per lane; every end has its receipt."""
    deliveries = {d.id: d for d in story()}
    rows = SqlLedger(f"sqlite:///{folder}/ledger.db").get(list(deliveries))
    lines = [line.split() for line in (folder / "effects").read_text().splitlines()]
    done = {id_ for id_, row in rows.items() if row.state is State.DONE}
    made = [id_ for id_, *_ in lines]
    assert done <= set(made)
    plain = {id_ for id_, d in deliveries.items() if not d.action and d.label != "refused"}
    assert plain <= done
    repeats = [line for line in lines if line[3] == "True"]
    twice = sum((Counter(made) - Counter(set(made))).values())
    assert twice <= (0 if on_unknown == "verify" else len(repeats))
    lanes: dict[str, list[int]] = defaultdict(list)
    order = {id_: n for n, id_ in enumerate(deliveries)}
    for id_, lane, *_ in lines:
        lanes[lane].append(order[id_])
    for lane, seen in lanes.items():
        if lane != "doc":  # a deletion may overtake
            assert seen == sorted(seen), f"inversion in {lane}"
    by_action = {d.action: rows[id_].state for id_, d in deliveries.items() if d.action}
    assert by_action["delete"] is State.DONE
    assert max(lanes["doc"]) == order[next(id_ for id_, d in deliveries.items() if d.action == "delete")]
    bus = SqliteBus(folder / "bus.db", partitions=2)
    ended = {r.delivery_id for r in map(read_receipt, bus.scan("receipts")) if r.disposition}
    assert ended == set(deliveries)
    (refused,) = [id_ for id_, d in deliveries.items() if d.label == "refused"]
    assert rows[refused].state is State.DEAD
    dead_letter = bus.read(rows[refused].bytes_at)
    assert dead_letter is not None
    assert (dead_letter.topic, dead_letter.value) == ("dlq.s", b"payload")
    bus.close()


@pytest.mark.parametrize("on_unknown", ["verify", "repeat"])
def test_sink_worker_killed_at_some_writes(tmp_path: Path, on_unknown: str) -> None:
    """A few half-steps, in every run of the suite."""
    killed_at(FIRST, tmp_path, lambda folder, step: killed_sink(folder, on_unknown, step))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("on_unknown", ["verify", "repeat"])
def test_sink_worker_killed_at_every_write(tmp_path: Path, on_unknown: str) -> None:
    """Right before and right after each durable write: nothing lost, nothing twice unseen, order kept."""
    assert killed_at_each(tmp_path, lambda folder, step: killed_sink(folder, on_unknown, step)) > 20


def killed_pipeline(folder: Path, crash_at: int) -> bool:
    """The same for a pipeline worker."""
    folder.mkdir()
    events = [Event(f"id-{n}", "f", f"k{n % 3}", b"bad" if n == 4 else b"MSH|", {}) for n in range(8)]
    publish(folder, [event_record(event) for event in [*events, events[0]]])
    code = child(run_pipeline, str(folder), 9, crash_at)
    assert code in (0, -signal.SIGKILL)
    assert child(run_pipeline, str(folder), 9, -1) == 0
    bus = SqliteBus(folder / "bus.db", partitions=2)
    made = [read_delivery(r).event_id for r in bus.scan("out.s")]
    assert sorted(made) == sorted(e.id for e in events if e.body != b"bad")
    assert [r.headers["id"] for r in bus.scan("dlq.pipeline")] == ["id-4"]
    kinds = Counter(e.kind for e in map(read_journal, bus.scan("journal")))
    assert kinds == {"received": 8, "decided": 7, "dead": 1, "duplicate": 1}
    bus.close()
    return code != 0


@pytest.mark.timeout(600)
def test_pipeline_worker_killed_at_every_write(tmp_path: Path) -> None:
    """Each event gives its deliveries, its dead letter and its journal lines exactly once, wherever the kill falls."""
    assert killed_at_each(tmp_path, killed_pipeline) >= 4
