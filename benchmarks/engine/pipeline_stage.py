"""Cost of the pipeline stage without steps, on the SQLite bus and ledger. `python benchmarks/engine/pipeline_stage.py`.

Prints CPU per event of the whole stage and of the deciding alone (what the engine adds to the steps), and the rate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import SystemClock, Unobserved, no_alert
from router.engine.dead_letters.remediation import next_step
from router.engine.pipeline.compiled import BugLimit, all_served, always_a_dead_letter, no_description
from router.engine.pipeline.decider import Decider
from router.engine.pipeline.worker import PipelineWorker
from router.exchange import Event, Exchange, Origin, Routed
from router.ledger.store import SqlLedger
from router.wire import event_record
from tests.engine.sinks import delivery


class Nothing:
    """A pipeline without steps: one delivery per event."""

    name, digest, feed, reads_only = "p", "d", "f", True

    def process(self, exchange: Exchange) -> Routed:
        event = exchange.event
        return Routed([delivery(0, event.key, event_id=event.id, payload=event.body, origin=event.origin)], exchange)


def stage(folder: Path, number: int, size: int) -> None:
    """A backlog through the worker."""
    bus = SqliteBus(folder / "bus.db")
    producer = bus.producer("bench")
    for start in range(0, number, 200):
        events = [Event(f"id-{n}", "f", f"k{n % 500}", b"x" * size, {}) for n in range(start, start + 200)]
        producer.publish([event_record(event) for event in events])
    worker = PipelineWorker(
        bus, SqlLedger(f"sqlite:///{folder}/ledger.db"), ["f"], lambda _: [Nothing()], member="pipelines-0"
    )

    def watch() -> None:
        lag = bus.lag("pipelines")
        while not lag or any(lag.values()):
            time.sleep(0.02)
            lag = bus.lag("pipelines")
        worker.stop()

    threading.Thread(target=watch).start()
    cpu, wall = time.process_time(), time.perf_counter()
    worker.run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{number} x {size} B: {cpu / number * 1e6:.0f} us CPU each with the clients, {number / wall:.0f}/s")


def deciding(number: int, size: int) -> None:
    """The engine's own part."""
    decider = Decider(
        describe=no_description,
        unserved=all_served,
        unmatched=always_a_dead_letter,
        limit=BugLimit(),
        clock=SystemClock(),
        observer=Unobserved(),
        alert=no_alert,
        advice=next_step,
    )
    events = [Event(f"id-{n}", "f", f"k{n}", b"x" * size, {}, Origin("in.f", 0, n)) for n in range(number)]
    pipelines = [Nothing()]
    cpu = time.process_time()
    for event in events:
        decider.decide(event, pipelines)
    print(f"deciding alone: {(time.process_time() - cpu) / number * 1e6:.0f} us CPU each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        stage(Path(name), options.number, options.size)
    deciding(options.number, options.size)
