"""The rule of two persons: which orders need a second one, who may be it, and whether the first one still may."""

from __future__ import annotations

from typing import Final

from router.access.person import EVERY, Person, Role
from router.access.tokens import API_ACT
from router.console.orders import Order
from router.console.visit import Visit
from router.language import _

COUNTED_WITHIN: Final = 3600.0
"""Seconds back to which what the same person ordered counts too, so that nobody splits an order to be alone."""


def wants_second(visit: Visit, order: Order, count: int) -> bool:
    """Whether the site asks a second person for so many, with what the same person began alone within the hour."""
    limit = visit.tools.services.config.operators.second_person_above
    return limit is not None and count > 0 and count + _lately(visit, order) > limit


def _lately(visit: Visit, order: Order) -> int:
    """Dead letters of orders that this person, or a token that she made, began alone; of the same act."""
    since = visit.tools.clock.now() - COUNTED_WITHIN
    began = visit.tools.store.orders.begun_since(order.act, since)
    behind = visit.tools.access.behind
    return sum(count for person, count in began.items() if behind.same(person, order.person))


def is_first(visit: Visit, order: Order) -> bool:
    """Whether this person asked for it, under her name or by a token of hers: she can't be the second one."""
    return visit.tools.access.behind.same(order.person, visit.person.name)


def first_gone(visit: Visit, order: Order) -> str:
    """Why who asked could not order it today; "" when she could."""
    structures = visit.tools.store.orders.structures(order.id)
    today = visit.tools.access.behind.today(order.person)
    if any(_operates(person, structures) for person in today):
        return ""
    return _("{name}, who asked for this, may not order it any more: make a new dry run", name=order.person)


def _operates(person: Person, structures: frozenset[str]) -> bool:
    scoped = person.scopes is None or API_ACT in person.scopes
    return scoped and all(person.may(Role.OPERATOR, structure or EVERY) for structure in structures)
