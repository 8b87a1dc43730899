"""What the account that gives a command may do (`operators` of the site file): asked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.cli.output import console, fail, said
from router.config.account import account
from router.language import _, plural

if TYPE_CHECKING:
    from router.config.site_models import SiteConfig
    from router.engine.dead_letters.listing import DeadLetter
    from router.runtime.site_services import SiteServices


def need_administrator(config: SiteConfig) -> None:
    """Fails with a sentence unless the account may give accounts and tokens."""
    from router.config.operators import may_administer

    if not may_administer(config.operators, account()):
        _lacking("administrator")


def need_withdrawal(config: SiteConfig, sink: str = "") -> None:
    """Fails with a sentence unless the account may withdraw documents; sink: of the structure whose document it is."""
    from router.config.operators import may_withdraw

    who = account()
    structures = [finess for finess, one in config.structures.items() if not sink or one.sink_of("dmp") == sink]
    if not any(may_withdraw(config.operators, who, finess) for finess in structures or [""]):
        right = f"operators: {{withdraw: [{who}]}}"
        fail(_("{who} may not withdraw documents: the site file grants it ({right})", who=who, right=right))


def operable(services: SiteServices, found: Sequence[DeadLetter], *, as_json: bool) -> list[DeadLetter]:
    """Those that the account may replay or discard. Fails with a sentence when it may none of them."""
    from router.access.person import EVERY, Role
    from router.config.operators import operator

    person = operator(services.config.operators, account())
    if person.may(Role.OPERATOR, EVERY):
        return list(found)
    if not any(held >= Role.OPERATOR for held in person.rights.values()):
        _lacking("operator")
    owners = services.journal.owners(one.event_id for one in found)
    allowed = [one for one in found if person.may(Role.OPERATOR, owners.get(one.event_id, ""))]
    left = len(found) - len(allowed)
    if found and not allowed:
        _lacking("operator")
    if left and not as_json:
        text = plural(
            "{count} of another structure is left out: you are no operator there",
            "{count} of other structures are left out: you are no operator there",
            left,
        )
        console.print(said(text), style="yellow")
    return allowed


def _lacking(role: str) -> None:
    who = account()
    right = f'operators: {{accounts: {{{who}: {{"*": {role}}}}}}}'
    fail(_("{who} may not do this: the site file grants it ({right})", who=who, right=right))
