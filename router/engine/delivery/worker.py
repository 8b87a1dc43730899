"""A sink's worker: in order within a lane, in parallel across lanes, one circuit (architecture §lanes).

One event loop for the sink, one thread that polls (`reader`), one that writes (`writer`). The flow of a delivery:

    poll -> rows open in the ledger -> the offset may move -> lanes -> `begun` -> effect -> receipts -> row -> lane

The window of rows and the bytes in memory are bounded; when it is full the partitions are paused while polling goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.contracts import (
    Alert,
    Bus,
    Clock,
    Ledger,
    Observer,
    Sink,
    SystemClock,
    Unobserved,
    no_alert,
    out_topic,
)
from router.engine.dead_letters.evidence import UNNAMED, Names
from router.engine.dead_letters.remediation import Advice, next_step
from router.engine.delivery.attempt import Attempts
from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.partition_reader import MAX_BYTES, SWEEP, PartitionReader
from router.engine.delivery.record_dispatcher import RecordDispatcher
from router.engine.delivery.spill import SpillLoader
from router.engine.delivery.worker_context import Limits, WorkerContext
from router.engine.retry_policy import RetryPolicy, TokenBucket
from router.errors import RouterError
from router.exchange import State

ENDING: Final = 2.0
"""Seconds in which the intake may end what it is at when the worker stops."""
ENOUGH: Final = 64
"""Deliveries that can start, or have, beside which bytes need not be read in advance."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a sink worker says of itself: for readiness, the console and `status`."""

    sink: str
    circuit: Circuit
    code: str
    """Why the circuit is not closed."""
    in_flight: int
    pending: Mapping[str, int]
    oldest: float | None
    """Unix time of creation of the oldest delivery in memory."""
    bytes_held: int
    inversions: int
    partitions: frozenset[int]


class SinkWorker:
    """Delivers what stands on `out.<sink>` until `stop`. `member` is stable over restarts: `<role>-<slot>`.

    The ledger must be this worker's own: it is used from the worker's writer thread. `run` raises what must end
    the process (`Fenced` by another writer of our name, an error in the bus or the ledger nobody expects).
    """

    def __init__(
        self,
        sink: Sink,
        bus: Bus,
        ledger: Ledger,
        *,
        member: str,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        limits: Limits | None = None,
        alert: Alert = no_alert,
        advice: Advice = next_step,
        names: Names = UNNAMED,
    ) -> None:
        policy, limits = policy or RetryPolicy(), limits or Limits()
        topic = out_topic(sink.name)
        reader = PartitionReader(bus, topic, topic, f"{member}-{sink.name}", patience=limits.patience + 5)
        self._name = f"{member}-{sink.name}"
        self._ledger = ledger
        self._parts = WorkerContext(
            sink=sink,
            bus=bus,
            writer=DurableWriter(self._name, sink.name, bus.producer(self._name), ledger, reader.owns),
            reader=reader,
            lanes=Lanes(near=limits.near, window=limits.window),
            breaker=Breaker(policy),
            bucket=TokenBucket(policy.per_second, policy.burst),
            policy=policy,
            limits=limits,
            clock=clock or SystemClock(),
            observer=observer or Unobserved(),
            alert=alert,
            advice=advice,
            names=names,
            pump=self._wake,
        )
        self._attempts = Attempts(self._parts)
        self._dispatcher = RecordDispatcher(self._parts, self._attempts)
        self._loading = SpillLoader(self._parts)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self._inversions = 0
        self._full = False

    async def run(self) -> None:
        """Work until `stop` is called; then drain within the limits' patience."""
        parts = self._parts
        loop = self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self._stopping:
            self._stop.set()
        parts.writer.start(loop)
        self._set_room()
        parts.reader.start(loop, self._dispatcher.tell)
        work = (self._dispatcher.run(), self._probe(), self._tick(), self._stopped(self._stop))
        tasks = [loop.create_task(part) for part in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._drain(tasks)
        if self._attempts.failure is not None:
            raise self._attempts.failure

    @staticmethod
    async def _stopped(stop: asyncio.Event) -> None:
        await stop.wait()

    def stop(self) -> None:
        """Ask `run` to drain and return. From the loop's own thread, or before `run`."""
        self._stopping = True
        if self._stop is not None:
            self._stop.set()

    def condition(self) -> Condition:
        """The present state, cheap enough to be asked every second."""
        parts = self._parts
        return Condition(
            sink=parts.sink.name,
            circuit=parts.breaker.state,
            code=parts.breaker.code if parts.breaker.state is not Circuit.CLOSED else "",
            in_flight=parts.lanes.on_wire,
            pending={state.value: number for state, number in parts.lanes.overview().items() if number},
            oldest=parts.lanes.oldest(),
            bytes_held=parts.held,
            inversions=parts.lanes.inversions,
            partitions=frozenset(parts.mine),
        )

    # --------------------------------------------------------------------------------------- starting

    def _wake(self) -> None:
        """Look at the lanes soon: many reasons within one turn of the loop are one look."""
        if not self._woken and self._loop is not None:
            self._woken = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._woken = False
        parts, stop = self._parts, self._stop
        if self._stopping or stop is None:
            return
        if parts.writer.broken is not None or self._attempts.failure is not None:
            self._attempts.failure = self._attempts.failure or parts.writer.broken
            stop.set()
            return
        for slot in parts.lanes.take(parts.clock.monotonic(), self._attempts.admitted()):
            self._attempts.start(slot)
        self._loading.pump()
        self._set_room()
        self._set_timer()

    def _set_room(self) -> None:
        """What the reader may bring: rows are bounded, and bytes too while there is work enough.

        Otherwise it goes on reading: a few lanes that wait must not hold up all others, and while the destination is
        away a deletion must be found (D1). What the budget has no room for is read again when its turn comes.
        """
        parts, limits, intake = self._parts, self._parts.limits, self._dispatcher
        room = min(limits.window + 500 - len(parts.lanes), limits.known - parts.lanes.far) - intake.outstanding
        enough = min(parts.policy.max_in_flight, ENOUGH)
        work = parts.lanes.startable + parts.lanes.on_wire + intake.outstanding
        busy = parts.breaker.state is Circuit.CLOSED and work >= enough
        space = limits.bytes - parts.held - intake.outstanding_bytes
        parts.reader.allow(room, space if busy or space > 0 else MAX_BYTES)

    def _set_timer(self) -> None:
        parts = self._parts
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if parts.breaker.state is Circuit.OPEN or self._loop is None:
            return
        due, now = parts.lanes.next_due(), parts.clock.monotonic()
        delays = [due - now] if due is not None else []
        if parts.lanes.startable and parts.bucket.available(now) == 0:
            delays.append(parts.bucket.delay())
        if delays:
            self._timer = self._loop.call_later(max(0.001, min(delays)), self._wake)

    # ---------------------------------------------------------------------------------------- upkeep

    async def _probe(self) -> None:
        """While the circuit is open, ask the destination from time to time whether it is back."""
        parts = self._parts
        while True:
            await asyncio.sleep(min(0.25, parts.policy.probe_first))
            now = parts.clock.monotonic()
            if parts.breaker.state is not Circuit.OPEN or now < parts.breaker.probe_at:
                continue
            try:
                await parts.sink.probe()
            except RouterError as fault:
                parts.breaker.failed(fault.code, parts.clock.monotonic())
            except Exception as error:
                parts.breaker.failed(f"BUG-{type(error).__name__}", parts.clock.monotonic())
            else:
                parts.breaker.probed()
                self._wake()

    async def _tick(self) -> None:
        """Measures every second, a look at long waits every few, and at partitions lost without a word."""
        parts, swept = self._parts, self._parts.clock.monotonic()
        while True:
            await asyncio.sleep(min(1.0, parts.limits.sweep))
            self._measure()
            for number in [n for n in parts.mine if not parts.reader.owns(n)]:
                parts.mine.discard(number)
                for slot in parts.lanes.drop([number], wire=False):
                    parts.release(slot)
            if parts.clock.monotonic() - swept >= parts.limits.sweep:
                swept = parts.clock.monotonic()
                self._dispatcher.tell(SWEEP)
            self._wake()

    def _measure(self) -> None:
        parts, sink = self._parts, self._parts.sink.name
        states = parts.lanes.overview()
        for state in (State.READY, State.BEGUN, State.WAITING, State.PARKED, State.UNKNOWN):
            parts.observer.set("pending", states[state], sink=sink, state=state.value)
        oldest = parts.lanes.oldest()
        age = 0.0 if oldest is None else max(0.0, parts.clock.now() - oldest)
        parts.observer.set("oldest_pending_seconds", age, sink=sink)
        parts.observer.set("in_flight", parts.lanes.on_wire, sink=sink)
        parts.observer.set("bytes_held", parts.held, stage=sink)
        parts.observer.set("circuit_open", float(parts.breaker.state is not Circuit.CLOSED), sink=sink)
        parts.observer.count("inversions_total", parts.lanes.inversions - self._inversions, sink=sink)
        self._inversions = parts.lanes.inversions
        full = parts.lanes.far >= parts.limits.known
        if full and not self._full:
            parts.alert("backlog-full", {"sink": sink, "text": "nothing more is read, not even a deletion"})
        self._full = full

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        """Start nothing more, give what is on the wire its time, write what is to be written, leave."""
        self._stopping = True
        parts, loop = self._parts, asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._dispatcher.end()
        await asyncio.wait(tasks[:1], timeout=min(ENDING, parts.limits.patience))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._attempts.drain(None, parts.limits.patience)
        await loop.run_in_executor(None, parts.writer.close)
        await loop.run_in_executor(None, parts.reader.close)
        parts.pool.shutdown(wait=False)
        await parts.sink.close()
