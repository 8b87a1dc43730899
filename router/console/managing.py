"""Accounts and tokens that a person may manage: those that give nothing outside of the structures she administers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from router.access.accounts import Account
from router.access.person import EVERY, Role
from router.access.rights import folded, typed
from router.access.tokens import API_ACT, API_ADMINISTER, API_CONTENT, API_READ, Token
from router.audit.event import Action
from router.console.page import NotAllowed, NotHere
from router.console.visit import Visit
from router.runtime import grants

_OF_A_PERSON: Final = frozenset({API_READ, API_CONTENT, API_ACT, API_ADMINISTER})
"""What an account may ask for: it has no scopes."""


def accounts(visit: Visit) -> list[Account]:
    """By name."""
    return [one for one in visit.tools.access.accounts.all() if manages(visit, one.rights)]


def account(visit: Visit, name: str) -> Account:
    """Raises `NotHere` for one that gives a right where this person is no administrator."""
    found = next((one for one in accounts(visit) if one.name == folded(name)), None)
    if found is None:
        raise NotHere
    return found


def tokens(visit: Visit) -> list[Token]:
    """By name; those that are revoked or at their end too."""
    return [one for one in visit.tools.access.tokens.all() if manages(visit, one.rights, one.feeds)]


def token(visit: Visit, id_: str) -> Token:
    """Raises `NotHere` for one that gives a right, or sends to a feed, where this person is no administrator."""
    found = next((one for one in tokens(visit) if one.id == id_), None)
    if found is None:
        raise NotHere
    return found


def manages(visit: Visit, rights: Mapping[str, Role], feeds: Iterable[str] = ()) -> bool:
    """Whether all that this gives is in structures that the person administers. What gives nothing is the site's."""
    mine = visit.person.structures(Role.ADMINISTRATOR)
    if mine is None:
        return True
    given = {*rights, *structures_of(visit, feeds)}
    return bool(given) and given <= mine


def known(visit: Visit) -> grants.Known:
    """What this person may name where she gives something: of the structures that she administers alone."""
    config, mine = visit.tools.services.config, visit.person.structures(Role.ADMINISTRATOR)
    every = grants.known(config)
    return grants.Known(
        structures=tuple(one for one in every.structures if mine is None or one in mine),
        feeds=tuple(one for one in every.feeds if manages(visit, {}, (one,))),
        quoted=False,
    )


def may_give(visit: Visit, rights: Mapping[str, Role], scopes: Collection[str], feeds: Iterable[str] = ()) -> None:
    """Raises `NotAllowed` for what this person does not manage; for a scope of the API that this program lacks."""
    if not manages(visit, rights, feeds):
        raise NotAllowed
    held = visit.person.scopes
    if held is not None and not _OF_A_PERSON & {*scopes} <= held:
        raise NotAllowed


def may_give_account(visit: Visit, rights: Mapping[str, Role]) -> None:
    """The same for an account, which may ask for everything that its role gives. Raises `NotAllowed`."""
    may_give(visit, rights, _OF_A_PERSON)


def note(visit: Visit, action: Action, name: str, structures: Iterable[str], what: str) -> None:
    """A line of the audit for each structure (FINESS or `*`), before it is done.

    Raises `Unavailable`: then nothing must be done.
    """
    kind = "account" if action is Action.ACCOUNT else "token"
    for structure in sorted("" if one == EVERY else one for one in {*structures}) or [""]:
        visit.record(action, kind=kind, of=name, structure=structure, detail=what)


def structures_of(visit: Visit, feeds: Iterable[str]) -> frozenset[str]:
    """FINESS numbers for which these feeds work; every one, and `*`, for a feed that the site has no more."""
    return frozenset(finess for feed in feeds for finess in _structures(visit, feed))


def told(rights: Mapping[str, Role]) -> str:
    """Rights as they stand in the audit."""
    return typed(rights) or "-"


def _structures(visit: Visit, feed: str) -> Iterable[str]:
    """FINESS numbers for which a feed works; every one for a feed that the site has no more."""
    config = visit.tools.services.config
    found = config.feeds.get(feed)
    return (found.rules.structures if found is not None else ()) or (*config.structures, EVERY)
