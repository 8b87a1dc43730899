"""Rights and tokens that make sense on a site: the same check for the command line and the API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from router.access import rights as rights_of
from router.access.person import EVERY, Role
from router.access.tokens import FEED_SEND, SCOPES
from router.config.site_models import SiteConfig
from router.errors import OperatorFault
from router.language import N_, T_, filled

_STRUCTURE: Final = T_("{name} is no structure of this site (it has {known})")
_SCOPE: Final = T_("no scope is named {name} (one of {known})")
_FEED: Final = T_("no feed {name} takes messages by HTTP (one of {known})")
_NO_FEED: Final = N_("a token that sends messages names its feeds: --feed NAME")
_NO_RIGHT: Final = N_("a token for the API has a role in a structure: --right FINESS=ROLE")


def rights(config: SiteConfig, pairs: Iterable[tuple[str, str]]) -> dict[str, Role]:
    """(FINESS or `*`, name of a role) -> rights. Raises `OperatorFault` (`ACCESS-STRUCTURE`, `ACCESS-ROLE`)."""
    found = rights_of.rights(pairs)
    for finess in found:
        if finess != EVERY and finess not in config.structures:
            known = ", ".join(config.structures) or "-"
            raise OperatorFault("ACCESS-STRUCTURE", "", filled(_STRUCTURE, name=repr(finess), known=known))
    return found


def usable(config: SiteConfig, scopes: Collection[str], feeds: Collection[str], held: Mapping[str, Role]) -> None:
    """Raises `OperatorFault` (`ACCESS-…`) for what a token of these could never be used for."""
    for scope in scopes:
        if scope not in SCOPES:
            raise OperatorFault("ACCESS-SCOPE", "", filled(_SCOPE, name=repr(scope), known=", ".join(SCOPES)))
    by_http = [name for name, feed in config.feeds.items() if feed.http]
    for name in feeds:
        if name not in by_http:
            raise OperatorFault("ACCESS-FEED", "", filled(_FEED, name=repr(name), known=", ".join(by_http)))
    if FEED_SEND in scopes and not feeds:
        raise OperatorFault("ACCESS-FEED", "", _NO_FEED)
    if set(scopes) - {FEED_SEND} and not held:
        raise OperatorFault("ACCESS-RIGHT", "", _NO_RIGHT)
