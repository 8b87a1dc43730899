"""What waits for a person in the structures of whoever looks: dead letters, and cases of the work-lists.

A `Status` counts these for the whole site. Here they are counted for some structures, and with the console's lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from router.console.cases import NEW
from router.console.orders import Order, OrderState
from router.console.words import Structures
from router.console.worklists import ListName, Worklists
from router.engine.dead_letters.listing import Filter
from router.errors import Unavailable
from router.language import N_, filled, filled_plural
from router.runtime.status import judge
from router.runtime.status.views import Attention

if TYPE_CHECKING:
    from router.console.tools import ConsoleTools

SECOND: Final = N_("an order about dead letters waits for a second person")
ASKS: Final = N_("the first ones of an order about dead letters failed: it waits for a person")
NOT_RECEIVED: Final = "not received"
#: What waits -> the page where a person goes on with it.
PAGES: Final[Mapping[str, str]] = {
    judge.DEAD_LETTERS: "/dead-letters",
    judge.IMPACT: "/worklists/identity",
    judge.HELD_DELIVERIES: "/worklists/waiting",
    NOT_RECEIVED: "/worklists/not-received",
}


def of(tools: ConsoleTools, within: Structures) -> tuple[Attention, ...]:
    """What waits there, as it was some seconds ago. What can't be counted is told as such: never as nothing."""
    return tools.waits.of(within, lambda: _counted(tools, within))


def order(one: Order) -> Attention:
    """An order that waits for a person."""
    return Attention("order", one.id, ASKS if one.state is OrderState.ASKS else SECOND)


def _counted(tools: ConsoleTools, within: Structures) -> Iterator[Attention]:
    try:
        if within is not None:
            yield from _of_structures(tools, within)
        if count := _open(tools, within, "not-received"):
            text = filled_plural(
                "{count} document may not have been received: ask its recipient",
                "{count} documents may not have been received: ask their recipients",
                count,
            )
            yield Attention(NOT_RECEIVED, "", text)
    except Unavailable as fault:
        text = filled("can't be looked at: {code} {reason}", code=fault.code, reason=fault.text)
        yield Attention("unseen", "", text)


def _of_structures(tools: ConsoleTools, within: frozenset[str]) -> Iterator[Attention]:
    """What the status counts for the whole site alone."""
    if count := sum(group.count for group in tools.desk.groups(Filter(within=within))):
        yield judge.dead_letters(count)
    if count := _open(tools, within, "identity"):
        yield judge.impact(count)


def _open(tools: ConsoleTools, within: Structures, name: ListName) -> int:
    """Cases of a work-list that nobody has decided yet."""
    ids = [case.id for case in Worklists(tools, within).cases(name)]
    states = tools.store.cases.of(name, ids)
    return sum(not states.get(id_, NEW).decided for id_ in ids)
