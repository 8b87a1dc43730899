"""What an attempt's result makes of its row: which state, which receipt, whether a dead letter, in which order.

Receipts and dead letters first, then the row, then the lane goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from router.contracts import Outcome, Row, Sink
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery import row_transitions
from router.engine.delivery.circuit import Breaker
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.fault_attribution import FaultAttribution
from router.engine.delivery.hand_over import HandOver
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.pending_delivery import PREDECESSOR, PendingDelivery
from router.engine.delivery.sink_calls import AttemptResult, SinkCalls
from router.engine.delivery.supersession_rules import HELD, outlived_by, versions
from router.engine.delivery.worker_settings import WorkerSettings
from router.errors import (
    Bug,
    Fenced,
    MessageFault,
    OperatorFault,
    OutcomeUnknown,
    Overtaken,
    Refused,
    RouterError,
    Unavailable,
)
from router.exchange import Delivery, State
from router.wire import receipt_record


class Settlement:
    """Writes what became of one sink worker's attempts."""

    def __init__(
        self,
        settings: WorkerSettings,
        sink: Sink,
        calls: SinkCalls,
        breaker: Breaker,
        attribution: FaultAttribution,
        lanes: Lanes,
        writer: DurableWriter,
        hand_over: HandOver,
    ) -> None:
        self._settings = settings
        self._on_unknown = sink.on_unknown
        self._calls = calls
        self._breaker = breaker
        self._attribution = attribution
        self._lanes = lanes
        self._writer = writer
        self._hand_over = hand_over

    async def settle(self, pending: PendingDelivery, result: AttemptResult) -> bool:
        """Write what became of it. True when it will be tried again soon, with the same bytes. Raises `Fenced`."""
        delivery = result.delivery
        if result.fault is not None and result.fault.progress:
            pending.row = row_transitions.progressed(pending.row, result.fault.progress)
        match result.fault:
            case None:
                await self._done(pending, delivery, result.outcome or Outcome())
            case Overtaken():
                pending.row = row_transitions.not_begun(pending.row)
                await self._overtaken(pending, delivery)
            case Fenced():
                raise result.fault
            case OutcomeUnknown() as fault:
                return await self._unknown(pending, delivery, fault)
            case MessageFault(code=code) as fault if code == BYTES_LOST:  # the destination was not asked
                await self._give_up(pending, delivery, fault)
            case MessageFault() as fault:
                self._answered(delivery.id)
                return await self._refused(pending, delivery, fault)
            case Unavailable(circuit=False) as fault:
                self._answered(delivery.id)
                return await self._trouble(pending, delivery, fault)
            case Unavailable() | OperatorFault() as fault:
                return await self._outage(pending, delivery, fault)
            case fault:
                return await self._refused(pending, delivery, Bug(fault.code, fault.place, fault.text))
        return False

    async def _done(self, pending: PendingDelivery, delivery: Delivery, outcome: Outcome) -> None:
        now = self._settings.clock.now()
        self._answered(delivery.id)
        row = row_transitions.done(pending.row, outcome, now)
        context = {**self._calls.context(delivery), **outcome.context}
        told_here = not context and not pending.spoken  # the row holds all that the receipt will say
        passed_on = told_here and await self._hand_over.pass_on(pending, outcome)
        await self._finish(pending, row, context, beside=passed_on)
        self._settings.observer.time("end_to_end_seconds", max(0.0, now - delivery.created), sink=self._settings.sink)

    async def _refused(self, pending: PendingDelivery, delivery: Delivery, fault: MessageFault) -> bool:
        tries = row_transitions.tries(pending.row)
        rule = None if pending.superseded_by else self._settings.policy.rule(fault.code)
        if rule is not None and rule.then == "retry" and (rule.attempts is None or tries < rule.attempts):
            return await self._wait_or_give_up(pending, delivery, fault, None)
        if rule is not None and rule.then == "hold":
            return await self._park(pending, delivery, fault.code, fault)
        await self._give_up(pending, delivery, fault)
        return False

    async def _trouble(self, pending: PendingDelivery, delivery: Delivery, fault: Unavailable) -> bool:
        """The lane's own trouble: a full mailbox, a 450 for one recipient; or a wait that the site wants."""
        if not fault.counted:
            delay = max(fault.retry_after or 0.0, self._settings.policy.first)
            return await self._wait(pending, delivery, _still_unknown(pending.row), fault, delay, counted=False)
        rule = self._settings.policy.rule(fault.code)
        if rule is not None and rule.then == "hold":
            return await self._park(pending, delivery, fault.code, fault)
        spent = rule is not None and rule.attempts is not None and row_transitions.tries(pending.row) >= rule.attempts
        if spent or (rule is not None and rule.then == "refuse"):
            await self._give_up(pending, delivery, fault)
            return False
        return await self._wait_or_give_up(pending, delivery, fault, fault.retry_after)

    async def _wait_or_give_up(
        self, pending: PendingDelivery, delivery: Delivery, fault: RouterError, retry_after: float | None
    ) -> bool:
        if pending.row.waited >= self._settings.policy.budget_hours * 3600:
            await self._give_up(pending, delivery, fault)
            return False
        delay = self._settings.policy.delay(row_transitions.tries(pending.row), retry_after)
        return await self._wait(pending, delivery, _still_unknown(pending.row), fault, delay, counted=True)

    async def _outage(self, pending: PendingDelivery, delivery: Delivery, fault: Unavailable | OperatorFault) -> bool:
        """The whole destination is away, or we are at fault: the circuit opens, the delivery keeps its place.

        If this delivery alone fails, the circuit stays closed and its lane waits by itself.
        """
        settings = self._settings
        rule = settings.policy.rule(fault.code)
        if rule is not None and rule.then == "refuse":
            await self._give_up(pending, delivery, fault)
            return False
        retry_after = fault.retry_after if isinstance(fault, Unavailable) else None
        blame = await self._attribution.whose(delivery.id, fault)
        if blame != "destination":
            settings.alert("delivery-alone", {"sink": settings.sink, "delivery": delivery.id, "code": fault.code})
        if blame == "delivery":
            return await self._wait_or_give_up(pending, delivery, fault, retry_after)
        if blame == "unsure":
            delay = settings.policy.delay(pending.row.attempts, retry_after)
            return await self._wait(pending, delivery, _still_unknown(pending.row), fault, delay, counted=False)
        if self._breaker.failed(fault.code, settings.clock.monotonic(), retry_after):
            settings.observer.set("circuit_open", 1, sink=settings.sink)
            settings.alert("circuit-open", {"sink": settings.sink, "code": fault.code, "text": fault.text})
        return await self._wait(pending, delivery, _still_unknown(pending.row), fault, 0.0, counted=False)

    async def _unknown(self, pending: PendingDelivery, delivery: Delivery, fault: OutcomeUnknown) -> bool:
        if fault.code == HELD or self._on_unknown == "hold":
            pending.row = replace(pending.row, outcome_unknown=True)
            return await self._park(pending, delivery, HELD, fault)
        if pending.row.waited >= self._settings.policy.budget_hours * 3600:
            await self._give_up(pending, delivery, fault)
            return False
        delay = self._settings.policy.delay(row_transitions.tries(pending.row))
        return await self._wait(pending, delivery, State.UNKNOWN, fault, delay, counted=True)

    async def _wait(
        self,
        pending: PendingDelivery,
        delivery: Delivery,
        state: State,
        fault: RouterError,
        delay: float,
        *,
        counted: bool,
    ) -> bool:
        now = self._settings.clock.now()
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        row = row_transitions.waiting(pending.row, state, fault, now, delay, counted=counted)
        receipt = row_transitions.receipt(row, self._calls.context(delivery), now, fault.place, pending.spoken)
        self._settings.observer.count("retries_total", sink=self._settings.sink, code=fault.code)
        await self._writer.write([row.partition], records=[receipt_record(receipt)], rows=[row])
        return await self._go_back(pending, row, delivery, delay)

    async def _park(self, pending: PendingDelivery, delivery: Delivery, code: str, fault: RouterError) -> bool:
        """Hold it for a person: its lane waits, a deletion passes."""
        now = self._settings.clock.now()
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        row = row_transitions.parked(pending.row, code, fault.text, now)
        receipt = row_transitions.receipt(row, self._calls.context(delivery), now, fault.place, pending.spoken)
        await self._writer.write([row.partition], records=[receipt_record(receipt)], rows=[row])
        self._settings.alert("held", {"sink": self._settings.sink, "delivery": delivery.id, "code": code})
        return await self._go_back(pending, row, delivery, 0.0)

    async def _go_back(self, pending: PendingDelivery, row: Row, delivery: Delivery, delay: float) -> bool:
        """Back to the head of its lane, unless a deletion came while this was being written."""
        pending.row = row
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        now = self._settings.clock.monotonic()
        self._lanes.wait(pending, now + delay if delay else 0.0, now)
        return delay < 5.0

    async def _give_up(self, pending: PendingDelivery, delivery: Delivery, fault: RouterError) -> None:
        """Dead letter; then a later version of the document may supersede it (D1).

        A refusal is told first: it says something of the address or the document that the later version may not say.
        What only waited is superseded at once.
        """
        now = self._settings.clock.now()
        row = row_transitions.dead(pending.row, fault, now)
        by = "" if pending.superseded_by else await self._successor(row)
        definite = isinstance(fault, MessageFault) and fault.code != BYTES_LOST
        if (pending.superseded_by or by) and not definite:
            pending.row = replace(pending.row, code=fault.code, text=fault.text)
            await self._overtaken(pending, delivery, by)
            return
        receipt = row_transitions.receipt(row, self._calls.context(delivery), now, fault.place, pending.spoken)
        dead_letter = row_transitions.dead_letter(row, delivery, fault.place, self._settings.advice, now)
        lost = fault.code == BYTES_LOST
        await self._writer.write(
            [row.partition],
            records=[dead_letter, receipt_record(receipt)],
            rows=lambda origins: [row if lost else replace(row, bytes_at=origins[0])],
        )
        if isinstance(fault, Refused) and fault.business:
            self._settings.observer.count("not_applicable_total", sink=self._settings.sink, code=fault.code)
        else:
            self._settings.observer.count(
                "dead_letters_total", stage="sink", feed="", sink=self._settings.sink, code=fault.code
            )
        self._count(row, receipt.ok)
        pending.row = row
        if pending.superseded_by or by:  # it was known before, or a deletion came while this was being written
            await self._overtaken(pending, delivery, by)
            return
        if delivery.strict:
            await self._park_lane(row)
        self._lanes.finish(pending)

    async def _park_lane(self, row: Row) -> None:
        """What follows a dead letter of a strict relay is parked; the rows in memory say so."""
        now = self._settings.clock.now()
        self._lanes.block(row)
        behind = self._lanes.parked(row.delivery.lane)
        for pending in behind:
            pending.row = row_transitions.parked(pending.row, PREDECESSOR, "a predecessor is dead-lettered", now)
        if behind:
            await self._writer.write([row.partition], rows=[pending.row for pending in behind])

    async def _successor(self, row: Row) -> str:
        """Event of the later version or deletion that supersedes this dead letter; "" when there is none."""
        if not row.delivery.action:
            return ""
        by = outlived_by(row, await self._writer.ask(lambda ledger: versions(ledger, row.delivery)))
        return by.delivery.event_id if by else ""

    async def _overtaken(self, pending: PendingDelivery, delivery: Delivery, by: str = "") -> None:
        now = self._settings.clock.now()
        row = row_transitions.superseded(pending.row, pending.superseded_by or by, now)
        await self._finish(pending, row, self._calls.context(delivery))
        self._settings.observer.count("superseded_total", sink=self._settings.sink)

    async def _finish(
        self, pending: PendingDelivery, row: Row, context: Mapping[str, str], *, beside: bool = False
    ) -> None:
        """beside: its lane went on already"""
        receipt = row_transitions.receipt(row, context, row.updated, spoken=pending.spoken)
        await self._writer.write([row.partition], records=[receipt_record(receipt)], rows=[row], beside=beside)
        self._count(row, receipt.ok)
        pending.row = row
        if row.delivery.strict:
            self._lanes.unblock(row)
        self._lanes.finish(pending)

    def _count(self, row: Row, ok: bool) -> None:
        disposition = row_transitions.DISPOSITIONS[row.state].value
        self._settings.observer.count("deliveries_total", sink=self._settings.sink, disposition=disposition)
        self._settings.observer.count("receipts_total", sink=self._settings.sink, kind="delivery", ok=str(ok).lower())

    def _answered(self, delivery_id: str) -> None:
        self._attribution.answered(delivery_id)
        if self._breaker.answered():
            self._settings.observer.set("circuit_open", 0, sink=self._settings.sink)
            self._settings.alert("circuit-closed", {"sink": self._settings.sink})


def _still_unknown(row: Row) -> State:
    """The state in which a row waits: after a verification that found nobody it must be verified again."""
    return State.UNKNOWN if row.state is State.UNKNOWN else State.WAITING
