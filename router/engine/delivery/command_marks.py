"""What a command says of the person's view of a delivery, and how a delivery remembers which commands it obeyed."""

from __future__ import annotations

from typing import Final

from router.contracts import Record, Row
from router.engine.delivery.pending_delivery import PREDECESSOR
from router.exchange import State

ORDER: Final = "order"
"""Header: the order of a person that a command belongs to; it commands a delivery once, however often it is written."""
SEEN: Final = "seen"
"""Header: the delivery as the person saw it (`view`); a command about one that has changed since is refused."""
CHANGED: Final = "REPLAY-CHANGED"
"""Code of a refusal: it is not what the person saw, a colleague has replayed it or given it up meanwhile."""
_HELD_BEFORE: Final = "held"
"""All that versions up to 0.4 said of a delivery that is held."""
_REMEMBERED: Final = 20


def view(state: str, code: str, attempts: int, last: float) -> str:
    """A delivery as a person sees it; "" for one that still waits, which changes by itself.

    state: `exchange.State`;  last: Unix time of the last try, or of the last change where it is not known
    """
    if state == State.DEAD:
        return f"dead {attempts} {last:.3f}"
    if state == State.SUPERSEDED:
        return given_up(attempts)
    return f"{_HELD_BEFORE} {attempts}" if state == State.PARKED and code != PREDECESSOR else ""


def given_up(attempts: int) -> str:
    """`view` of what was given up after so many attempts; when that was does not matter."""
    return f"discarded {attempts}"


def changed(seen: str | None, row: Row) -> str:
    """The code of a refusal, where the row is not what the person saw: the one comparison, for whoever asks.

    seen: a `view`; None: a command of an old version that does not say it, and is obeyed
    """
    now = view(row.state, row.code, row.attempts, row.last_try or row.updated)
    if seen in (None, now) or (seen == _HELD_BEFORE and now.startswith(_HELD_BEFORE)):
        return ""
    return CHANGED


def order_mark(order: str) -> str:
    """In `Row.commands`: this order of a person was obeyed."""
    return f"order:{order}"


def marked(commands: tuple[str, ...], one: str) -> tuple[str, ...]:
    """The last commands with one more; several may stand between two commits of the group's offset."""
    return (*commands, one)[-_REMEMBERED:]


def mark(record: Record) -> str:
    """Which command: its order; else its place, and its time, for places come again when a topic is made anew."""
    if order := record.headers.get(ORDER, ""):
        return order_mark(order)
    return f"{record.origin}@{record.timestamp:.3f}"
