"""A person from the claims of the identity provider: name, how others know her, and rights by her groups."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from router.access import rights as rights_of
from router.access.faults import LoginRefused
from router.access.person import Person, Role
from router.config.console_models import OidcConfig
from router.config.operators import rights_of as granted
from router.language import N_, T_, filled
from router.printable import printable

NAME: Final = T_(
    "the identity provider names you in a way that can't be used (claim {what}): tell whoever runs the router"
)
GROUPS: Final = N_("none of your groups gives you access here: ask whoever runs the router")
_KIND: Final = "oidc:"
"""Begins id and name: a local account may have the same name."""
_SHOWN: Final = 80


def person(config: OidcConfig, claims: Mapping[str, Any]) -> Person:
    """Raises `LoginRefused`: `LOGIN-OIDC-NAME` for no name or one that is none, `LOGIN-OIDC-GROUPS` for no rights."""
    said = claim(claims, config.name_claim)
    name = rights_of.folded(said) if isinstance(said, str) else ""
    if not rights_of.plain(name) or name in rights_of.RESERVED:
        raise LoginRefused("LOGIN-OIDC-NAME", filled(NAME, what=config.name_claim))
    shown = claim(claims, config.shown_claim)
    held = rights(config, groups(claims, config.groups_claim))
    if not held:
        raise LoginRefused("LOGIN-OIDC-GROUPS", GROUPS)
    return Person(
        id=identity(config, claims),
        name=f"{_KIND}{name}",
        shown=printable(shown)[:_SHOWN] if isinstance(shown, str) else name,
        rights=held,
    )


def identity(config: OidcConfig, claims: Mapping[str, Any]) -> str:
    """`Person.id`: of issuer and subject: the provider gives the two together to nobody else.

    Raises `LoginRefused` (`LOGIN-OIDC-NAME`).
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise LoginRefused("LOGIN-OIDC-NAME", filled(NAME, what="sub"))
    return _KIND + hashlib.sha256(f"{config.issuer}\0{subject}".encode()).hexdigest()[:40]


def rights(config: OidcConfig, names: frozenset[str]) -> dict[str, Role]:
    """The highest role that any of these groups gives, by structure."""
    held: dict[str, Role] = {}
    for group, grants in config.groups.items():
        if group in names:
            for structure, role in granted(grants).items():
                held[structure] = max(role, held.get(structure, role))
    return held


def groups(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Names of groups, as they are said; Keycloak writes a path: `/DIM` is also `DIM`."""
    said = claim(claims, name)
    listed = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    found = [one for one in listed if isinstance(one, str)]
    return frozenset([*found, *(one.removeprefix("/") for one in found)])


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names with points (`realm_access.roles`); None when it is not said."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
