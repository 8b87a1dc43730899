"""A sink's worker: in order within a lane, in parallel across lanes, one circuit (architecture §lanes).

The way of a delivery, each arrow one call of this file:

    poll → admit → schedule → attempt → settle

poll      `Inbox.next`               what the reader's thread brought: deliveries, commands, partitions
admit     `RecordDispatcher.admit`   rows open in the ledger, in their lanes; the offset may move
schedule  `Lanes.take`               heads of lanes that may start, as many as `StartGate.free` says
attempt   `Attempts.attempt`         the row says `begun`, then the effect
settle    `Settlement.settle`        receipts, then the row; then the lane goes on

One event loop for the sink, one thread that polls (`PartitionReader`), one that writes (`DurableWriter`). Rows and
bytes in memory are bounded; when there is no room the partitions are paused while polling goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from router.contracts import Alert, Bus, Clock, Ledger, Observer, Sink, SystemClock, Unobserved, no_alert, out_topic
from router.engine.dead_letters.evidence import UNNAMED, Names
from router.engine.dead_letters.remediation import Advice, next_step
from router.engine.delivery.admission import Admission
from router.engine.delivery.attempt import Attempts
from router.engine.delivery.attempt_tasks import AttemptTasks
from router.engine.delivery.backlog_loader import BacklogLoader
from router.engine.delivery.circuit import Breaker, Circuit
from router.engine.delivery.circuit_probe import CircuitProbe
from router.engine.delivery.command_handler import CommandHandler
from router.engine.delivery.condition import Condition, Gauges
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.fault_attribution import FaultAttribution
from router.engine.delivery.hand_over import HandOver
from router.engine.delivery.inbox import SWEEP, Inbox
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.partition_reader import MAX_BYTES, PartitionReader
from router.engine.delivery.partition_takeover import PartitionTakeover
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import PendingDelivery
from router.engine.delivery.record_dispatcher import RecordDispatcher
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.row_opener import RowOpener
from router.engine.delivery.settlement import Settlement
from router.engine.delivery.sink_calls import SinkCalls
from router.engine.delivery.spill import Spill
from router.engine.delivery.start_gate import StartGate
from router.engine.delivery.supersession import Supersession
from router.engine.delivery.worker_settings import Limits, WorkerSettings, nothing_doubtful
from router.engine.retry_policy import RetryPolicy
from router.errors import Fenced
from router.exchange import Origin

STOP_SECONDS: Final = 2.0
"""When the worker stops, the dispatcher has so many seconds to finish its work."""
ENOUGH: Final = 64
"""When so many deliveries have started or can start, no more bytes are read in advance."""
AHEAD: Final = 500
"""So many rows may be read beyond the capacity of the memory. They go to the backlog."""


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
        doubtful: Callable[[Origin], bool] = nothing_doubtful,
    ) -> None:
        self._sink = sink
        settings = self._settings = WorkerSettings(
            sink=sink.name,
            policy=policy or RetryPolicy(),
            limits=limits or Limits(),
            clock=clock or SystemClock(),
            observer=observer or Unobserved(),
            alert=alert,
            advice=advice,
            names=names,
            doubtful=doubtful,
        )
        self._build(settings, bus, ledger, f"{member}-{sink.name}")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loads: set[asyncio.Task[None]] = set()
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self._failure: BaseException | None = None

    def _build(self, settings: WorkerSettings, bus: Bus, ledger: Ledger, name: str) -> None:
        """All collaborators, each from those before it."""
        sink, limits, policy, clock = self._sink, settings.limits, settings.policy, settings.clock
        topic = out_topic(sink.name)
        # the threads
        reader = self._reader = PartitionReader(bus, topic, topic, name, patience=limits.patience + 5)
        writer = self._writer = DurableWriter(name, sink.name, bus.producer(name), ledger, reader.owns)
        # the state in memory
        self._inbox = Inbox()
        lanes = self._lanes = Lanes(window=limits.window, capacity=limits.capacity)
        payloads = self._payloads = PayloadCache(bus, limits.bytes)
        breaker = self._breaker = Breaker(policy)
        gate = self._gate = StartGate(policy, breaker, lanes, clock)
        tasks = self._tasks = AttemptTasks(gate, payloads, self._wake)
        owned = self._owned = OwnedPartitions(reader, lanes, payloads)
        # admit
        calls = SinkCalls(sink, payloads, settings.alert, settings.clock.now)
        remote = self._remote = RemoteInFlight(lanes, writer)
        supersession = Supersession(settings, owned, lanes, payloads, calls, writer, remote)
        admission = Admission(settings, owned, lanes, payloads, writer, supersession)
        commands = CommandHandler(settings, lanes, payloads, calls, writer)
        opener = RowOpener(settings, lanes, breaker, gate, payloads, writer, commands, admission, sink.on_unknown)
        takeover = PartitionTakeover(settings, reader, owned, lanes, tasks, writer, remote, admission)
        spill = Spill(settings, lanes, payloads, writer)
        # attempt, settle
        attempts = self._attempts = Attempts(settings, sink, calls, reader, writer)
        hand_over = HandOver(settings, lanes, gate, writer, self._start_next)
        self._settlement = Settlement(settings, sink, calls, breaker, FaultAttribution(sink), lanes, writer, hand_over)
        self._dispatcher = RecordDispatcher(
            reader, writer, owned, opener, commands, takeover, remote, attempts, tasks, spill
        )
        # beside the way of a delivery
        self._loader = BacklogLoader(settings, lanes, payloads, writer)
        self._probe = CircuitProbe(sink, breaker, policy, clock)
        self._gauges = Gauges(settings, owned, lanes, payloads, breaker)

    def condition(self) -> Condition:
        """The present state, cheap enough to be asked every second."""
        return self._gauges.condition()

    def stop(self) -> None:
        """Ask `run` to drain and return. From the loop's own thread, or before `run`."""
        self._stopping = True
        if self._stop is not None:
            self._stop.set()

    async def run(self) -> None:
        """Work until `stop` is called; then drain within the limits' patience."""
        loop = self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self._stopping:
            self._stop.set()
        self._writer.start(loop)
        self._set_room()
        self._reader.start(loop, self._inbox.put)
        receiving = loop.create_task(self._receive())
        work = (self._watch_circuit(), self._watch_remote(), self._tick(), self._stopped(self._stop))
        tasks = [receiving, *(loop.create_task(part) for part in work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._drain(receiving, tasks)
        if (failure := self._failure or self._tasks.failure) is not None:
            raise failure

    # ----------------------------------------------------------------------------------- the way of a delivery

    async def _receive(self) -> None:
        """poll → admit. What was opened as `begun` has its place already, and starts without being scheduled."""
        while (message := await self._inbox.next()) is not None:
            try:
                await self._dispatcher.admit(message)
            finally:
                self._inbox.handled(message)
                self._start(self._lanes.take_begun())
            self._wake()

    def _schedule(self) -> None:
        """schedule: start the heads of lanes that may start now."""
        self._start(self._lanes.take(self._settings.clock.monotonic(), self._gate.free()))

    async def _deliver(self, pending: PendingDelivery, begun: Awaitable[None] | None = None) -> None:
        """attempt → settle, with the payload in memory meanwhile. begun: ends when the row says `begun`"""
        payload, soon = await self._payloads.acquire(pending), False
        try:
            if begun is not None:
                await begun
            result = await self._attempts.attempt(pending, payload)
            soon = await self._settlement.settle(pending, result)
        except Fenced:
            self._owned.forget_fenced(pending)
        finally:
            if payload is not None:
                self._payloads.give_back(pending, keep=soon)

    def _start(self, chosen: Iterable[PendingDelivery]) -> None:
        for pending in chosen:
            self._tasks.start(pending, self._deliver(pending))

    def _start_next(self, pending: PendingDelivery, begun: Awaitable[None]) -> None:
        """What follows in a lane: see `HandOver`."""
        self._tasks.start(pending, self._deliver(pending, begun))

    # ------------------------------------------------------------------------------------------- the next look

    def _wake(self) -> None:
        """Look at the lanes soon: many reasons within one turn of the loop are one look."""
        if not self._woken and self._loop is not None:
            self._woken = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Something has changed: start what may start, load what may be loaded, read what there is room for."""
        self._woken = False
        if self._stopping or self._stop is None:
            return
        self._failure = self._tasks.failure or self._writer.broken
        if self._failure is not None:
            self._stop.set()
            return
        self._schedule()
        self._load()
        self._set_room()
        self._set_timer()

    def _load(self) -> None:
        """Bring rows of the backlog back into memory; the lanes are looked at once they are there."""
        if self._loop is not None and (wanted := self._loader.wanted()):
            task = self._loop.create_task(self._loader.load(wanted))
            self._loads.add(task)
            task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loads.discard(task)
        self._wake()

    def _set_room(self) -> None:
        """What the reader may bring: rows are bounded, and bytes too while there is work enough.

        Otherwise it goes on reading: a few lanes that wait must not hold up all others, and while the destination is
        away a deletion must be found (D1). What the budget has no room for is read again when its turn comes.
        """
        limits, lanes, inbox = self._settings.limits, self._lanes, self._inbox
        in_memory, in_ledger = limits.capacity + AHEAD - len(lanes), limits.backlog - lanes.backlog.size
        room = min(in_memory, in_ledger) - inbox.outstanding
        enough = min(self._settings.policy.max_in_flight, ENOUGH)
        work = lanes.startable + lanes.in_flight + inbox.outstanding
        busy = self._breaker.state is Circuit.CLOSED and work >= enough
        space = self._payloads.room - inbox.outstanding_bytes
        self._reader.allow(room, space if busy or space > 0 else MAX_BYTES)

    def _set_timer(self) -> None:
        """Look again when something may start that can't now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and (due := self._gate.next_look()) is not None:
            delay = due - self._settings.clock.monotonic()
            self._timer = self._loop.call_later(max(0.001, delay), self._wake)

    # ----------------------------------------------------------------------------------------- beside it

    async def _watch_circuit(self) -> None:
        """Look at the lanes whenever the destination is back."""
        while True:
            await self._probe.success()
            self._wake()

    async def _watch_remote(self) -> None:
        """Look at the lanes whenever other workers' attempts may have ended."""
        while True:
            await self._remote.looked()
            self._wake()

    async def _tick(self) -> None:
        """Measures every second, a sweep every few, and a look at partitions lost without a word."""
        clock, limits = self._settings.clock, self._settings.limits
        swept = clock.monotonic()
        self._gauges.measure()
        while True:
            await asyncio.sleep(min(1.0, limits.sweep))
            self._gauges.measure()
            self._owned.forget_lost()
            if clock.monotonic() - swept >= limits.sweep:
                swept = clock.monotonic()
                self._inbox.put(SWEEP)
            self._wake()

    @staticmethod
    async def _stopped(stop: asyncio.Event) -> None:
        await stop.wait()

    async def _drain(self, receiving: asyncio.Task[None], tasks: Iterable[asyncio.Task[None]]) -> None:
        """Start nothing more, give what is in flight its time, write what is to be written, leave."""
        self._stopping = True
        loop, patience = asyncio.get_running_loop(), self._settings.limits.patience
        if self._timer is not None:
            self._timer.cancel()
        self._inbox.close()
        await asyncio.wait([receiving], timeout=min(STOP_SECONDS, patience))
        others = [*tasks, *self._loads]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._tasks.drain(None, patience)
        await loop.run_in_executor(None, self._writer.close)
        await loop.run_in_executor(None, self._reader.close)
        self._payloads.close()
        await self._sink.close()
