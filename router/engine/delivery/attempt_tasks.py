"""The tasks of the attempts under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import PendingDelivery, Place
from router.engine.delivery.start_gate import StartGate
from router.exchange import State


class AttemptTasks:
    """Owns the tasks of one sink worker's attempts. `changed` is called when one of them has ended."""

    def __init__(self, gate: StartGate, payloads: PayloadCache, changed: Callable[[], None]) -> None:
        self._gate = gate
        self._payloads = payloads
        self._changed = changed
        self._running: dict[asyncio.Task[None], PendingDelivery] = {}
        self._trials: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        """The first error of an attempt that nobody expects: it ends the worker."""

    def start(self, pending: PendingDelivery, work: Coroutine[None, None, None]) -> None:
        """Run the attempt of a delivery that is in flight."""
        trial = self._gate.started()
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = pending
        if trial:
            self._trials.add(task)
        task.add_done_callback(self._ended)

    def begun(self) -> list[PendingDelivery]:
        """Deliveries whose row says `begun` at this moment."""
        return [pending for pending in self._running.values() if pending.row.state is State.BEGUN]

    async def drain(self, partitions: frozenset[int] | None, patience: float) -> None:
        """Wait for the attempts of these partitions (None: all), then abandon those that take too long."""
        tasks = [t for t, pending in self._running.items() if partitions is None or pending.row.partition in partitions]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _ended(self, task: asyncio.Task[None]) -> None:
        pending = self._running.pop(task)
        if task in self._trials:
            self._trials.discard(task)
            self._gate.trial_over()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = self.failure or error
        if pending.place is Place.GONE:
            self._payloads.release(pending)
        self._changed()
