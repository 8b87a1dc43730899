"""One delivery on the wire, from `begun` to its next state.

Order of the writes, whatever happens: the row says `begun`; the effect; the receipts and the dead letter; the
row's new state; then the lane goes on. A crash between any two leaves a row that says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from router.contracts import Attempt, Outcome, Row
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery import row_transitions
from router.engine.delivery.pending_delivery import PendingDelivery, Place
from router.engine.delivery.row_copy import copy_delivery
from router.engine.delivery.settlement import End, Settlement
from router.engine.delivery.supersession_rules import HELD, passable, passed_by
from router.engine.delivery.worker_context import BUGS_IN_A_ROW, WorkerContext
from router.errors import (
    Bug,
    Fenced,
    Malformed,
    MessageFault,
    OperatorFault,
    OutcomeUnknown,
    Overtaken,
    RouterError,
)
from router.exchange import Delivery, State
from router.language import filled


def passed(slot: PendingDelivery, passing: Sequence[Row]) -> None:
    """Doom a slot that is about to begin when one of these has passed it: in another worker's partition, or earlier."""
    if passing and (by := passed_by(slot.row, passing)) is not None:
        slot.doomed = slot.doomed or by.delivery.event_id


class Attempts:
    """Runs the attempts of one sink worker."""

    def __init__(self, parts: WorkerContext) -> None:
        self._parts = parts
        self._settlement = Settlement(parts)
        self._running: dict[asyncio.Task[None], PendingDelivery] = {}
        self._trials: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        self.reserved = 0
        """Places on the wire promised to rows that are being opened as `begun`."""

    def admitted(self) -> int:
        """How many attempts may start now: the wire, the circuit and the rate have their say."""
        parts = self._parts
        limit = parts.breaker.admits(parts.policy.max_in_flight - parts.lanes.on_wire - self.reserved)
        tokens = parts.bucket.available(parts.clock.monotonic())
        return max(0, limit if tokens is None else min(limit, tokens - self.reserved))

    def start(self, slot: PendingDelivery, *, durable: bool = False) -> None:
        """Run one attempt of a slot on the wire. `durable`: its row says `begun` already, and it was looked for what
        may have passed it."""
        trial = self._parts.breaker.started()
        self._parts.bucket.spend(1)
        task = asyncio.get_running_loop().create_task(self._run(slot, durable))
        self._running[task] = slot
        if trial:
            self._trials.add(task)
        task.add_done_callback(self._ended)

    async def drain(self, partitions: frozenset[int] | None, patience: float) -> None:
        """Wait for the attempts of these partitions (None: all), then abandon those that take too long."""
        tasks = [t for t, slot in self._running.items() if partitions is None or slot.row.partition in partitions]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def look_again(self) -> None:
        """What may have passed those under way since they began: a sink may let them wait long for their turn."""
        slots = [slot for slot in self._running.values() if slot.row.state is State.BEGUN]
        names = sorted({name for slot in slots for name in passable(slot.row.delivery)})
        if not names:
            return
        sink = self._parts.sink.name
        passing = await self._parts.writer.ask(lambda ledger: ledger.overtakers(sink, names))
        for slot in slots:
            if slot.place is Place.WIRE:
                passed(slot, passing)

    def _ended(self, task: asyncio.Task[None]) -> None:
        slot = self._running.pop(task)
        if task in self._trials:
            self._trials.discard(task)
            self._parts.breaker.abandoned()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = self.failure or error
        if slot.place is Place.GONE:
            self._parts.release(slot)
        self._parts.pump()

    async def _run(self, slot: PendingDelivery, durable: bool) -> None:
        parts = self._parts
        payload = await parts.carry(slot)
        kept = False
        try:
            if payload is None:
                lost = Malformed(BYTES_LOST, slot.row.bytes_at.topic, "the bus no longer holds the payload")
                await self._settlement.give_up(slot, slot.row.delivery, lost)
                return
            delivery = copy_delivery(slot.row.delivery, payload=payload)
            kept = await self._settlement.settle(slot, delivery, await self._try(slot, delivery, durable))
        except Fenced:
            self._fenced(slot)
        finally:
            if payload is not None:
                parts.put_down(slot, keep=kept)

    def _fenced(self, slot: PendingDelivery) -> None:
        """Not ours any more: whoever owns the partition now reads what the row says."""
        for gone in self._parts.lanes.drop([slot.row.partition], wire=False):
            self._parts.release(gone)
        self._parts.lanes.lose(slot)
        self._parts.mine.discard(slot.row.partition)

    # ---------------------------------------------------------------------------------------- the effect

    async def _try(self, slot: PendingDelivery, delivery: Delivery, durable: bool) -> End:
        """Verify what is unknown, then make the effect. Raises `Fenced` only."""
        parts, row = self._parts, slot.row
        unknown = row_transitions.maybe_made(row)
        if row.state is State.UNKNOWN:
            answer = await self._after_unknown(slot, delivery)
            if answer is not None:
                return answer
        if not durable:
            row = slot.row = row_transitions.begun(row, parts.clock.now())
            passed(slot, await parts.writer.begin(row))
        attempt = Attempt(row_transitions.tries(row), row.first_try, unknown, partial(self._recheck, slot))
        before = parts.clock.monotonic()
        end = await self._guarded(self._deliver(delivery, attempt))
        outcome = "ok" if end.fault is None else type(end.fault).__name__
        parts.observer.time("delivery_seconds", parts.clock.monotonic() - before, sink=parts.sink.name, outcome=outcome)
        return end

    async def _deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        attempt.recheck()
        return await self._parts.sink.deliver(delivery, attempt)

    def _recheck(self, slot: PendingDelivery) -> None:
        """Whether the effect is still ours to make: `begun` took time to write, and a sink may wait for its turn."""
        if not self._parts.reader.owns(slot.row.partition):
            raise Fenced("NOT-OWNED", "", "another process owns the partition")
        if slot.doomed:
            raise Overtaken("OVERTAKEN", "", "a deletion or a later version came first")

    async def _after_unknown(self, slot: PendingDelivery, delivery: Delivery) -> End | None:
        """What the sink type says of an unknown outcome; None: deliver again with the same identifiers."""
        parts, row = self._parts, slot.row
        match parts.sink.on_unknown:
            case "repeat":
                self._count_unknown("repeated")
                return None
            case "hold":
                self._count_unknown("held")
                return End(fault=OutcomeUnknown(HELD, "", "the outcome of an attempt is unknown: a person decides"))
        if not parts.reader.owns(row.partition):
            raise Fenced("NOT-OWNED", "", "another process owns the partition")
        attempt = Attempt(row_transitions.tries(row), row.first_try, True)
        end = await self._guarded(parts.sink.verify(delivery, attempt))
        if isinstance(end.fault, MessageFault):
            self._count_unknown("held")
            return End(
                fault=OutcomeUnknown(HELD, end.fault.place, filled("verification failed: {code}", code=end.fault.code))
            )
        if end.fault is not None:
            return end
        self._count_unknown("absent" if end.outcome is None else "verified")
        return end if end.outcome is not None else None

    async def _guarded(self, effect: object) -> End:
        """Await a call of the sink; a foreign exception becomes a `Bug`, and too many of them an outage."""
        parts = self._parts
        try:
            outcome: Outcome | None = await effect  # type: ignore[misc]
        except RouterError as fault:
            return End(fault=fault)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            parts.bugs += 1
            bug = Bug.of(error, parts.sink.name)
            parts.alert("bug", {"sink": parts.sink.name, "code": bug.code})
            if parts.bugs >= BUGS_IN_A_ROW:
                return End(fault=OperatorFault(bug.code, parts.sink.name, "too many unexpected errors in a row"))
            return End(fault=bug)
        parts.bugs = 0
        return End(outcome=outcome)

    def _count_unknown(self, answer: str) -> None:
        self._parts.observer.count("repeats_after_unknown_total", sink=self._parts.sink.name, answer=answer)
