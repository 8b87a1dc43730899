"""Orders about dead letters: the dry run, its confirmation, and the progress of what was ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from router.access.faults import LoginRefused
from router.access.person import EVERY, Role
from router.audit.event import Action
from router.console.desk import MOST
from router.console.free_text import named_person
from router.console.orders import VALID, Act, ItemState, Order, OrderItem, OrderState
from router.console.page import Key, NotAllowed, NotHere, Page
from router.console.pages.dead_letters import FILTERS, asked
from router.console.visit import Visit
from router.engine.dead_letters.listing import DeadLetter, Filter
from router.exchange import State
from router.language import N_, _, plural, translated

AGAIN_ABOVE: Final = 500
"""An order for more is confirmed with the password."""
RECENT: Final = 300.0
"""Seconds after a login by the identity provider in which such an order may be confirmed."""
ROWS: Final = 50
_ACTS: Final[Mapping[Act, Action]] = {"replay": Action.REPLAYED, "discard": Action.DISCARDED}


@dataclass(frozen=True, slots=True)
class Became:
    """What the ledger says now of what was ordered."""

    delivered: int = 0
    failed: int = 0
    waiting: int = 0
    unseen: int = 0
    """Went through the pipelines once more: the journal tells what came of them."""


# ------------------------------------------------------------------------------------------------------ dry run


def plan(visit: Visit) -> Response:
    """Try it dry, and freeze what was found: the page of the order shows what would happen."""
    act = next((one for one in _ACTS if one == visit.field("act")), None)
    if act is None:
        raise NotHere
    return planned(visit, act, _chosen(visit), again=visit.field("again") == "1")


def planned(visit: Visit, act: Act, chosen: Sequence[DeadLetter], *, again: bool) -> Response:
    """The page of a dry run of these, which the caller has found where this person may act. Raises `NotHere`."""
    if not chosen:
        raise NotHere
    desk = visit.tools.desk
    answers = desk.tried(act, chosen, again=again)
    query = urlencode({name: value for name in FILTERS if (value := visit.field(name))})
    id_ = visit.tools.store.orders.plan(
        visit.person.name, act, answers, again=again, cause=visit.field("cause"), query=query, digest=desk.digest()
    )
    return visit.see_other(f"/orders/{id_}")


def _chosen(visit: Visit) -> list[DeadLetter]:
    """The dead letters that the form means, oldest first, where this person may act."""
    which = asked(visit.field, visit.person.structures(Role.OPERATOR), visit.field("cause"))
    desk, deliveries, events = visit.tools.desk, set(visit.fields("delivery")), set(visit.fields("event"))
    if not (which.cause or deliveries or events):
        return []
    if which.cause:
        found = desk.dead_letters(which)
        if deliveries or events:
            found = [one for one in found if one.delivery_id in deliveries or one.event_id in events]
    else:
        found = desk.of_deliveries(deliveries, which)
    return found[: _limit(visit.field("first"))]


def _limit(text: str) -> int:
    return min(int(text), MOST) if text.isdecimal() and int(text[:9]) > 0 else MOST


# ------------------------------------------------------------------------------------------------------ one order


def show(visit: Visit) -> Response:
    """The dry run until it is confirmed; then how far it is."""
    order = _seen(visit)
    if order.state is OrderState.PLANNED:
        return _planned(visit, order, {})
    tally = visit.tools.store.orders.tally(order.id)
    return visit.page(
        "order.html",
        order=order,
        act=_act_words(order),
        counts={state: sum(one.count for one in tally if one.state is state) for state in ItemState},
        refused=[one for one in tally if one.state in (ItemState.REFUSED, ItemState.SKIPPED)],
        became=_became(visit, order),
        rows=_rows(visit, order),
        may_act=_may_act(visit, order),
    )


def change(visit: Visit) -> Response:
    """Confirm, stop or resume."""
    order, store = _seen(visit), visit.tools.store.orders
    if not _may_act(visit, order):
        raise NotAllowed
    if visit.field("do") == "confirm":
        return _confirm(visit, order)
    if visit.field("do") == "stop":
        done = store.stop(order.id)
    elif visit.field("do") == "resume":
        done = store.resume(order.id)
    else:
        raise NotHere
    if done:
        visit.record(_ACTS[order.act], kind="order", of=order.id, detail=visit.field("do"))
        visit.tools.runner.wake()
    return visit.see_other(f"/orders/{order.id}")


def _confirm(visit: Visit, order: Order) -> Response:
    """Begin what was tried. A second confirmation (Enter twice, another tab) leads to what the first began."""
    if order.state is not OrderState.PLANNED:
        return visit.see_other(f"/orders/{order.id}")
    count, reason = _would(visit, order), visit.field("reason")
    faults = {
        "count": _count_fault(count, visit.field("count")),
        "reason": named_person(reason) or (_("a reason is needed") if order.act == "discard" and not reason else ""),
        "form": _stale(visit, order),
    }
    if not any(faults.values()) and count > AGAIN_ABOVE:
        faults["password"] = _still_you(visit)
    if any(faults.values()):
        return _planned(visit, order, faults, status=422)
    for structure in sorted(visit.tools.store.orders.structures(order.id)):
        visit.record(
            _ACTS[order.act],
            kind="order",
            of=order.id,
            structure=structure,
            reason=reason,
            detail=_detail(order, count),
        )
    if visit.tools.store.orders.confirm(order.id, reason):
        visit.tools.runner.wake()
    return visit.see_other(f"/orders/{order.id}")


def _planned(visit: Visit, order: Order, faults: Mapping[str, str], status: int = 200) -> Response:
    tally, count = visit.tools.store.orders.tally(order.id), _would(visit, order)
    return visit.page(
        "order_planned.html",
        status=status,
        order=order,
        act=_act_words(order),
        button=_button(order, count),
        count=count,
        refused=[one for one in tally if one.state is ItemState.SKIPPED],
        newer=_newer(visit, order),
        stale=_stale(visit, order),
        rows=_rows(visit, order),
        faults=faults,
        typed=visit.field("count"),
        password=count > AGAIN_ABOVE,
        until=order.made + VALID,
        may_act=_may_act(visit, order),
    )


# -------------------------------------------------------------------------------------------------------- rules


def _seen(visit: Visit) -> Order:
    """The order of this address. Raises `NotHere` when it is of a structure that this person does not see."""
    order = visit.tools.store.orders.order(visit.path["id"])
    if order is None or not all(
        visit.person.may(Role.READER, structure or EVERY) for structure in visit.tools.store.orders.structures(order.id)
    ):
        raise NotHere
    return order


def _may_act(visit: Visit, order: Order) -> bool:
    """A dry run is confirmed by who made it; what runs may be stopped by any operator of all its structures."""
    if order.state is OrderState.PLANNED and order.person != visit.person.name:
        return False
    return all(
        visit.person.may(Role.OPERATOR, structure or EVERY)
        for structure in visit.tools.store.orders.structures(order.id)
    )


def _would(visit: Visit, order: Order) -> int:
    return sum(one.count for one in visit.tools.store.orders.tally(order.id) if one.state is ItemState.WOULD)


def _count_fault(count: int, typed: str) -> str:
    """Two or more are confirmed by their number."""
    if not count:
        return _("there is nothing to order")
    if count > 1 and "".join(typed.split()) != str(count):
        return _("type the number of dead letters: {count}", count=count)
    return ""


def _stale(visit: Visit, order: Order) -> str:
    """Why this dry run says nothing about today any more; "" when it does."""
    if visit.tools.clock.now() > order.made + VALID:
        return _("this dry run is older than 15 minutes: make a new one")
    if visit.tools.desk.digest() != order.digest:
        return _("the configuration has changed since this dry run: make a new one")
    return ""


def _still_you(visit: Visit) -> str:
    """The password once more; who came by the identity provider must have come just now."""
    session = visit.session
    if session is None:
        raise NotAllowed
    if not session.local:
        recent = visit.tools.clock.now() - session.begun <= RECENT
        return "" if recent else _("log in again, and confirm within 5 minutes")
    if not visit.rates.login(visit.person.name, visit.source):
        return _("Too many tries: wait five minutes.")
    try:
        visit.tools.access.login(visit.person.name, next(iter(visit.form.get("password", ())), ""), visit.field("code"))
    except LoginRefused as fault:
        return translated(fault.text)
    return ""


def _newer(visit: Visit, order: Order) -> int:
    """Dead letters of the cause that came after the dry run: they are not in the order."""
    if not order.cause or order.state is not OrderState.PLANNED:
        return 0
    later = Filter(cause=order.cause, since=order.made, within=visit.person.structures(Role.OPERATOR))
    inside = {_name(item.dead_letter) for item in visit.tools.store.orders.items(order.id, limit=MOST)}
    return sum(_name(one) not in inside for one in visit.tools.desk.dead_letters(later))


def _name(dead_letter: DeadLetter) -> str:
    return dead_letter.delivery_id or str(dead_letter.at)


# ------------------------------------------------------------------------------------------------------- words


def _act_words(order: Order) -> str:
    if order.act == "discard":
        return _("Discard dead letters")
    return _("Decide and send dead letters again") if order.again else _("Replay dead letters")


def _button(order: Order, count: int) -> str:
    if order.act == "discard":
        return plural("Discard {count} dead letter", "Discard {count} dead letters", count)
    return plural("Replay {count} dead letter", "Replay {count} dead letters", count)


def _detail(order: Order, count: int) -> str:
    return " ".join(part for part in (f"{count} of {order.size}", order.cause, "again" if order.again else "") if part)


def _rows(visit: Visit, order: Order) -> list[OrderItem]:
    after = visit.asked("after")
    place = int(after) if after.isdecimal() and len(after) < 10 else -1
    return visit.tools.store.orders.items(order.id, after=place, limit=ROWS)


def _became(visit: Visit, order: Order) -> Became:
    """What was ordered, as the ledger has it now."""
    if order.act == "discard":
        return Became()
    ordered = visit.tools.store.orders.items(order.id, ItemState.ORDERED, limit=MOST)
    direct = {one.dead_letter.delivery_id: one.dead_letter for one in ordered if one.dead_letter.delivery_id}
    if order.again:
        return Became(unseen=len(ordered))
    rows = visit.tools.desk.rows(direct) if direct else {}
    failed = sum(row.state is State.DEAD and row.updated > direct[id_].last for id_, row in rows.items())
    delivered = sum(row.state is State.DONE for row in rows.values())
    return Became(delivered, failed, len(rows) - delivered - failed, len(ordered) - len(direct))


def list_(visit: Visit) -> Response:
    """What was ordered lately, of the structures that this person sees."""
    store = visit.tools.store.orders
    seen = [
        order
        for order in store.latest()
        if all(visit.person.may(Role.READER, structure or EVERY) for structure in store.structures(order.id))
    ]
    return visit.page("orders.html", orders=[(order, _act_words(order)) for order in seen])


PAGES: Final = (
    Page(
        name="orders",
        path="/orders",
        title=N_("Orders about dead letters"),
        show=list_,
        act=plan,
        act_role=Role.OPERATOR,
        act_rate="20/minute",
        rate="120/minute",
    ),
    Page(
        name="order",
        path="/orders/{id}",
        title=N_("Order about dead letters"),
        show=show,
        act=change,
        act_role=Role.OPERATOR,
        keys=(Key("u", N_("up to the dead letters"), "#up"),),
    ),
)
