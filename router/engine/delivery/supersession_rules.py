"""Who overtakes whom (decisions D1), as pure functions on ledger rows.

A *deletion* waits only for an attempt that is in flight. Every earlier delivery of its document that was not
made becomes superseded, in all lanes of the sink: the commonest deletion is a document filed under the wrong
patient, and every minute counts. An earlier deletion gives way only in its own lane: two recipients must both
hear of it.

A *replacement* waits behind a predecessor in flight or of unknown outcome, and supersedes one that is
dead-lettered for the same destination. A dead letter for another destination stays one: the replacement does not go
there, so nothing else would say that this address is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from router.contracts import Ledger, Row
from router.exchange import Delivery, State, same_structure

DELETE: Final = "delete"
REPLACE: Final = "replace"
INITIAL: Final = "initial"

HELD: Final = "UNKNOWN-HELD"
"""Code of a row whose unknown outcome waits for a person."""

NOT_MADE: Final = frozenset({State.READY, State.WAITING, State.PARKED, State.UNKNOWN, State.DEAD})
"""States in which nothing is in flight and nothing is known to have been done."""

FINAL: Final = frozenset({State.DONE, State.SUPERSEDED, State.DEAD})


class Effect(Enum):
    """What the arrival of a deletion or of a replacement does to an earlier delivery."""

    NONE = "none"
    SUPERSEDES = "supersedes"
    WAITS = "waits"


def overtaker(delivery: Delivery) -> bool:
    """Whether this delivery can overtake anything: a deletion or a replacement of a document."""
    return delivery.action in (DELETE, REPLACE)


def concerns(new: Delivery, old: Delivery) -> bool:
    """Whether `new` is about the document of `old`: same structure and lineage, or the document it names or replaces.

    Patient and structure of a deletion are those of the deposit (decisions D1).
    """
    if not old.action or new.event_id == old.event_id or new.sink != old.sink:
        return False
    if not same_structure(new.structure, old.structure):
        return False
    if new.lineage and new.lineage == old.lineage:
        return True
    return bool(old.document) and old.document in (new.replaces, new.document)


def later(a: Row, b: Row) -> bool:
    """Whether `a` came after `b`.

    Under one key the topic of a sink has them in order. Under two, in two topics, and for what a person sent again, it
    counts when their events were accepted. Rows of a topic that was made anew since have negative offsets
    (`Ledger.outdate`).
    """
    one, other = a.delivery, b.delivery
    ordered = one.key == other.key and not (one.replay or other.replay)
    if one.sink == other.sink and a.partition == b.partition and (ordered or one.created == other.created):
        return a.sequence > b.sequence
    return one.created > other.created


def effect(new: Row, old: Row, *, in_flight: bool) -> Effect:
    """What `new` does to `old`. `in_flight`: an attempt of `old` is under way at this moment."""
    if not (overtaker(new.delivery) and concerns(new.delivery, old.delivery) and later(new, old)):
        return Effect.NONE
    if new.delivery.action == DELETE:
        return _deletion(new, old, in_flight)
    return _replacement(new, old, in_flight)


def _deletion(new: Row, old: Row, in_flight: bool) -> Effect:
    if old.delivery.action == DELETE and old.delivery.lane != new.delivery.lane:
        return Effect.NONE
    if in_flight:
        return Effect.WAITS
    return Effect.SUPERSEDES if old.state in NOT_MADE or old.state is State.BEGUN else Effect.NONE


def _replacement(new: Row, old: Row, in_flight: bool) -> Effect:
    if old.delivery.action == DELETE:
        return Effect.NONE
    same = old.delivery.destination == new.delivery.destination
    if old.state is State.DEAD and not in_flight:
        return Effect.SUPERSEDES if same else Effect.NONE
    pending = in_flight or unknown(old) or old.state is State.BEGUN
    other_lane = old.delivery.lane != new.delivery.lane  # within one lane the order of the lane is enough
    return Effect.WAITS if pending and other_lane and same else Effect.NONE


def unknown(row: Row) -> bool:
    """Whether it may have been made, and nobody knows yet: it will be verified or repeated, or a person decides."""
    return row.state is State.UNKNOWN or (row.state is State.PARKED and row.code == HELD)


def overtaken_by(row: Row, others: Iterable[Row]) -> Row | None:
    """The later version or deletion that makes `row` pointless once it is dead; None when there is none."""
    return next(
        (one for one in others if later(one, row) and concerns(one.delivery, row.delivery) and _pointless(row, one)),
        None,
    )


def outlived_by(row: Row, others: Iterable[Row]) -> Row | None:
    """The later version or deletion that supersedes `row`, which died after it came: `effect`, the other way round."""
    mine = row.delivery.destination
    return overtaken_by(
        row, (one for one in others if one.delivery.action == DELETE or one.delivery.destination == mine)
    )


def _pointless(old: Row, new: Row) -> bool:
    """A dead deletion is pointless after another deletion in its own lane, or when its document was published again.
    Anything else is pointless after whatever overtakes it."""
    if old.delivery.action != DELETE:
        return overtaker(new.delivery)
    if new.delivery.action == DELETE:
        return new.delivery.lane == old.delivery.lane
    same = (new.delivery.document, new.delivery.destination) == (old.delivery.document, old.delivery.destination)
    return same and new.state is State.DONE


def passable(delivery: Delivery) -> tuple[str, ...]:
    """The lineages to ask the ledger for before a document is published, for a deletion or a replacement may have
    passed it. Empty for any other delivery."""
    return lineages(delivery) if delivery.action and delivery.action != DELETE else ()


def passed_by(row: Row, others: Iterable[Row]) -> Row | None:
    """The deletion, or the replacement that was made, after which the effect of a document must not be made any more,
    whichever of the two came to this sink first."""
    known = [one for one in others if concerns(one.delivery, row.delivery)]
    return next((one for one in known if _passed(row, one) or _came_too_late(row, one, known)), None)


def _passed(old: Row, new: Row) -> bool:
    return later(new, old) and (new.delivery.action == DELETE or _made_for(old, new))


def _came_too_late(first: Row, new: Row, known: Iterable[Row]) -> bool:
    """Whether `first` is the first version of a document and comes after the replacement that names it was made.

    Unless the replacement was deleted since: then its sender publishes the document again.
    """
    if first.delivery.action != INITIAL or not first.delivery.document:
        return False
    if new.delivery.replaces != first.delivery.document or not _made_for(first, new):
        return False
    return not any(one.delivery.action == DELETE and one.state is State.DONE and later(one, new) for one in known)


def _made_for(old: Row, new: Row) -> bool:
    """Whether `new` is a replacement that reached the destination of `old`."""
    made = new.state is State.DONE and new.delivery.destination == old.delivery.destination
    return new.delivery.action == REPLACE and made


def versions(ledger: Ledger, delivery: Delivery) -> list[Row]:
    """What the ledger holds of a delivery's document in its sink, and of what it replaces or is replaced by."""
    found = (row for name in lineages(delivery) for row in ledger.lineage(delivery.sink, name))
    return list({row.delivery.id: row for row in found}.values())


def lineages(delivery: Delivery) -> tuple[str, ...]:
    """What to ask the ledger for: without a setId the lineage of a document is the document itself."""
    return tuple(dict.fromkeys(filter(None, (delivery.lineage, delivery.replaces, delivery.document))))
