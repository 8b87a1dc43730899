"""An order and its dead letters as their pages show them: which message, to whom, its cause, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.console import ordering
from router.console.ordering import Became
from router.console.orders import ItemState, Order, OrderItem, OrderState
from router.console.visit import Visit
from router.console.worklists import shown
from router.contracts import Row
from router.engine.dead_letters.listing import DeadLetter
from router.exchange import State

_MOST_LOOKED_AT: Final = 100
"""Dead letters of an order whose outcome a list of orders looks up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """status: a key of `words.STATUSES`;  to: the recipient, "" for none;  code, text: the cause as it is now"""

    number: int
    status: str
    dead_letter: DeadLetter
    to: str
    code: str
    text: str
    proof: str = ""


def rows_of(visit: Visit, order: Order, items: Sequence[OrderItem]) -> list[ItemRow]:
    """With MSH-10, as the journal knows it, and with the outcome of what was replayed, as the ledger has it now."""
    named = visit.tools.desk.named([one.dead_letter for one in items])
    replayed = order.act == "replay" and not order.again
    ids = [one.delivery_id for one in named if one.delivery_id] if replayed and order.begun else []
    now = visit.tools.desk.rows(ids) if ids else {}
    return [_row(item, letter, now) for item, letter in zip(items, named, strict=True)]


def _row(item: OrderItem, letter: DeadLetter, now: Mapping[str, Row]) -> ItemRow:
    row = ItemRow(
        number=item.number,
        status=f"item-{item.state}",
        dead_letter=letter,
        to=shown(letter.label),
        code=letter.code,
        text=letter.text,
    )
    if item.state in (ItemState.SKIPPED, ItemState.REFUSED):
        return replace(row, code=item.code, text=item.text, proof=item.proof)
    known = now.get(letter.delivery_id)
    if item.state is not ItemState.ORDERED or known is None:
        return row
    if known.state is State.DONE:
        return replace(row, status="delivered")
    if known.state is State.DEAD and known.updated > letter.last:
        return replace(row, status="order-failed", code=known.code, text=known.text)
    return row


def first_of(visit: Visit, order: Order) -> ItemRow | None:
    """Its first dead letter: what it is about."""
    rows = rows_of(visit, order, visit.tools.store.orders.items(order.id, limit=1))
    return rows[0] if rows else None


def standing(visit: Visit, order: Order) -> str:
    """A key of `words.STATUSES`. That all went well is not said of more than are looked at."""
    if order.state is not OrderState.DONE or order.act != "replay":
        return f"order-{order.state}"
    return standing_of(order, ordering.became(visit, order)) if order.size <= _MOST_LOOKED_AT else "order-ended"


def standing_of(order: Order, became: Became) -> str:
    """The same of one whose outcome is known: one that failed again has not ended well."""
    return "order-failed" if order.state is OrderState.DONE and became.failed else f"order-{order.state}"
