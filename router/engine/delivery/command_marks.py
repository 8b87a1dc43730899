"""What a command says of the person's view of a delivery, and how a delivery remembers which commands it obeyed."""

from __future__ import annotations

from typing import Final

from router.contracts import Record, Row
from router.engine.delivery.row_transitions import BEFORE
from router.engine.delivery.supersession_rules import HELD
from router.exchange import State

ORDER: Final = "order"
"""Header: the order of a person that a command belongs to; it commands a delivery once, however often it is written."""
SEEN: Final = "seen"
"""Header: the delivery as the person saw it (`as_seen`); a command about one that has changed since is refused."""
_REMEMBERED: Final = 20


def as_seen(row: Row) -> str:
    """What a person who commands must have seen of this row; "" for one that still waits, which changes by itself."""
    if row.state is State.DEAD:
        return f"dead {row.attempts} {row.last_try or row.updated:.3f}"
    if row.state is State.SUPERSEDED and BEFORE in row.evidence:
        return f"discarded {row.attempts}"
    return "held" if row.state is State.PARKED and row.code == HELD else ""


def order_mark(order: str) -> str:
    """In `Row.commands`: this order of a person was obeyed."""
    return f"order:{order}"


def ordered(row: Row, record: Record) -> tuple[str, ...]:
    """The row's last commands with one more; several may stand between two commits of the group's offset."""
    return (*row.commands, mark(record))[-_REMEMBERED:]


def mark(record: Record) -> str:
    """Which command: its order; else its place, and its time, for places come again when a topic is made anew."""
    if order := record.headers.get(ORDER, ""):
        return order_mark(order)
    return f"{record.origin}@{record.timestamp:.3f}"


def changed(record: Record, row: Row) -> str:
    """The code of a refusal, where the row is not what the person saw. A command that does not say it is obeyed."""
    seen = record.headers.get(SEEN)
    return "REPLAY-CHANGED" if seen is not None and seen != as_seen(row) else ""
