"""Works off the orders that people confirmed: paced, a few first, on from where it was after a stop or a restart."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from typing import Final

import structlog

from router.access.ordered import Ordered
from router.console.desk import DeadLetterDesk
from router.console.orders import ItemState, Order, OrderItem, OrderStore
from router.contracts import Clock
from router.engine.dead_letters.operator_commands import Answer
from router.engine.delivery.supersession_rules import FINAL
from router.errors import Unavailable
from router.exchange import State
from router.language import N_

log = structlog.get_logger()

PACE: Final = 50
"""Items a second at most, so that what senders bring meanwhile is not held up."""
FIRST: Final = 10
"""So many go alone when an order has more than `MANY`."""
MANY: Final = 100
TOO_MANY: Final = 3
"""When so many of the first ones fail, a person is asked before the others follow."""
PATIENCE: Final = 60.0
"""Seconds in which the first ones are awaited; those that still wait then have not failed."""
FAILED: Final = N_("this one could not be dealt with: the log of the console says why")
_IDLE: Final = 1.0


class OrderRunner:
    """One thread. Each item is written at least once, under the id of its order: the lane's owner obeys it once."""

    def __init__(
        self, store: OrderStore, desk: DeadLetterDesk, ordered: Ordered, clock: Clock, *, pace: int = PACE
    ) -> None:
        self._store, self._desk, self._ordered, self._clock, self._pace = store, desk, ordered, clock, pace
        self._name = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console-orders", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do. Any thread."""
        self._woken.set()

    def close(self) -> None:
        """End after the present step; the order goes on at the next start, or in another process."""
        self._stop.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def step(self) -> bool:
        """Work on the oldest order for a second's worth of items; False when there is nothing to do now."""
        order = self._store.claim(self._name)
        if order is None:
            return False
        if order.size > MANY and not order.tried and (first := self._first(order)):
            return self._try_first(order, first)
        return self._next(order, self._pace)

    def _first(self, order: Order) -> list[OrderItem]:
        """Those that were not refused by the dry run."""
        states = (ItemState.WOULD, ItemState.ORDERED, ItemState.REFUSED)
        return self._store.items(order.id, *states, limit=FIRST)

    def _next(self, order: Order, limit: int) -> bool:
        items = self._store.next_items(order.id, limit)
        if not items:
            self._finish(order)
            return True
        try:
            self._order(order, items)
        except Unavailable:
            raise
        except Exception:  # one that can't be dealt with must not keep the others
            for item in items:
                self._alone(order, item)
        return True

    def _finish(self, order: Order) -> None:
        """What was refused does not count against who ordered it."""
        went = sum(one.count for one in self._store.tally(order.id) if one.state is ItemState.ORDERED)
        self._ordered.came_to(order.id, went)
        self._store.finish(order.id)

    def _order(self, order: Order, items: list[OrderItem]) -> None:
        chosen = [item.dead_letter for item in items]
        answers = self._desk.order(
            order.act, chosen, by=order.person, reason=order.reason, again=order.again, order=order.id
        )
        self._store.settle(order.id, {item.number: answer for item, answer in zip(items, answers, strict=True)})

    def _alone(self, order: Order, item: OrderItem) -> None:
        try:
            self._order(order, [item])
        except Unavailable:
            raise
        except Exception:
            log.error("one dead letter of an order failed", order=order.id, number=item.number, exc_info=True)
            self._store.settle(order.id, {item.number: Answer(item.dead_letter, False, FAILED, "ORDER-FAILED")})

    def _try_first(self, order: Order, first: list[OrderItem]) -> bool:
        """Order the first ones, wait for them, and ask a person when they fail again."""
        waiting = [item for item in first if item.state is ItemState.WOULD]
        if waiting:
            return self._next(order, len(waiting))
        failed, pending = self._became(order, first)
        if failed >= TOO_MANY:
            self._store.ask(order.id)
            return True
        if pending and self._clock.now() < order.begun + PATIENCE:
            return False
        self._store.went_well(order.id)
        return True

    def _became(self, order: Order, first: list[OrderItem]) -> tuple[int, int]:
        """How many of the first ones failed, again or at once, and how many are not decided."""
        refused = sum(item.state is ItemState.REFUSED for item in first)
        ordered = [
            item.dead_letter for item in first if item.state is ItemState.ORDERED and item.dead_letter.delivery_id
        ]
        if order.act != "replay":
            return refused, 0
        rows = self._desk.rows(letter.delivery_id for letter in ordered if letter.delivery_id)
        seen = [(rows[letter.delivery_id], letter) for letter in ordered if letter.delivery_id in rows]
        again = sum(row.state is State.DEAD and row.updated > letter.last for row, letter in seen)
        moved = [row for row, letter in seen if row.state is not State.DEAD or row.updated > letter.last]
        pending = len(seen) - len(moved) + sum(row.state not in FINAL for row in moved)
        return refused + again, pending

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.clear()
            busy = self._safely(self.step)
            if busy:
                self._stop.wait(1.0)
            else:
                self._woken.wait(_IDLE)

    def _safely(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except Unavailable as fault:
            log.warning("an order waits", code=fault.code, place=fault.place)
        except Exception:  # the order stays as it is, and is tried again
            log.error("an order failed", exc_info=True)
        return False
