"""Other messages about the same document: the first version, what replaced it, what deleted it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.console.desk import DeadLetterDesk
from router.console.row_view import Leg, leg
from router.contracts import Row
from router.errors import Unavailable
from router.journal.criteria import ANY
from router.journal.store import Journal
from router.journal.views import EventStory, EventSummary
from router.language import N_

MOST: Final = 20
"""Versions that are listed; the newest."""
DID: Final[Mapping[str, str]] = {
    "initial": N_("first version"),
    "replace": N_("replaces the version before"),
    "delete": N_("deletes the document"),
}
_ANSWER: Final = "ZAM^"


@dataclass(frozen=True, slots=True)
class Version:
    """did: a marked text, what the message did to the document;  here: whether it is the message that is looked at"""

    event: EventSummary
    did: str
    legs: tuple[Leg, ...]
    here: bool


def versions(
    journal: Journal, desk: DeadLetterDesk, story: EventStory, within: frozenset[str] | None
) -> tuple[Version, ...]:
    """All that are known, oldest first; none when there is no other one. Others' structures are left out.

    The journal knows them by the family (setId) and by the document; a sender without setId links a version to its
    parent only, which the ledger knows as long as it keeps the deliveries.
    """
    wanted = replace(ANY, within=within)
    names = [*filter(None, (story.lineage, *story.documents)), *_neighbours(desk, story)]
    found = {story.event.event_id: story}
    for name in dict.fromkeys(names):
        for one in journal.story(name, MOST, wanted):
            if one.event.action in DID or one.event.event_id == story.event.event_id:
                found.setdefault(one.event.event_id, one)
    newest = sorted(found.values(), key=lambda one: one.event.received)[-MOST:]
    if len(newest) < 2:
        return ()
    return tuple(_version(one, here=one is story) for one in newest)


def _version(story: EventStory, *, here: bool) -> Version:
    legs = tuple(leg(one) for one in story.deliveries if not one.label.startswith(_ANSWER))
    return Version(story.event, DID.get(story.event.action, ""), legs, here)


def _neighbours(desk: DeadLetterDesk, story: EventStory) -> Iterator[str]:
    """Event ids of deliveries about the same document, its parent or its successor, as the ledger knows them."""
    try:
        own = desk.rows(one.delivery_id for one in story.deliveries)
        yield from dict.fromkeys(_events(desk, own.values()))
    except Unavailable:
        return


def _events(desk: DeadLetterDesk, rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        one = row.delivery
        for name in dict.fromkeys(filter(None, (one.lineage, one.document, one.replaces))):
            yield from (other.delivery.event_id for other in desk.lineage(one.sink, name))
