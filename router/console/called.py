"""Messages by what a person has of them: an MSH-10, the id of a document, of a delivery or of a mail."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from router.console import row_view, story_view
from router.console.row_view import Row
from router.console.visit import Visit
from router.journal.criteria import ANY
from router.journal.views import EventStory

MOST: Final = 20
_PSEUDONYM: Final = re.compile(r"(?:ps_)?([0-9a-f]{32})")


def called(visit: Visit, words: str, limit: int = MOST) -> list[EventStory]:
    """Those that are called so, newest first, of the structures that this person sees.

    Never by a patient's pseudonym: that is a search, which is audited.
    """
    text = words.strip()
    found = visit.tools.services.journal.story(text, limit, replace(ANY, within=visit.structures))
    if bare := _PSEUDONYM.fullmatch(text.lower()):
        return [one for one in found if _has(one, bare[1])]
    return found


def row(visit: Visit, story: EventStory) -> Row:
    """As a list shows it."""
    type_ = row_view.type_of(story.event, visit.tools.services.value_sets)
    legs = tuple(one.leg for one in story_view.verdicts(story) if not one.answer)
    return Row(event=story.event, type=type_, legs=legs)


def _has(story: EventStory, id_: str) -> bool:
    """Whether this is the message's own id, its beginning, or that of a delivery."""
    return story.event.event_id.startswith(id_) or any(one.delivery_id == id_ for one in story.deliveries)
