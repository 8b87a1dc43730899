"""What the account that gives a command may do (`operators` of the site file): asked before anything is done.

A refusal stands in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from router.audit.event import Action
from router.cli import audited
from router.cli.output import console, fail, said
from router.cli.two_people import need_alone
from router.config.account import account
from router.language import _, plural

if TYPE_CHECKING:
    from router.access.person import Role
    from router.engine.dead_letters.listing import DeadLetter
    from router.runtime.site_services import SiteServices


def need_administrator(services: SiteServices, action: Action, kind: str, object_: str = "") -> None:
    """Fails with a sentence unless the account is an administrator of the site.

    kind, object_: of what, as the audit names it
    """
    from router.config.operators import may_administer

    if not may_administer(services.config.operators, account()):
        audited.record(services, action, kind, [object_], refused=True)
        _lacking("administrator")


def need_role(services: SiteServices, role: Role, action: Action, kind: str, owned: Mapping[str, str]) -> None:
    """Fails with a sentence unless the account has this role in the structure of each thing.

    owned: its id -> FINESS, "" where no structure is known: then the role is asked for in all of them
    """
    from router.config.operators import operator

    person = operator(services.config.operators, account())
    closed = {one: finess for one, finess in owned.items() if not person.may(role, finess)}
    if closed:
        audited.record(services, action, kind, closed, refused=True)
        structures = set(closed.values())
        _lacking(role.name.lower(), structures.pop() if len(structures) == 1 else "")


def audited_structures(services: SiteServices, structure: str) -> tuple[str, ...] | None:
    """Of which structures the account may read the audit, among those asked for ("" for all); None: of all.

    Fails with a sentence when of none.
    """
    from router.config.operators import administered

    mine = administered(services.config.operators, account())
    if mine is None:
        return (structure,) if structure else None
    found = tuple(sorted(mine & {structure} if structure else mine))
    if not found:
        audited.record(services, Action.VIEWED, "audit", {"": structure}, refused=True)
        _lacking("administrator", structure)
    return found


def need_withdrawal(services: SiteServices, document: str, reason: str, structure: str | None = None) -> None:
    """Fails with a sentence unless the account may withdraw documents.

    structure: FINESS of the one whose document it is, "" for none. None: not known yet, then of any structure
    """
    from router.config.operators import may_withdraw

    who, config = account(), services.config
    structures = [*config.structures, ""] if structure is None else [structure]
    if not any(may_withdraw(config.operators, who, finess) for finess in structures):
        owned = {document: structure or ""}
        audited.record(services, Action.WITHDRAWN, "document", owned, reason=reason, refused=True)
        right = f"operators: {{withdraw: [{who}]}}"
        fail(_("{who} may not withdraw documents: the site file grants it ({right})", who=who, right=right))


def withdrawable(services: SiteServices) -> frozenset[str] | None:
    """The structures whose documents the account may withdraw; None: those of all."""
    from router.access.person import Role
    from router.config.operators import operator

    config = services.config.operators
    return None if account() in config.withdraw else operator(config, account()).structures(Role.ADMINISTRATOR)


def operable(
    services: SiteServices, action: Action, found: Sequence[DeadLetter], *, as_json: bool = False, ordered: bool = True
) -> list[DeadLetter]:
    """Those that the account may replay or discard. Fails with a sentence when it may none of them.

    ordered: whether it orders them: as many as the site wants two people for are an order of the console
    """
    allowed = _allowed(services, action, found, as_json=as_json)
    if ordered:
        need_alone(services, action, allowed)
    return allowed


def _allowed(services: SiteServices, action: Action, found: Sequence[DeadLetter], *, as_json: bool) -> list[DeadLetter]:
    from router.access.person import EVERY, Role
    from router.config.operators import operator

    person = operator(services.config.operators, account())
    if person.may(Role.OPERATOR, EVERY):
        return list(found)
    owners = services.journal.owners(one.event_id for one in found)
    allowed = [one for one in found if person.may(Role.OPERATOR, owners.get(one.event_id, ""))]
    left = [one for one in found if not person.may(Role.OPERATOR, owners.get(one.event_id, ""))]
    if left:
        closed = {one.event_id: owners.get(one.event_id, "") for one in left}
        audited.record(services, action, "event", closed, refused=True)
    if not allowed:
        _lacking("operator")
    if left and not as_json:
        text = plural(
            "{count} of another structure is left out: you are no operator there",
            "{count} of other structures are left out: you are no operator there",
            len(left),
        )
        console.print(said(text), style="yellow")
    return allowed


def viewable(services: SiteServices, found: Sequence[DeadLetter]) -> None:
    """Fails with a sentence unless the account may see the content of each of these."""
    from router.access.person import Role

    owners = services.journal.owners(one.event_id for one in found)
    owned = {one.event_id: owners.get(one.event_id, "") for one in found}
    need_role(services, Role.READER, Action.VIEWED, "event", owned)


def _lacking(role: str, structure: str = "") -> NoReturn:
    who = account()
    right = f'operators: {{accounts: {{{who}: {{"{structure or "*"}": {role}}}}}}}'
    fail(_("{who} may not do this: the site file grants it ({right})", who=who, right=right))
