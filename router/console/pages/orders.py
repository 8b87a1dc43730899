"""Orders about dead letters: the dry run, its confirmation, and the progress of what was ordered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from router.access.faults import LoginRefused
from router.access.person import Role
from router.console import ordering
from router.console.desk import MOST
from router.console.free_text import kept
from router.console.order_row import ItemRow, first_of, rows_of, standing, standing_of
from router.console.ordering import AGAIN_ABOVE
from router.console.orders import VALID, ItemState, Order, OrderState
from router.console.page import Key, NotAllowed, NotHere, Page
from router.console.pages.dead_letters import FILTERS, asked
from router.console.two_people import ACTS, wants_second
from router.console.visit import Visit
from router.engine.dead_letters.listing import DeadLetter
from router.engine.delivery.command_handler import TAKEN_BACK_WITHIN
from router.language import N_, _, plural, translated

RECENT: Final = 300.0
"""Seconds after a login by the identity provider in which such an order may be confirmed."""
ROWS: Final = 50


# ------------------------------------------------------------------------------------------------------ dry run


def plan(visit: Visit) -> Response:
    """Try it dry, and freeze what was found: the page of the order shows what would happen."""
    act = next((one for one in ACTS if one == visit.field("act")), None)
    if act is None:
        raise NotHere
    if act == "take-back" and (of := visit.field("of")):
        return visit.see_other(f"/orders/{_back(visit, of)}")
    found, again = _chosen(visit), visit.field("again") == "1"
    query = urlencode({name: value for name in FILTERS if (value := visit.field(name))})
    id_ = ordering.plan(visit, act, found, again=again, cause=visit.field("cause"), query=query)
    return visit.see_other(f"/orders/{id_}")


def _back(visit: Visit, id_: str) -> str:
    """A dry run of taking back what an order has discarded, where this person may act. Raises `NotHere`, `NotAllowed`.

    It is of the cause of that order: nothing that the form says is kept.
    """
    order = ordering.seen(visit, id_)
    if order.act != "discard" or not order.begun:
        raise NotHere
    if not ordering.may_act(visit, order):
        raise NotAllowed
    found = [one.dead_letter for one in visit.tools.store.orders.items(id_, ItemState.ORDERED, limit=MOST)]
    return ordering.plan(visit, "take-back", found, cause=order.cause)


def _chosen(visit: Visit) -> list[DeadLetter]:
    """The dead letters that the form means, where this person may act."""
    return ordering.chosen(
        visit,
        asked(visit.field, visit.person.structures(Role.OPERATOR), visit.field("cause")),
        deliveries={*visit.fields("delivery")},
        events={*visit.fields("event")},
        first=_limit(visit.field("first")),
    )


def _limit(text: str) -> int:
    return int(text[:9]) if text.isdecimal() and int(text[:9]) > 0 else MOST


# ------------------------------------------------------------------------------------------------------ one order


def show(visit: Visit) -> Response:
    """The dry run until it is confirmed; then how far it is."""
    order = ordering.seen(visit, visit.path["id"])
    if order.state in (OrderState.PLANNED, OrderState.SECOND, OrderState.DECLINED):
        return _planned(visit, order, {})
    return _begun(visit, order)


def _begun(visit: Visit, order: Order, fault: str = "", status: int = 200) -> Response:
    tally = visit.tools.store.orders.tally(order.id)
    return visit.page(
        "order.html",
        status=status,
        fault=fault,
        order=order,
        act=_act_words(order),
        counts={state: sum(one.count for one in tally if one.state is state) for state in ItemState},
        refused=[one for one in tally if one.state in (ItemState.REFUSED, ItemState.SKIPPED)],
        became=(became := ordering.became(visit, order)),
        standing=standing_of(order, became),
        rows=_rows(visit, order),
        may_act=ordering.may_act(visit, order),
        back_until=order.begun + TAKEN_BACK_WITHIN,
    )


def change(visit: Visit) -> Response:
    """Confirm, stop or resume."""
    order = ordering.seen(visit, visit.path["id"])
    if not ordering.may_act(visit, order):
        raise NotAllowed
    if order.state is OrderState.SECOND:
        return _second(visit, order)
    if visit.field("do") == "confirm":
        return _confirm(visit, order)
    try:
        ordering.move(visit, order, visit.field("do"))
    except ordering.Alone as alone:
        return _begun(visit, order, alone.text, 409)
    return visit.see_other(f"/orders/{order.id}")


def _confirm(visit: Visit, order: Order) -> Response:
    """Begin what was tried. A second confirmation (Enter twice, another tab) leads to what the first began."""
    if order.state is not OrderState.PLANNED:
        return visit.see_other(f"/orders/{order.id}")
    reason = visit.field("reason")
    faults = ordering.faults(visit, order, count=visit.field("count"), reason=reason)
    if not any(faults.values()) and ordering.would(visit, order) > AGAIN_ABOVE:
        faults["password"] = _still_you(visit)
    if any(faults.values()):
        return _planned(visit, order, faults, status=422)
    ordering.begin(visit, order, reason)
    return visit.see_other(f"/orders/{order.id}")


def _second(visit: Visit, order: Order) -> Response:
    """The second person begins it, or declines it; who asked may take it away."""
    if visit.field("do") == "decline":
        ordering.decide(visit, order, confirmed=False)
        return visit.see_other(f"/orders/{order.id}")
    if not ordering.may_second(visit, order):
        raise NotAllowed
    faults = ordering.second_faults(visit, order, visit.field("count"))
    if not any(faults.values()) and ordering.would(visit, order) > AGAIN_ABOVE:
        faults["password"] = _still_you(visit)
    if any(faults.values()):
        return _planned(visit, order, faults, status=422)
    ordering.decide(visit, order, confirmed=True)
    return visit.see_other(f"/orders/{order.id}")


def _planned(visit: Visit, order: Order, faults: Mapping[str, str], status: int = 200) -> Response:
    tally, count = visit.tools.store.orders.tally(order.id), ordering.would(visit, order)
    return visit.page(
        "order_planned.html",
        status=status,
        order=order,
        act=_act_words(order),
        button=_button(order, count),
        count=count,
        refused=[one for one in tally if one.state is ItemState.SKIPPED],
        newer=ordering.newer(visit, order),
        stale=_stale(visit, order),
        rows=_rows(visit, order),
        faults=faults,
        typed={name: kept(visit.field(name)) for name in ("count", "reason")},
        password=count > AGAIN_ABOVE,
        until=order.lease if order.state is OrderState.SECOND else order.made + VALID,
        may_act=ordering.may_act(visit, order),
        may_second=ordering.may_second(visit, order),
        two=wants_second(visit, order, count),
    )


def _stale(visit: Visit, order: Order) -> str:
    if order.state is OrderState.DECLINED:
        return ""
    return ordering.second_stale(visit, order) if order.state is OrderState.SECOND else ordering.stale(visit, order)


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


# ------------------------------------------------------------------------------------------------------- words


def _act_words(order: Order) -> str:
    if order.act == "discard":
        return _("Discard dead letters")
    if order.act == "take-back":
        return _("Take a discard back")
    return _("Decide and send dead letters again") if order.again else _("Replay dead letters")


def _button(order: Order, count: int) -> str:
    if order.act == "take-back":
        return plural("Take {count} discard back", "Take {count} discards back", count)
    if order.act == "discard":
        return plural("Discard {count} dead letter", "Discard {count} dead letters", count)
    return plural("Replay {count} dead letter", "Replay {count} dead letters", count)


def _rows(visit: Visit, order: Order) -> list[ItemRow]:
    after = visit.asked("after")
    place = int(after) if after.isdecimal() and len(after) < 10 else -1
    return rows_of(visit, order, visit.tools.store.orders.items(order.id, after=place, limit=ROWS))


def list_(visit: Visit) -> Response:
    """What was ordered, the newest first, of the structures that this person sees."""
    after = visit.asked("after")
    seen, more = visit.tools.store.orders.latest(ROWS, within=visit.structures, after=after)
    shown = [(order, _act_words(order), standing(visit, order), first_of(visit, order)) for order in seen]
    return visit.page("orders.html", orders=shown, more=more, begun=bool(after))


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
        does=("confirm", "decline", "stop", "resume"),
        act_role=Role.OPERATOR,
        keys=(Key("u", N_("up to the dead letters"), "#up"),),
    ),
)
