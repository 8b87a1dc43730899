"""How an attempt ends: which state, which receipt, whether a dead letter, and in which order all that is written.

Receipts and dead letters first, then the row, then the lane goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from router.contracts import Outcome, Row
from router.engine.dead_letters.remediation import BYTES_LOST
from router.engine.delivery import row_transitions
from router.engine.delivery.pending_delivery import PREDECESSOR, PendingDelivery
from router.engine.delivery.supersession_rules import HELD, overtaken_by, versions
from router.engine.delivery.worker_context import WorkerContext
from router.errors import Bug, Fenced, MessageFault, OperatorFault, OutcomeUnknown, Overtaken, RouterError, Unavailable
from router.exchange import Delivery, State
from router.wire import receipt_record


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended: an outcome or a fault. Neither: a verification found nothing."""

    outcome: Outcome | None = None
    fault: RouterError | None = None


class Settlement:
    """Writes the ends of one sink worker's attempts."""

    def __init__(self, parts: WorkerContext) -> None:
        self._parts = parts

    async def settle(self, pending: PendingDelivery, delivery: Delivery, result: AttemptResult) -> bool:
        """Write what became of it. True when it will be tried again soon, with the same bytes."""
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
            case MessageFault() as fault:
                self._answered()
                return await self._refused(pending, delivery, fault)
            case Unavailable(circuit=False) as fault:
                self._answered()
                return await self._trouble(pending, delivery, fault)
            case Unavailable() | OperatorFault() as fault:
                return await self._outage(pending, delivery, fault)
            case fault:
                return await self._refused(pending, delivery, Bug(fault.code, fault.place, fault.text))
        return False

    async def _done(self, pending: PendingDelivery, delivery: Delivery, outcome: Outcome) -> None:
        parts, now = self._parts, self._parts.clock.now()
        self._answered()
        row = row_transitions.done(pending.row, outcome, now)
        context = {**parts.context(delivery), **outcome.context}
        await self._finish(pending, row, context)
        parts.observer.time("end_to_end_seconds", max(0.0, now - delivery.created), sink=parts.sink.name)

    async def _refused(self, pending: PendingDelivery, delivery: Delivery, fault: MessageFault) -> bool:
        rule, tries = self._parts.policy.rule(fault.code), row_transitions.tries(pending.row)
        if rule is not None and rule.then == "retry" and (rule.attempts is None or tries < rule.attempts):
            return await self._wait_or_give_up(pending, delivery, fault, None)
        if rule is not None and rule.then == "hold":
            return await self._park(pending, delivery, fault.code, fault)
        await self.give_up(pending, delivery, fault)
        return False

    async def _trouble(self, pending: PendingDelivery, delivery: Delivery, fault: Unavailable) -> bool:
        """The lane's own trouble: a full mailbox, a 450 for one recipient."""
        rule = self._parts.policy.rule(fault.code)
        if rule is not None and rule.then == "hold":
            return await self._park(pending, delivery, fault.code, fault)
        spent = rule is not None and rule.attempts is not None and row_transitions.tries(pending.row) >= rule.attempts
        if spent or (rule is not None and rule.then == "refuse"):
            await self.give_up(pending, delivery, fault)
            return False
        return await self._wait_or_give_up(pending, delivery, fault, fault.retry_after)

    async def _wait_or_give_up(
        self, pending: PendingDelivery, delivery: Delivery, fault: RouterError, retry_after: float | None
    ) -> bool:
        parts = self._parts
        if row_transitions.waited(pending.row) >= parts.policy.budget_hours * 3600:
            await self.give_up(pending, delivery, fault)
            return False
        delay = parts.policy.delay(row_transitions.tries(pending.row), retry_after)
        return await self._wait(pending, delivery, _still_unknown(pending.row), fault, delay, counted=True)

    async def _outage(self, pending: PendingDelivery, delivery: Delivery, fault: Unavailable | OperatorFault) -> bool:
        """The whole destination is away, or we are at fault: the circuit opens, the delivery keeps its place."""
        parts = self._parts
        rule = parts.policy.rule(fault.code)
        if rule is not None and rule.then == "refuse":
            await self.give_up(pending, delivery, fault)
            return False
        retry_after = fault.retry_after if isinstance(fault, Unavailable) else None
        if parts.breaker.failed(fault.code, parts.clock.monotonic(), retry_after):
            parts.observer.set("circuit_open", 1, sink=parts.sink.name)
            parts.alert("circuit-open", {"sink": parts.sink.name, "code": fault.code, "text": fault.text})
        return await self._wait(pending, delivery, _still_unknown(pending.row), fault, 0.0, counted=False)

    async def _unknown(self, pending: PendingDelivery, delivery: Delivery, fault: OutcomeUnknown) -> bool:
        parts = self._parts
        if fault.code == HELD or parts.sink.on_unknown == "hold":
            noted = replace(pending.row, evidence={**pending.row.evidence, row_transitions.UNKNOWN: "1"})
            pending.row = noted
            return await self._park(pending, delivery, HELD, fault)
        if row_transitions.waited(pending.row) >= parts.policy.budget_hours * 3600:
            await self.give_up(pending, delivery, fault)
            return False
        delay = parts.policy.delay(row_transitions.tries(pending.row))
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
        parts, now = self._parts, self._parts.clock.now()
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        row = row_transitions.waiting(pending.row, state, fault, now, delay, counted=counted)
        proof = row_transitions.receipt(row, parts.context(delivery), now, fault.place)
        parts.observer.count("retries_total", sink=parts.sink.name, code=fault.code)
        await parts.writer.write([row.partition], records=[receipt_record(proof)], rows=[row])
        return await self._go_back(pending, row, delivery, delay)

    async def _park(self, pending: PendingDelivery, delivery: Delivery, code: str, fault: RouterError) -> bool:
        """Hold it for a person: its lane waits, a deletion passes."""
        parts, now = self._parts, self._parts.clock.now()
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        row = row_transitions.parked(pending.row, code, fault.text, now)
        proof = row_transitions.receipt(row, parts.context(delivery), now, fault.place)
        await parts.writer.write([row.partition], records=[receipt_record(proof)], rows=[row])
        parts.alert("held", {"sink": parts.sink.name, "delivery": delivery.id, "code": code})
        return await self._go_back(pending, row, delivery, 0.0)

    async def _go_back(self, pending: PendingDelivery, row: Row, delivery: Delivery, delay: float) -> bool:
        """Back to the head of its lane, unless a deletion came while this was being written."""
        pending.row = row
        if pending.superseded_by:
            await self._overtaken(pending, delivery)
            return False
        now = self._parts.clock.monotonic()
        self._parts.lanes.wait(pending, now + delay if delay else 0.0, now)
        return delay < 5.0

    async def give_up(self, pending: PendingDelivery, delivery: Delivery, fault: RouterError) -> None:
        """Dead letter, unless a later version of the document has made this one pointless."""
        parts, now = self._parts, self._parts.clock.now()
        row = row_transitions.dead(pending.row, fault, now)
        by = None if pending.superseded_by else await self._successor(row)
        if pending.superseded_by or by is not None:
            pending.row = replace(pending.row, code=fault.code, text=fault.text)
            await self._overtaken(pending, delivery, by.delivery.event_id if by else "")
            return
        proof = row_transitions.receipt(row, parts.context(delivery), now, fault.place)
        dead_letter = row_transitions.dead_letter(row, delivery, fault.place, parts.advice, now)
        lost = fault.code == BYTES_LOST
        await parts.writer.write(
            [row.partition],
            records=[dead_letter, receipt_record(proof)],
            rows=lambda origins: [row if lost else replace(row, bytes_at=origins[0])],
        )
        parts.observer.count("dead_letters_total", stage="sink", code=fault.code)
        self._count(row, proof.ok)
        pending.row = row
        if pending.superseded_by:  # a deletion came while this was being written
            await self._overtaken(pending, delivery)
            return
        if delivery.strict:
            await self._park_lane(row)
        parts.lanes.finish(pending)

    async def _park_lane(self, row: Row) -> None:
        """What follows a dead letter of a strict relay is parked; the rows in memory say so."""
        parts, now = self._parts, self._parts.clock.now()
        parts.lanes.block(row)
        behind = parts.lanes.parked(row.delivery.lane)
        for pending in behind:
            pending.row = row_transitions.parked(pending.row, PREDECESSOR, "a predecessor is dead-lettered", now)
        if behind:
            await parts.writer.write([row.partition], rows=[pending.row for pending in behind])

    async def _successor(self, row: Row) -> Row | None:
        if not row.delivery.action:
            return None
        return overtaken_by(row, await self._parts.writer.ask(lambda ledger: versions(ledger, row.delivery)))

    async def _overtaken(self, pending: PendingDelivery, delivery: Delivery, by: str = "") -> None:
        now = self._parts.clock.now()
        row = row_transitions.superseded(pending.row, pending.superseded_by or by, now)
        await self._finish(pending, row, self._parts.context(delivery))
        self._parts.observer.count("superseded_total", sink=self._parts.sink.name)

    async def _finish(self, pending: PendingDelivery, row: Row, context: Mapping[str, str]) -> None:
        parts = self._parts
        proof = row_transitions.receipt(row, context, row.updated)
        await parts.writer.write([row.partition], records=[receipt_record(proof)], rows=[row])
        self._count(row, proof.ok)
        pending.row = row
        if row.delivery.strict:
            parts.lanes.unblock(row)
        parts.lanes.finish(pending)

    def _count(self, row: Row, ok: bool) -> None:
        parts = self._parts
        disposition = row_transitions.DISPOSITIONS[row.state].value
        parts.observer.count("deliveries_total", sink=parts.sink.name, disposition=disposition)
        parts.observer.count("receipts_total", sink=parts.sink.name, kind="delivery", ok=str(ok).lower())

    def _answered(self) -> None:
        parts = self._parts
        if parts.breaker.answered():
            parts.observer.set("circuit_open", 0, sink=parts.sink.name)
            parts.alert("circuit-closed", {"sink": parts.sink.name})


def _still_unknown(row: Row) -> State:
    """The state in which a row waits: after a verification that found nobody it must be verified again."""
    return State.UNKNOWN if row.state is State.UNKNOWN else State.WAITING
