"""Content behind glass: a reason opens one message for a quarter of an hour, and stands in the audit before it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from router.audit.event import Action
from router.console.free_text import named_person
from router.journal.views import EventSummary
from router.language import N_, _

if TYPE_CHECKING:
    from router.console.visit import Visit

SECONDS: Final = 15 * 60.0
"""How long a content stays open after its reason was given."""
REASONS: Final[Mapping[str, str]] = {
    "call": N_("a call from a professional or a patient"),
    "failure": N_("a failure to understand"),
    "identity": N_("an identity to verify"),
    "test": N_("a test or the setting up of a feed"),
    "request": N_("a request of the data protection officer or of justice"),
}
_LEAST: Final = 10


def _key(event_id: str) -> str:
    return f"open:{event_id[:32]}"


def until(visit: Visit, event_id: str) -> float | None:
    """Until when this session may look at this content; None when it may not."""
    key = _key(event_id)
    if visit.session is None or not visit.session.until(key, visit.tools.clock.now()):
        return None
    return float(visit.session.values[key] or 0)


def faults(reason: str, text: str) -> dict[str, str]:
    """What is wrong with a reason, by field."""
    found = {}
    if reason not in REASONS:
        found["reason"] = _("Choose a reason.")
    if len(text.strip()) < _LEAST:
        found["text"] = _("Say in ten characters or more what you need it for.")
    elif fault := named_person(text):
        found["text"] = fault
    return found


def written(reason: str, text: str) -> str:
    """A reason as the audit keeps it."""
    return f"{reason}: {text[:300]}"


def open_it(visit: Visit, event: EventSummary, reason: str, text: str) -> None:
    """From now on this session sees the content. Raises `Unavailable` when the audit can't be written: then not."""
    visit.record(
        Action.VIEWED, kind="event", of=event.event_id, structure=event.structure, reason=written(reason, text)
    )
    now, session = visit.tools.clock.now(), visit.session
    values: dict[str, float | None] = {
        key: None
        for key in (session.values if session is not None else ())
        if key.startswith("open:") and session is not None and not session.until(key, now)
    }
    visit.tools.access.sessions.put(visit.cookie, **{**values, _key(event.event_id): now + SECONDS})


def shut(visit: Visit, event_id: str) -> None:
    """Hide it again."""
    visit.tools.access.sessions.put(visit.cookie, **{_key(event_id): None})
