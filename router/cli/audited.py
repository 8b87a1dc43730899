"""What the commands write into the audit: the account that gave them, from the command line, and its role there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.config.account import account

if TYPE_CHECKING:
    from router.audit.event import Action, AuditEvent
    from router.engine.dead_letters.listing import DeadLetter
    from router.engine.dead_letters.operator_commands import Answer
    from router.runtime.site_services import SiteServices

CLI: Final = "cli"
_AT_ONCE: Final = 500


def event(services: SiteServices, action: Action, structure: str = "", *, reason: str = "") -> AuditEvent:
    """The beginning of a line: this account does that now, with the role that it has in this structure.

    structure: FINESS; "" for what belongs to none
    """
    from router.audit.event import AuditEvent
    from router.config.operators import operator

    who = account()
    return AuditEvent(
        at=services.clock.now(),
        who=who,
        action=action,
        role=operator(services.config.operators, who).role_in(structure),
        structure=structure,
        reason=reason,
        source=CLI,
    )


def record(
    services: SiteServices,
    action: Action,
    kind: str,
    objects: Mapping[str, str] | Iterable[str] = ("",),
    *,
    reason: str = "",
    detail: str = "",
    refused: bool = False,
) -> None:
    """One row for each object, durable when this returns. Raises `Unavailable`: then nothing must be done.

    objects: ids, with the structure (FINESS) of each where it belongs to one
    """
    owned = objects if isinstance(objects, Mapping) else dict.fromkeys(objects, "")
    _write(
        services,
        [
            replace(
                event(services, action, structure, reason=reason),
                kind=kind,
                object=one,
                refused=refused,
                detail=detail,
            )
            for one, structure in owned.items()
        ],
    )


def ordered(
    services: SiteServices,
    action: Action,
    object_: str,
    reason: str,
    found: Sequence[DeadLetter],
    *,
    refused: str = "",
) -> None:
    """An order about dead letters, before it is given: what was named, and how many of each structure that is.

    refused: why it is not given, "" when it is
    """
    counts = Counter(one.structure for one in found)
    _write(
        services,
        [
            replace(
                event(services, action, structure, reason=reason),
                kind="cause",
                object=object_ or "all",
                refused=bool(refused),
                detail=f"count={count} {refused}".strip(),
            )
            for structure, count in sorted(counts.items())
        ],
    )


def answered(services: SiteServices, action: Action, reason: str, told: Iterable[Answer]) -> None:
    """What became of the order: a row for each delivery, or event, refusals too."""
    _write(
        services,
        [
            replace(
                event(services, action, answer.dead_letter.structure, reason=reason),
                kind="event",
                object=answer.dead_letter.event_id,
                refused=not answer.accepted,
                detail=" ".join(filter(None, (f"delivery={answer.dead_letter.delivery_id}", answer.code))),
            )
            for answer in told
        ],
    )


def viewed(services: SiteServices, found: Iterable[DeadLetter], reason: str) -> None:
    """The content of these is about to be shown."""
    from router.audit.event import Action

    record(services, Action.VIEWED, "event", {one.event_id: one.structure for one in found}, reason=reason)


def patient_asked(services: SiteServices, names: Iterable[str]) -> None:
    """Somebody asks for a patient: his pseudonyms."""
    from router.audit.event import Action

    record(services, Action.SEARCHED, "patient", [" ".join(names)])


def _write(services: SiteServices, events: list[AuditEvent]) -> None:
    for start in range(0, len(events), _AT_ONCE):
        services.audit.record_all(events[start : start + _AT_ONCE])
