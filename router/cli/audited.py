"""What the commands write into the audit: the account that gave them, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from router.config.account import account

if TYPE_CHECKING:
    from router.audit.event import Action, AuditEvent
    from router.engine.dead_letters.listing import DeadLetter
    from router.engine.dead_letters.operator_commands import Answer
    from router.runtime.site_services import SiteServices

CLI: Final = "cli"
_AT_ONCE: Final = 500


def record(
    services: SiteServices,
    action: Action,
    kind: str,
    objects: Iterable[str] = ("",),
    *,
    reason: str = "",
    detail: str = "",
    refused: bool = False,
) -> None:
    """One row for each object, durable when this returns. Raises `Unavailable`: then nothing must be done."""
    from router.audit.event import AuditEvent

    said = AuditEvent(
        at=services.clock.now(),
        who=account(),
        action=action,
        kind=kind,
        reason=reason,
        source=CLI,
        refused=refused,
        detail=detail,
    )
    _write(services, [replace(said, object=one) for one in objects])


def ordered(
    services: SiteServices, action: Action, object_: str, reason: str, count: int
) -> Callable[[Iterable[Answer]], None]:
    """An order about dead letters, before it is given: what was named, and how many that is; 0 when none is given.

    Returns what writes the rows of its answers once they are there.
    """
    if not count:
        return lambda _: None
    record(services, action, "cause", [object_ or "all"], reason=reason, detail=f"count={count}")
    return partial(_answered, services, action, reason)


def _answered(services: SiteServices, action: Action, reason: str, told: Iterable[Answer]) -> None:
    """What became of the order: a row for each delivery, or event, refusals too."""
    from router.audit.event import AuditEvent

    now, who = services.clock.now(), account()
    _write(
        services,
        [
            AuditEvent(
                at=now,
                who=who,
                action=action,
                kind="event",
                object=answer.dead_letter.event_id,
                reason=reason,
                source=CLI,
                refused=not answer.accepted,
                detail=" ".join(filter(None, (f"delivery={answer.dead_letter.delivery_id}", answer.code))),
            )
            for answer in told
        ],
    )


def viewed(services: SiteServices, found: Iterable[DeadLetter], reason: str) -> None:
    """The content of these is about to be shown."""
    from router.audit.event import Action

    record(services, Action.VIEWED, "event", dict.fromkeys(one.event_id for one in found), reason=reason)


def patient_asked(services: SiteServices, names: Iterable[str]) -> None:
    """Somebody asks for a patient: his pseudonyms."""
    from router.audit.event import Action

    record(services, Action.SEARCHED, "patient", [" ".join(names)])


def _write(services: SiteServices, events: list[AuditEvent]) -> None:
    for start in range(0, len(events), _AT_ONCE):
        services.audit.record_all(events[start : start + _AT_ONCE])
