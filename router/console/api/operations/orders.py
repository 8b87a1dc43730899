"""Orders about dead letters: tried dry, confirmed by their number, then worked off; stopped and resumed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlencode

from pydantic import Field

from router.access.person import Role
from router.access.tokens import API_ACT, API_READ
from router.console import ordering
from router.console import orders as kept
from router.console.api.operation import Free, Id, Input, Operation, Output, PerPage, Text, moment
from router.console.api.operations.dead_letters import DeadLetter, dead_letter
from router.console.api.problems import Refused, Wrong
from router.console.desk import MOST
from router.console.orders import ItemState, OrderState
from router.console.page import NotAllowed
from router.console.pages.dead_letters import FILTERS, asked
from router.console.visit import Visit
from router.language import N_, translated

_MANY: Final = N_("more than 500 are confirmed on the page of the order, with the password; or try fewer with `first`")
_OVER: Final = N_("this dry run says nothing about today any more, or the order was not in a state for this")


class Tried(Input):
    act: Literal["replay", "discard", "take-back"]
    cause: Id | Literal[""] = Field(default="", description=N_("all dead letters of this cause"))
    deliveries: Annotated[list[Id], Field(max_length=MOST)] = Field(
        default=[], description=N_("ids of deliveries: of the cause only these; without a cause these alone")
    )
    sink: Text = ""
    feed: Text = ""
    code: Text = ""
    pipeline: Text = ""
    first: Annotated[int, Field(ge=1, le=MOST)] = Field(default=MOST, description=N_("so many at most, oldest first"))
    again: bool = Field(default=False, description=N_("decide again through the pipelines of today"))


class OneOrder(Input):
    id: Id


class Confirmed(OneOrder):
    count: int = Field(ge=0, description=N_("how many will be ordered, as the dry run said: another number is refused"))
    reason: Free = Field(default="", description=N_("why; needed to discard; names no patient"))


class OfOrder(OneOrder):
    after: int = Field(default=-1, ge=-1, le=10_000_000, description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class Listed(Input):
    after: Text = Field(default="", description=N_("`next` of the page before"))
    per: PerPage = Field(default=50, description=N_("how many at most"))


class Refusal(Output):
    state: Literal["skipped", "would", "ordered", "refused"]
    code: str
    text: str
    count: int


class Became(Output):
    delivered: int
    failed: int
    waiting: int
    unseen: int = Field(description=N_("sent through the pipelines once more: their messages tell what came of them"))


class Order(Output):
    made: ClassVar[str] = "id"
    id: str
    by: str
    act: Literal["replay", "discard", "take-back"]
    again: bool
    state: Literal["planned", "second", "declined", "running", "stopped", "asks", "done"]
    cause: str
    reason: str
    size: int
    to_order: int = Field(description=N_("not ordered yet: the number that confirms a dry run"))
    ordered: int
    refused: list[Refusal]
    newer: int = Field(description=N_("dead letters of the cause that came after the dry run: not in it"))
    became: Became
    tried: datetime | None = Field(description=N_("when it was tried dry"))
    begun: datetime | None
    ended: datetime | None


class Orders(Output):
    orders: list[Order] = Field(description=N_("the confirmed ones, newest first"))
    next: str = Field(description=N_("give it as `after` for the next page; empty on the last one"))


class Item(Output):
    number: int
    state: Literal["skipped", "would", "ordered", "refused"]
    code: str
    text: str
    dead_letter: DeadLetter


class Items(Output):
    items: list[Item]
    next: int | None = Field(description=N_("give it as `after` for the next page; null on the last one"))


def plan(visit: Visit, given: Tried) -> Order:
    """Freeze what is meant, where this person may act. Raises `NotHere` for nothing."""
    which = asked(lambda name: str(getattr(given, name)), visit.person.structures(Role.OPERATOR), given.cause)
    found = ordering.chosen(visit, which, deliveries={*given.deliveries}, first=given.first)
    query = urlencode({name: value for name in FILTERS if (value := getattr(given, name))})
    id_ = ordering.plan(visit, given.act, found, again=given.again, cause=given.cause, query=query)
    return _order(visit, ordering.seen(visit, id_))


def confirm(visit: Visit, given: Confirmed) -> Order:
    """Begin it; what was begun already is told as it is. Raises `Refused` (403, 409, 422)."""
    order = _mine(visit, given.id)
    if order.state is not OrderState.PLANNED:
        return _order(visit, order)
    faults = ordering.faults(visit, order, count=str(given.count), reason=given.reason)
    if faults.pop("form"):
        raise Refused(409, "API-STALE", _OVER)
    count = ordering.would(visit, order)
    if count and given.count != count:
        faults["count"] = faults["count"] or ordering.count_wanted(count)
    if errors := [Wrong(pointer=f"/{name}", detail=text) for name, text in faults.items() if text]:
        raise Refused(422, "API-CONFIRM", errors=errors)
    if count > ordering.AGAIN_ABOVE:
        raise Refused(403, "API-MANY", _MANY)
    ordering.begin(visit, order, given.reason)
    return _order(visit, ordering.seen(visit, order.id))


def stop(visit: Visit, given: OneOrder) -> Order:
    return _moved(visit, given, "stop", (OrderState.RUNNING, OrderState.STOPPED, OrderState.DONE))


def resume(visit: Visit, given: OneOrder) -> Order:
    return _moved(visit, given, "resume", (OrderState.STOPPED, OrderState.ASKS, OrderState.RUNNING, OrderState.DONE))


def _moved(visit: Visit, given: OneOrder, does: str, fits: tuple[OrderState, ...]) -> Order:
    order = _mine(visit, given.id)
    if order.state not in fits:
        raise Refused(409, "API-CONFLICT", _OVER)
    try:
        ordering.move(visit, order, does)
    except ordering.Alone as alone:
        raise Refused(409, "API-CONFLICT", alone.text) from None
    return _order(visit, ordering.seen(visit, order.id))


def _mine(visit: Visit, id_: str) -> kept.Order:
    """Raises `NotHere`, or `NotAllowed` when this person may only look at it."""
    order = ordering.seen(visit, id_)
    if not ordering.may_act(visit, order):
        raise NotAllowed
    return order


def show(visit: Visit, given: OneOrder) -> Order:
    return _order(visit, ordering.seen(visit, given.id))


def latest(visit: Visit, given: Listed) -> Orders:
    found, following = visit.tools.store.orders.latest(given.per, within=visit.structures, after=given.after)
    return Orders(orders=[_order(visit, one) for one in found], next=following)


def items(visit: Visit, given: OfOrder) -> Items:
    order = ordering.seen(visit, given.id)
    found = visit.tools.store.orders.items(order.id, after=given.after, limit=given.per + 1)
    rows = found[: given.per]
    named = visit.tools.desk.named([one.dead_letter for one in rows])
    return Items(
        items=[
            Item(
                number=one.number,
                state=one.state.value,
                code=one.code,
                text=translated(one.text),
                dead_letter=dead_letter(letter),
            )
            for one, letter in zip(rows, named, strict=True)
        ],
        next=rows[-1].number if len(found) > given.per else None,
    )


def _order(visit: Visit, one: kept.Order) -> Order:
    tally = visit.tools.store.orders.tally(one.id)
    counts = {state: sum(part.count for part in tally if part.state is state) for state in ItemState}
    became = ordering.became(visit, one)
    return Order(
        id=one.id,
        by=one.person,
        act=one.act,
        again=one.again,
        state=one.state.value,
        cause=one.cause,
        reason=one.reason,
        size=one.size,
        to_order=counts[ItemState.WOULD],
        ordered=counts[ItemState.ORDERED],
        refused=[
            Refusal(state=part.state.value, code=part.code, text=translated(part.text), count=part.count)
            for part in tally
            if part.state in (ItemState.REFUSED, ItemState.SKIPPED)
        ],
        newer=ordering.newer(visit, one),
        became=Became(delivered=became.delivered, failed=became.failed, waiting=became.waiting, unseen=became.unseen),
        tried=moment(one.made),
        begun=moment(one.begun),
        ended=moment(one.ended),
    )


_ONE: Final = "/orders/{id}"
OPERATIONS: Final = (
    Operation(
        name="orders",
        path="/orders",
        does=N_("What was ordered lately."),
        run=latest,
        takes=Listed,
        gives=Orders,
        scope=API_READ,
        rate="30/minute",
        serves=("GET /orders",),
    ),
    Operation(
        name="tryOrder",
        path="/orders",
        method="POST",
        does=N_("A dry run: what an order would come to. It orders nothing, and holds for fifteen minutes."),
        run=plan,
        takes=Tried,
        gives=Order,
        status=201,
        scope=API_ACT,
        role=Role.OPERATOR,
        rate="20/minute",
        serves=("POST /orders",),
    ),
    Operation(
        name="order",
        path=_ONE,
        does=N_("How far an order is."),
        run=show,
        takes=OneOrder,
        gives=Order,
        scope=API_READ,
        serves=("GET /orders/{id}",),
    ),
    Operation(
        name="orderItems",
        path=f"{_ONE}/items",
        does=N_("The dead letters of an order, and what became of each."),
        run=items,
        takes=OfOrder,
        gives=Items,
        scope=API_READ,
    ),
    Operation(
        name="confirmOrder",
        path=f"{_ONE}/confirm",
        method="POST",
        does=N_("Begin what was tried, by its number. A second time it tells what the first began."),
        run=confirm,
        takes=Confirmed,
        gives=Order,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=("POST /orders/{id} confirm",),
    ),
    Operation(
        name="stopOrder",
        path=f"{_ONE}/stop",
        method="POST",
        does=N_("Order no further ones; what was ordered goes its way."),
        run=stop,
        takes=OneOrder,
        gives=Order,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=("POST /orders/{id} stop",),
    ),
    Operation(
        name="resumeOrder",
        path=f"{_ONE}/resume",
        method="POST",
        does=N_("Go on after a stop, or after the first ones failed."),
        run=resume,
        takes=OneOrder,
        gives=Order,
        scope=API_ACT,
        role=Role.OPERATOR,
        conflicts=True,
        serves=("POST /orders/{id} resume",),
    ),
)
