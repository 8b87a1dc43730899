"""One attempt: from a delivery that is in flight to its result. `Settlement` says what becomes of it.

The row says `begun`, durably, before the effect. A crash after that leaves a row that says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from router.contracts import Attempt, Sink
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.partition_reader import PartitionReader
from router.engine.delivery.pending_delivery import PendingDelivery, Place
from router.engine.delivery.row_copy import copy_delivery
from router.engine.delivery.sink_calls import AttemptResult, SinkCalls
from router.engine.delivery.supersession_rules import HELD, passable
from router.engine.delivery.worker_settings import WorkerSettings
from router.errors import Fenced, Malformed, MessageFault, OutcomeUnknown, Overtaken
from router.exchange import Delivery, State
from router.language import filled


class Attempts:
    """Makes the attempts of one sink worker."""

    def __init__(
        self,
        settings: WorkerSettings,
        sink: Sink,
        calls: SinkCalls,
        reader: PartitionReader,
        writer: DurableWriter,
    ) -> None:
        self._settings = settings
        self._on_unknown = sink.on_unknown
        self._calls = calls
        self._reader = reader
        self._writer = writer

    async def attempt(self, pending: PendingDelivery, payload: bytes | None) -> AttemptResult:
        """Verify what is unknown, then make the effect; `payload` None: the bus no longer has it. Raises `Fenced`."""
        pending.spoken = ()
        if (outcome := row_transitions.outcome_noted(pending.row)) is not None:
            return AttemptResult(pending.row.delivery, outcome)
        if payload is None:
            lost = Malformed(BYTES_LOST, pending.row.bytes_at.topic, "the bus no longer holds the payload")
            return AttemptResult(pending.row.delivery, fault=lost)
        delivery = copy_delivery(pending.row.delivery, payload=payload)
        unknown = row_transitions.maybe_made(pending.row)
        if pending.row.state is State.UNKNOWN and (answer := await self._after_unknown(pending, delivery)) is not None:
            return answer
        if pending.row.state is not State.BEGUN:
            await self._begin(pending)
        return await self._make(pending, delivery, unknown)

    async def look_again(self, begun: Sequence[PendingDelivery]) -> None:
        """What may have passed these since they began: a sink may let them wait long for their turn."""
        names = sorted({name for pending in begun for name in passable(pending.row.delivery)})
        if not names:
            return
        sink = self._settings.sink
        passing = await self._writer.ask(lambda ledger: ledger.overtakers(sink, names))
        for pending in begun:
            if pending.place is Place.IN_FLIGHT:
                pending.note_passed(passing)

    # -------------------------------------------------------------------------------------- before the effect

    async def _begin(self, pending: PendingDelivery) -> None:
        """Say durably that an attempt begins; what may have passed the delivery is looked for with it."""
        row = pending.row = row_transitions.begun(pending.row, self._settings.clock.now())
        pending.note_passed(await self._writer.begin(row))

    def _recheck(self, pending: PendingDelivery) -> None:
        """Whether the effect is still ours to make: `begun` took time to write, and a sink may wait for its turn."""
        self._check_owned(pending)
        if pending.superseded_by:
            raise Overtaken("OVERTAKEN", "", "a deletion or a later version came first")

    def _check_owned(self, pending: PendingDelivery) -> None:
        if not self._reader.owns(pending.row.partition):
            raise Fenced("NOT-OWNED", "", "another process owns the partition")

    # ---------------------------------------------------------------------------------------- the effect

    async def _make(self, pending: PendingDelivery, delivery: Delivery, unknown: bool) -> AttemptResult:
        clock, row = self._settings.clock, pending.row
        tries, progress = row_transitions.tries(row), row_transitions.progress(row)
        attempt = Attempt(tries, row.first_try, unknown, partial(self._recheck, pending), progress)
        before = clock.monotonic()
        result = await self._calls.deliver(delivery, attempt)
        pending.spoken += result.spoken
        outcome = "delivered" if result.fault is None else result.fault.outcome
        took = clock.monotonic() - before
        self._settings.observer.time("delivery_seconds", took, sink=self._settings.sink, outcome=outcome)
        return result

    async def _after_unknown(self, pending: PendingDelivery, delivery: Delivery) -> AttemptResult | None:
        """What the sink type says of an unknown outcome; None: deliver again with the same identifiers."""
        match self._on_unknown:
            case "repeat":
                self._count_unknown("repeated")
                return None
            case "hold":
                self._count_unknown("held")
                held = OutcomeUnknown(HELD, "", "the outcome of an attempt is unknown: a person decides")
                return AttemptResult(delivery, fault=held)
        self._check_owned(pending)
        row = pending.row
        attempt = Attempt(row_transitions.tries(row), row.first_try, True, progress=row_transitions.progress(row))
        result = await self._calls.verify(delivery, attempt)
        pending.spoken += result.spoken
        if isinstance(result.fault, MessageFault):
            self._count_unknown("held")
            text = filled("verification failed: {code}", code=result.fault.code)
            return AttemptResult(delivery, fault=OutcomeUnknown(HELD, result.fault.place, text))
        if result.fault is not None:
            return result
        self._count_unknown("absent" if result.outcome is None else "verified")
        return result if result.outcome is not None else None

    def _count_unknown(self, answer: str) -> None:
        self._settings.observer.count("repeats_after_unknown_total", sink=self._settings.sink, answer=answer)
