"""What arriving deletions and replacements do to the rows before them, durably (D1): `overtaking` says what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.contracts import Ledger, Row
from router.engine.delivery import row_transitions
from router.engine.delivery.lanes import in_order
from router.engine.delivery.pending_delivery import Place
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.supersession_rules import Effect, effect, overtaken_by, versions
from router.engine.delivery.worker_context import WorkerContext
from router.exchange import State
from router.wire import receipt_record


class Supersession:
    """Supersedes rows of one sink worker; called from its intake, one at a time."""

    def __init__(self, parts: WorkerContext, elsewhere: RemoteInFlight) -> None:
        self._parts = parts
        self._remote_in_flight = elsewhere

    async def overtaken(self, new: Sequence[Row]) -> tuple[dict[str, Row], dict[str, list[Row]]]:
        """Rows that these deletions and replacements supersede, durably, and whom each must wait for (D1)."""
        parts = self._parts
        known = await parts.writer.ask(lambda ledger: _versions(ledger, new))
        gone: dict[str, Row] = {}
        waits: dict[str, list[Row]] = {}
        elsewhere: list[Row] = []
        for row in new:
            if row.delivery.id in gone:
                continue
            for stored in known[row.delivery.id]:
                old = stored.delivery.id
                pending = parts.lanes.find(old)
                if old in gone:
                    continue
                if stored.partition not in parts.mine:  # whoever has it looks for deletions before each effect
                    if effect(row, stored, in_flight=stored.state is State.BEGUN) is Effect.WAITS:
                        waits.setdefault(row.delivery.id, []).append(stored)
                        elsewhere.append(stored)
                    continue
                current = pending.row if pending is not None else stored
                in_flight = pending is not None and pending.place is Place.IN_FLIGHT
                match effect(row, current, in_flight=in_flight):
                    case Effect.SUPERSEDES:
                        if (left := parts.lanes.supersede(current, row.delivery.event_id)) is not None:
                            parts.release(left)
                        gone[old] = row_transitions.superseded(current, row.delivery.event_id, parts.clock.now())
                    case Effect.WAITS:
                        waits.setdefault(row.delivery.id, []).append(current)
                        if in_flight and row.delivery.action == "delete":
                            parts.lanes.supersede(current, row.delivery.event_id)
        self._remote_in_flight.expect(elsewhere)
        await self._supersede(gone.values())
        return gone, waits

    async def passed(self, row: Row) -> bool:
        """Supersede a delivery of an event that a person sent through again, if a deletion or a replacement that was
        accepted after the event has been here meanwhile (D1); its row is open. Whether it was so."""
        by = overtaken_by(row, await self._parts.writer.ask(lambda ledger: in_order(versions(ledger, row.delivery))))
        if by is None:
            return False
        await self._supersede([row_transitions.superseded(row, by.delivery.event_id, self._parts.clock.now())])
        return True

    async def _supersede(self, rows: Iterable[Row]) -> None:
        parts, changed = self._parts, list(rows)
        if not changed:
            return
        proofs = [row_transitions.receipt(row, await parts.context_of(row), row.updated) for row in changed]
        partitions = sorted({row.partition for row in changed})
        await parts.writer.write(partitions, records=[receipt_record(proof) for proof in proofs], rows=changed)
        for row in changed:
            if row.delivery.strict:
                parts.lanes.unblock(row)
        parts.observer.count("superseded_total", len(changed), sink=parts.sink.name)
        parts.observer.count("deliveries_total", len(changed), sink=parts.sink.name, disposition="superseded")


def _versions(ledger: Ledger, new: Sequence[Row]) -> dict[str, list[Row]]:
    """For each of these rows what the ledger holds of its document, in order, each row once."""
    return {row.delivery.id: in_order(versions(ledger, row.delivery)) for row in new}
