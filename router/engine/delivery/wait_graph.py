"""Who waits for whom across lanes (D1): a deletion for what is in flight, a replacement for its outcome too."""

from __future__ import annotations

from collections.abc import Iterable

from router.contracts import Row
from router.engine.delivery.lane_scheduler import LaneScheduler
from router.engine.delivery.lane_table import LaneTable
from router.engine.delivery.pending_delivery import PendingDelivery, Place
from router.engine.delivery.supersession_rules import DELETE


class WaitGraph:
    """Bookkeeping without I/O. `PendingDelivery.waits_for` says whom one waits for; this says who waits for it.

    Only rows that stand in our lanes, or that are in flight in another worker (`remote`), are waited for: any other
    has ended meanwhile.
    """

    def __init__(self, table: LaneTable, scheduler: LaneScheduler) -> None:
        self._table = table
        self._scheduler = scheduler
        self._waiters: dict[str, list[PendingDelivery]] = {}
        self._once_loaded: dict[str, list[Row]] = {}
        """By id of a row that only the ledger holds: whom it must wait for, once it is in memory."""
        self.remote: set[str] = set()
        """Ids of deliveries in other workers' lanes that may be waited for, until their attempt has ended."""

    def hold_back(self, pending: PendingDelivery, others: Iterable[Row]) -> None:
        """`pending` may not start before these deliveries are released."""
        for other in filter(self._may_be_under_way, others):
            pending.waits_for[other.delivery.id] = other
            self._waiters.setdefault(other.delivery.id, []).append(pending)

    def hold_back_once_loaded(self, row: Row, others: Iterable[Row]) -> None:
        """The same for a row that found no room in memory: it counts from the moment when the row is loaded."""
        if present := list(filter(self._may_be_under_way, others)):
            self._once_loaded[row.delivery.id] = present

    def loaded(self, pending: PendingDelivery) -> None:
        """A row that only the ledger held is in memory: it waits for those it must wait for."""
        self.hold_back(pending, self._once_loaded.get(pending.id, ()))

    def forget(self, id_: str) -> None:
        """This row, which only the ledger held, has left the backlog."""
        self._once_loaded.pop(id_, None)

    def release(self, id_: str, *, known: bool = True) -> None:
        """A delivery is not in flight any more. Deletions go on in any case, the others if the outcome is `known`."""
        waiters = self._waiters.pop(id_, [])
        if not known and (others := [one for one in waiters if one.row.delivery.action != DELETE]):
            self._waiters[id_] = others
            waiters = [one for one in waiters if one.row.delivery.action == DELETE]
        for waiter in waiters:
            waiter.waits_for.pop(id_, None)
        for waiter in waiters:
            if waiter.place is Place.WINDOW and not waiter.waits_for:
                self._scheduler.consider(waiter.lane)

    def give_away(self, ids: set[str]) -> None:
        """These deliveries left with their partition: those that somebody waits for are another worker's now."""
        self.remote |= ids & self._awaited()
        for id_ in ids - self.remote:
            self.release(id_)

    def _awaited(self) -> set[str]:
        """Deliveries for which somebody waits, or must once it is in memory."""
        later = {other.delivery.id for others in self._once_loaded.values() for other in others}
        now = (id_ for id_, waiters in self._waiters.items() if any(one.place is Place.WINDOW for one in waiters))
        return later.union(now)

    def _may_be_under_way(self, row: Row) -> bool:
        return row.delivery.id in self.remote or self._table.holds(row)
