"""Cost of the sink stage alone: SQLite bus and ledger, a sink that does nothing.

Run it with `python benchmarks/engine/sink_stage.py`.

Prints CPU per delivery (all threads of the worker's process), the rate, and the latency of single deliveries at a
low rate, from publish to receipt.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Attempt, Outcome
from router.engine.delivery.worker import SinkWorker
from router.exchange import Delivery
from router.ledger.store import SqlLedger
from router.wire import delivery_record
from tests.engine.sinks import ScriptedSink, delivery


class NullSink(ScriptedSink):
    """Does nothing, at once; counts."""

    count = 0

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        self.count += 1
        self.last = time.perf_counter()
        return Outcome(code="OK")


def throughput(folder: Path, number: int, size: int, lanes: int, profile: bool) -> None:
    """Deliver a backlog as fast as it goes."""
    bus = SqliteBus(folder / "bus.db")
    producer = bus.producer("bench")
    for start in range(0, number, 200):
        producer.publish(
            [delivery_record(delivery(n, f"lane-{n % lanes}", payload=b"x" * size)) for n in range(start, start + 200)]
        )
    sink = NullSink()
    worker = SinkWorker(sink, bus, SqlLedger(f"sqlite:///{folder}/ledger.db"), member="sinks-0")

    async def run() -> None:
        task = asyncio.create_task(worker.run())
        while sink.count < number or worker.condition().in_flight:  # noqa: ASYNC110  # counted in another thread
            await asyncio.sleep(0.02)
        worker.stop()
        await task

    profiler = cProfile.Profile() if profile else None
    cpu, wall = time.process_time(), time.perf_counter()
    if profiler:
        profiler.enable()
    asyncio.run(run())
    if profiler:
        profiler.disable()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{number} x {size} B, {lanes} lanes: {cpu / number * 1e6:.0f} us CPU each, {number / wall:.0f}/s")
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def latency(folder: Path, number: int) -> None:
    """One delivery at a time, from publish to the sink."""
    bus = SqliteBus(folder / "bus2.db")
    producer = bus.producer("bench")
    sink = NullSink()
    worker = SinkWorker(sink, bus, SqlLedger(f"sqlite:///{folder}/ledger2.db"), member="sinks-0")
    times = []
    loop = asyncio.new_event_loop()

    def feed() -> None:
        time.sleep(0.5)
        for n in range(number):
            before, start = sink.count, time.perf_counter()
            producer.publish([delivery_record(delivery(n, f"lane-{n}"))])
            published = time.perf_counter()
            while sink.count == before:
                time.sleep(0.0002)
            times.append((sink.last - start, sink.last - published))
            time.sleep(0.02)
        loop.call_soon_threadsafe(worker.stop)

    async def run() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        threading.Thread(target=feed).start()
        await worker.run()

    asyncio.run(run())
    for name, n in (("publish to effect", 0), ("durable to effect", 1)):
        values = sorted(t[n] for t in times)
        print(
            f"{name}: p50 {values[len(values) // 2] * 1e3:.1f} ms, p99 {values[int(len(values) * 0.99)] * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        throughput(Path(name), options.number, options.size, options.lanes, options.profile)
        latency(Path(name), 200)
