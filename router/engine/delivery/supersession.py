"""What arriving deletions and replacements do to the rows before them, durably (D1). The rules are in
`supersession_rules`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from router.contracts import Ledger, Row
from router.engine.delivery import row_transitions
from router.engine.delivery.durable_writer import DurableWriter
from router.engine.delivery.lanes import Lanes, in_order
from router.engine.delivery.owned_partitions import OwnedPartitions
from router.engine.delivery.payload_cache import PayloadCache
from router.engine.delivery.pending_delivery import Place
from router.engine.delivery.remote_in_flight import RemoteInFlight
from router.engine.delivery.sink_calls import SinkCalls
from router.engine.delivery.supersession_rules import Effect, effect, overtaken_by, versions
from router.engine.delivery.worker_settings import WorkerSettings
from router.exchange import State
from router.wire import receipt_record


@dataclass(frozen=True, slots=True)
class Overtaking:
    """What deletions and replacements did."""

    superseded: dict[str, Row] = field(default_factory=dict)
    """By id the rows that they superseded."""
    waits: dict[str, list[Row]] = field(default_factory=dict)
    """By id of a deletion or replacement the rows for which it must wait."""
    remote: list[Row] = field(default_factory=list)
    """Those of them that are another worker's."""

    def wait(self, row: Row, other: Row) -> None:
        self.waits.setdefault(row.delivery.id, []).append(other)


class Supersession:
    """Supersedes rows of one sink worker; called from its dispatcher, one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        owned: OwnedPartitions,
        lanes: Lanes,
        payloads: PayloadCache,
        calls: SinkCalls,
        writer: DurableWriter,
        remote: RemoteInFlight,
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._lanes = lanes
        self._payloads = payloads
        self._calls = calls
        self._writer = writer
        self._remote = remote

    async def overtake(self, new: Sequence[Row]) -> Overtaking:
        """What these deletions and replacements supersede, durably, and whom each must wait for (D1)."""
        known = await self._writer.ask(lambda ledger: _versions(ledger, new))
        did = Overtaking()
        for row in new:
            if row.delivery.id in did.superseded:
                continue
            for stored in known[row.delivery.id]:
                if stored.delivery.id in did.superseded:
                    continue
                if stored.partition in self._owned:
                    self._overtake_ours(row, stored, did)
                else:
                    self._overtake_remote(row, stored, did)
        self._remote.expect(did.remote)
        await self._supersede(did.superseded.values())
        return did

    async def passed(self, row: Row) -> bool:
        """Supersede a delivery of an event that a person sent through again, if a deletion or a replacement that was
        accepted after the event has been here meanwhile (D1); its row is open. Whether it was so."""
        by = overtaken_by(row, await self._writer.ask(lambda ledger: in_order(versions(ledger, row.delivery))))
        if by is None:
            return False
        now = self._settings.clock.now()
        await self._supersede([row_transitions.superseded(row, by.delivery.event_id, now)])
        return True

    def _overtake_ours(self, row: Row, stored: Row, did: Overtaking) -> None:
        lanes, by = self._lanes, row.delivery.event_id
        pending = lanes.find(stored.delivery.id)
        old = pending.row if pending is not None else stored
        in_flight = pending is not None and pending.place is Place.IN_FLIGHT
        match effect(row, old, in_flight=in_flight):
            case Effect.SUPERSEDES:
                if (left := lanes.supersede(old, by)) is not None:
                    self._payloads.release(left)
                did.superseded[old.delivery.id] = row_transitions.superseded(old, by, self._settings.clock.now())
            case Effect.WAITS:
                did.wait(row, old)
                if in_flight and row.delivery.action == "delete":
                    lanes.supersede(old, by)

    def _overtake_remote(self, row: Row, stored: Row, did: Overtaking) -> None:
        """Whoever has the row looks for deletions before each effect: here it is only waited for."""
        if effect(row, stored, in_flight=stored.state is State.BEGUN) is Effect.WAITS:
            did.wait(row, stored)
            did.remote.append(stored)

    async def _supersede(self, rows: Iterable[Row]) -> None:
        changed, sink, observer = list(rows), self._settings.sink, self._settings.observer
        if not changed:
            return
        receipts = [row_transitions.receipt(row, await self._calls.context_of(row), row.updated) for row in changed]
        partitions = sorted({row.partition for row in changed})
        await self._writer.write(partitions, records=[receipt_record(one) for one in receipts], rows=changed)
        for row in changed:
            if row.delivery.strict:
                self._lanes.unblock(row)
        observer.count("superseded_total", len(changed), sink=sink)
        observer.count("deliveries_total", len(changed), sink=sink, disposition="superseded")


def _versions(ledger: Ledger, new: Sequence[Row]) -> dict[str, list[Row]]:
    """For each of these rows what the ledger holds of its document, in order, each row once."""
    return {row.delivery.id: in_order(versions(ledger, row.delivery)) for row in new}
