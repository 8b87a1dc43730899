"""Who waits for whom across lanes (D1): a deletion for what is on the wire, a replacement for an outcome too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from router.contracts import Row
from router.engine.delivery.pending_delivery import PendingDelivery, Place
from router.engine.delivery.supersession_rules import DELETE


class WaitGraph:
    """Pure bookkeeping: `PendingDelivery.waits_for` says whom one waits for; this says who waits for a delivery."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[PendingDelivery]] = {}
        self._debts: dict[str, list[Row]] = {}
        """Whom rows that only the ledger holds must wait for, once they are in memory."""

    def hold_back(self, slot: PendingDelivery, others: Iterable[Row]) -> None:
        """`slot` may not start before these deliveries are released."""
        for other in others:
            slot.waits_for[other.delivery.id] = other
            self._waiters.setdefault(other.delivery.id, []).append(slot)

    def owe(self, id_: str, others: Sequence[Row]) -> None:
        """`hold_back` for a row that stands in no slot yet: see `due_of`."""
        if others:
            self._debts[id_] = list(others)

    def due_of(self, id_: str) -> Sequence[Row]:
        """Whom this row must wait for, now that it is in memory."""
        return self._debts.get(id_, ())

    def forget(self, id_: str) -> None:
        """This row waits for nobody any more, or its slot says for whom."""
        self._debts.pop(id_, None)

    def awaited(self) -> set[str]:
        """Deliveries for which somebody waits, or must once it is in memory."""
        owed = {other.delivery.id for others in self._debts.values() for other in others}
        slots = (id_ for id_, waiters in self._waiters.items() if any(one.place is Place.NEAR for one in waiters))
        return owed.union(slots)

    def release(self, id_: str, *, known: bool = True) -> list[PendingDelivery]:
        """A delivery is off the wire: a deletion goes on in any case, the others once the outcome is known.

        Returns those that wait for nobody now.
        """
        waiters = self._waiters.pop(id_, [])
        if not known and (patient := [one for one in waiters if one.row.delivery.action != DELETE]):
            self._waiters[id_] = patient
            waiters = [one for one in waiters if one.row.delivery.action == DELETE]
        for waiter in waiters:
            waiter.waits_for.pop(id_, None)
        return [waiter for waiter in waiters if waiter.place is Place.NEAR and not waiter.waits_for]
