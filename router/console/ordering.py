"""Rules of orders about dead letters, the same for pages and for programs: who sees one, who may act, what began it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.access.person import EVERY, Role
from router.console.audited import once
from router.console.desk import MOST
from router.console.free_text import named_person
from router.console.orders import RUNS, VALID, WAITS, Act, ItemState, Order, OrderState
from router.console.page import NotAllowed, NotHere
from router.console.two_people import ACTS, alone, first_gone, goes_on, is_first
from router.console.visit import Visit
from router.engine.dead_letters.listing import DeadLetter, Filter
from router.engine.delivery.command_handler import DISCARD, take_back_refusal
from router.exchange import State
from router.journal.views import EventStory
from router.language import _

AGAIN_ABOVE: Final = 500
"""An order for more is confirmed with the password."""
SECOND_WITHIN: Final = 4 * 3600.0
"""Seconds in which a second person may confirm."""


class Alone(Exception):
    """With what this person ordered within the hour, a second one is needed to go on with an order."""

    @property
    def text(self) -> str:
        return _("with what you ordered within the hour these need a second person: a colleague may go on with it")


@dataclass(frozen=True, slots=True)
class Became:
    """What the ledger says now of what was ordered."""

    delivered: int = 0
    failed: int = 0
    waiting: int = 0
    unseen: int = 0
    """Went through the pipelines once more: the journal tells what came of them."""


def chosen(
    visit: Visit, which: Filter, *, deliveries: Collection[str] = (), events: Collection[str] = (), first: int = MOST
) -> list[DeadLetter]:
    """The dead letters that are meant, oldest first, `first` at most. `which` keeps to where the person may act.

    A cause is narrowed to these deliveries and events; deliveries without a cause are taken dead or not.
    """
    desk, most = visit.tools.desk, min(first, MOST)
    if not which.cause:
        return desk.of_deliveries(deliveries, which)[:most] if deliveries or events else []
    if not (deliveries or events):
        return desk.dead_letters(which, most)
    found = [one for one in desk.of_deliveries(deliveries, which) if one.is_dead or one.is_held]
    found += desk.dead_letters(replace(which, events=frozenset(events))) if events else []
    unique = {(one.delivery_id, one.at): one for one in found}
    return sorted(unique.values(), key=lambda one: (one.last, one.at))[:most]


def plan(
    visit: Visit, act: Act, found: Sequence[DeadLetter], *, again: bool = False, cause: str = "", query: str = ""
) -> str:
    """A dry run of these, which the caller has found where this person may act: its id. Raises `NotHere` for nothing.

    query: the filters that `found` answers to, as an address has them
    """
    if not found:
        raise NotHere
    desk, again = visit.tools.desk, again and act == "replay"
    answers, digest = desk.tried(act, found, again=again), desk.digest()
    return visit.tools.store.orders.plan(
        visit.person, act, answers, again=again, cause=cause, query=query, digest=digest
    )


def given_up(visit: Visit, story: EventStory) -> list[str]:
    """Deliveries of a message whose discard may still be taken back."""
    if not any(one.kind == "command" and one.code == DISCARD.upper() for one in story.timeline):
        return []
    now = visit.tools.clock.now()
    rows = visit.tools.desk.rows(one.delivery_id for one in story.deliveries)
    return [id_ for id_, row in rows.items() if not take_back_refusal(row, now)]


def seen(visit: Visit, id_: str) -> Order:
    """The order of this id. Raises `NotHere` when it is of a structure that this person does not see."""
    order = visit.tools.store.orders.order(id_)
    if order is None or not visible(visit, order):
        raise NotHere
    return order


def visible(visit: Visit, order: Order) -> bool:
    return _everywhere(visit, order, Role.READER)


def may_act(visit: Visit, order: Order) -> bool:
    """A dry run is confirmed by who made it; what runs may be stopped by any operator of all its structures, who also
    confirms or declines what waits for a second person: see `may_second`.
    """
    if order.state is OrderState.PLANNED and (not order.asker or order.asker != visit.person.id):
        return False
    return _everywhere(visit, order, Role.OPERATOR)


def _everywhere(visit: Visit, order: Order, role: Role) -> bool:
    structures = visit.tools.store.orders.structures(order.id)
    return all(visit.person.may(role, structure or EVERY) for structure in structures)


def may_second(visit: Visit, order: Order) -> bool:
    """Whether this person may be the second one: an operator of all its structures, and not who asked."""
    return order.state is OrderState.SECOND and may_act(visit, order) and not is_first(visit, order)


def would(visit: Visit, order: Order) -> int:
    """How many of it are to be ordered."""
    return sum(one.count for one in visit.tools.store.orders.tally(order.id) if one.state is ItemState.WOULD)


def faults(visit: Visit, order: Order, *, count: str, reason: str) -> dict[str, str]:
    """What is wrong with a confirmation, by field; "" where nothing is. `form`: the dry run is too old."""
    return {
        "count": _count_fault(would(visit, order), count),
        "reason": named_person(reason) or (_("a reason is needed") if order.act != "replay" and not reason else ""),
        "form": stale(visit, order),
    }


def begin(visit: Visit, order: Order, reason: str) -> None:
    """Confirm a dry run: it begins, or waits for a second person. Audited before. Raises `Unavailable`."""
    store, count = visit.tools.store.orders, would(visit, order)
    if not alone(visit, order, count):
        until = visit.tools.clock.now() + SECOND_WITHIN
        _once(visit, order, reason, "asks-second-person", lambda: store.ask_second(order.id, reason, until))
    elif _once(visit, order, reason, "", lambda: store.confirm(order.id, reason)):
        visit.tools.runner.wake()


def second_faults(visit: Visit, order: Order, count: str) -> dict[str, str]:
    """What is wrong with the confirmation of a second person, by field; "" where nothing is."""
    return {"count": _count_fault(would(visit, order), count), "form": second_stale(visit, order)}


def second_stale(visit: Visit, order: Order) -> str:
    """Why a second person can't confirm it any more; "" when one can."""
    if visit.tools.clock.now() > order.lease:
        return _("nobody confirmed this in 4 hours: make a new dry run")
    return first_gone(visit, order) or _changed(visit, order)


def decide(visit: Visit, order: Order, *, confirmed: bool) -> None:
    """What the second person said. Who asked may decline it too.

    Raises `NotAllowed`, also where who asked has no right to it any more; `Unavailable`.
    """
    store, second = visit.tools.store.orders, may_second(visit, order)
    if not (second or (not confirmed and is_first(visit, order))) or (confirmed and first_gone(visit, order)):
        raise NotAllowed
    said = f"second-person-for={order.person}" if second else "taken-away"
    both = f"{order.person} + {visit.person.name}"
    if not confirmed:
        _once(visit, order, order.reason, said, lambda: store.decline(order.id), refused=True)
    elif _once(visit, order, order.reason, said, lambda: store.second(order.id, visit.person, both)):
        visit.tools.runner.wake()


def _once(
    visit: Visit,
    order: Order,
    reason: str,
    said: str,
    change: Callable[[], bool],
    *,
    refused: bool = False,
    counted: bool = True,
) -> bool:
    """See `audited.once`: a line for each structure of the order, with what is counted there and nowhere else."""
    counts = visit.tools.store.orders.counts(order.id)

    def write(more: str, refused: bool) -> None:
        for structure, (count, size) in sorted(counts.items()):
            detail = _detail(order, count, size) if counted else ""
            visit.record(
                ACTS[order.act],
                kind="order",
                of=order.id,
                structure=structure,
                reason=reason,
                refused=refused,
                detail=" ".join(filter(None, (detail, said, more))),
            )

    return once(write, change, refused=refused)


def move(visit: Visit, order: Order, does: str) -> None:
    """Stop or resume it, where that changes something; audited before.

    Raises `NotHere`, `Unavailable`, `Alone` where one person may not go on with so many.
    """
    store = visit.tools.store.orders
    changes = {"stop": (store.stop, RUNS), "resume": (store.resume, WAITS)}
    if does not in changes:
        raise NotHere
    change, states = changes[does]
    if order.state in states and does == "resume" and not goes_on(visit, order, would(visit, order)):
        _once(visit, order, order.reason, "resume second-person", lambda: True, refused=True, counted=False)
        raise Alone
    if order.state in states and _once(visit, order, order.reason, does, lambda: change(order.id), counted=False):
        visit.tools.runner.wake()


def _count_fault(count: int, typed: str) -> str:
    """Two or more are confirmed by their number."""
    if not count:
        return _("there is nothing to order")
    return count_wanted(count) if count > 1 and "".join(typed.split()) != str(count) else ""


def count_wanted(count: int) -> str:
    return _("type the number of dead letters: {count}", count=count)


def stale(visit: Visit, order: Order) -> str:
    """Why this dry run says nothing about today any more; "" when it does."""
    if visit.tools.clock.now() > order.made + VALID:
        return _("this dry run is older than 15 minutes: make a new one")
    return _changed(visit, order)


def _changed(visit: Visit, order: Order) -> str:
    if visit.tools.desk.digest() != order.digest:
        return _("the configuration has changed since this dry run: make a new one")
    return ""


def newer(visit: Visit, order: Order) -> int:
    """Dead letters of the cause that came after the dry run: they are not in the order."""
    if not order.cause or order.begun:
        return 0
    later = Filter(cause=order.cause, since=order.made, within=visit.person.structures(Role.OPERATOR))
    count = sum(one.count for one in visit.tools.desk.groups(later))
    if not count:
        return 0
    inside = {_name(item.dead_letter) for item in visit.tools.store.orders.items(order.id, limit=MOST)}
    return count - sum(_name(one) in inside for one in visit.tools.desk.dead_letters(later))


def _name(dead_letter: DeadLetter) -> str:
    return dead_letter.delivery_id or str(dead_letter.at)


def _detail(order: Order, count: int, size: int) -> str:
    return " ".join(part for part in (f"{count} of {size}", order.cause, "again" if order.again else "") if part)


def became(visit: Visit, order: Order) -> Became:
    """What was ordered, as the ledger has it now."""
    if order.act != "replay":
        return Became()
    ordered = visit.tools.store.orders.items(order.id, ItemState.ORDERED, limit=MOST)
    direct = {one.dead_letter.delivery_id: one.dead_letter for one in ordered if one.dead_letter.delivery_id}
    if order.again:
        return Became(unseen=len(ordered))
    rows = visit.tools.desk.rows(direct) if direct else {}
    failed = sum(row.state is State.DEAD and row.updated > direct[id_].last for id_, row in rows.items())
    delivered = sum(row.state is State.DONE for row in rows.values())
    return Became(delivered, failed, len(rows) - delivered - failed, len(ordered) - len(direct))
