"""The rule of two persons: which orders need a second one, who may be it, and whether the first one still may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.access.person import EVERY, Person, Role
from router.access.tokens import API_ACT
from router.audit.event import Action
from router.console.orders import Act, Order
from router.console.visit import Visit
from router.language import _

ACTS: Final[Mapping[Act, Action]] = {
    "replay": Action.REPLAYED,
    "discard": Action.DISCARDED,
    "take-back": Action.TAKEN_BACK,
}


def wants_second(visit: Visit, order: Order, count: int) -> bool:
    """Whether the site asks a second person for so many, with what the same person ordered alone within the hour."""
    limit = visit.tools.services.config.operators.second_person_above
    lately = visit.tools.access.ordered.lately
    return limit is not None and count > 0 and count + lately(order.asker, ACTS[order.act]) > limit


def alone(visit: Visit, order: Order, count: int) -> bool:
    """Whether it may begin without a second person; then it counts together with what the person orders next."""
    limit = visit.tools.services.config.operators.second_person_above
    if limit is None or not count:
        return True
    return visit.tools.access.ordered.alone(order.id, order.asker, ACTS[order.act], count, limit)


def goes_on(visit: Visit, order: Order, count: int) -> bool:
    """Whether this person may go on with so many of an order that was stopped: it counts in this hour then.

    Who did not ask for it is a second person; so is one who confirmed it before.
    """
    limit = visit.tools.services.config.operators.second_person_above
    if limit is None or not count or order.second or not is_first(visit, order):
        return True
    return visit.tools.access.ordered.goes_on(order.id, order.asker, ACTS[order.act], count, limit)


def is_first(visit: Visit, order: Order) -> bool:
    """Whether this person asked for it, under her name or by a token of hers: she can't be the second one."""
    return visit.tools.access.behind.same(order.asker, visit.person.id)


def first_gone(visit: Visit, order: Order) -> str:
    """Why who asked could not order it today; "" when she could."""
    structures = visit.tools.store.orders.structures(order.id)
    today = visit.tools.access.behind.today(order.asker)
    if any(_operates(person, structures) for person in today):
        return ""
    return _("{name}, who asked for this, may not order it any more: make a new dry run", name=order.person)


def _operates(person: Person, structures: frozenset[str]) -> bool:
    scoped = person.scopes is None or API_ACT in person.scopes
    return scoped and all(person.may(Role.OPERATOR, structure or EVERY) for structure in structures)
