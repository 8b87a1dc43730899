"""The rule of two persons on the command line: no second one is there, so what needs one is left to the console.

What one account orders within the hour counts together, also with what it, or a person of its name, orders in the
console or by the API (`router.access.ordered`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from router.cli import audited
from router.cli.output import Exit, fail
from router.config.account import account
from router.language import _

if TYPE_CHECKING:
    from router.audit.event import Action
    from router.engine.dead_letters.listing import DeadLetter
    from router.engine.dead_letters.operator_commands import Answer
    from router.runtime.site_services import SiteServices


def need_alone(services: SiteServices, action: Action, found: Sequence[DeadLetter]) -> None:
    """Fails with a sentence when so many need a second person: before anybody is asked whether he is sure."""
    limit = services.config.operators.second_person_above
    if limit is not None:
        lately = services.access.ordered.lately(_me(services), action)
        if len(found) + lately > limit:
            _refused(services, action, found, limit, lately)


def begun(
    services: SiteServices, action: Action, object_: str, reason: str, found: Sequence[DeadLetter], *, dry_run: bool
) -> Callable[[Iterable[Answer]], None]:
    """The order of these begins: it is counted and stands in the audit. Returns what takes its answers.

    object_: what was named, for the audit. Fails with a sentence when it needs a second person, for another order of
    the same account began meanwhile. Raises `Unavailable`: then nothing must be ordered.
    """
    if dry_run or not found:
        return lambda _: None
    order, limit, counted = f"{audited.CLI}:{secrets.token_hex(8)}", services.config.operators.second_person_above, None
    if limit is not None:
        counted = services.access.ordered
        if not counted.alone(order, _me(services), action, len(found), limit):
            _refused(services, action, found, limit, counted.lately(_me(services), action))
    audited.ordered(services, action, object_, reason, found)

    def note(told: Iterable[Answer]) -> None:
        answers = list(told)
        audited.answered(services, action, reason, answers)
        if counted is not None:
            counted.came_to(order, sum(answer.accepted for answer in answers))

    return note


def _me(services: SiteServices) -> str:
    from router.config.operators import operator

    return operator(services.config.operators, account()).id


def _refused(services: SiteServices, action: Action, found: Sequence[DeadLetter], limit: int, lately: int) -> NoReturn:
    audited.ordered(services, action, "", "", found, refused=f"lately={lately} second-person")
    text = _("more than {limit} dead letters need a second person: order them in the console", limit=limit)
    if len(found) <= limit:
        text = _(
            "within the hour you ordered {lately}; with these ({count}) they are more than {limit}, which need a "
            "second person: order these in the console",
            lately=lately,
            count=len(found),
            limit=limit,
        )
    fail(text, Exit.BAD)
