"""Rights and tokens that make sense on a site: the same check for the command line and the API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.access import rights as rights_of
from router.access.person import EVERY, Role
from router.access.tokens import FEED_SEND, SCOPES
from router.config.site_models import SiteConfig
from router.errors import OperatorFault
from router.language import N_, T_, filled

_STRUCTURE: Final = T_("{name} is no structure of this site (it has {known})")
_NOT_ONE: Final = T_("what stands here is none of those that you may name: {known}")
_SCOPE: Final = T_("no scope is named {name} (one of {known})")
_FEED: Final = T_("no feed {name} takes messages by HTTP (one of {known})")
_NO_FEED: Final = N_("a token that sends messages names its feeds: --feed NAME")
_NO_RIGHT: Final = N_("a token for the API has a role in a structure: --right FINESS=ROLE")


@dataclass(frozen=True, slots=True)
class Known:
    """What may be named, and is told to who named something else. structures: FINESS;  feeds: those by HTTP
    quoted: whether the answer says again what was named
    """

    structures: tuple[str, ...]
    feeds: tuple[str, ...]
    quoted: bool = True


def known(config: SiteConfig) -> Known:
    """Everything of the site: for its command line."""
    return Known(tuple(config.structures), tuple(name for name, feed in config.feeds.items() if feed.http))


def rights(site: Known, pairs: Iterable[tuple[str, str]]) -> dict[str, Role]:
    """(FINESS or `*`, name of a role) -> rights. Raises `OperatorFault` (`ACCESS-STRUCTURE`, `ACCESS-ROLE`)."""
    found = rights_of.rights(pairs)
    possible(site, found)
    return found


def possible(site: Known, held: Iterable[str]) -> None:
    """Raises `OperatorFault` (`ACCESS-STRUCTURE`) for a structure that can't be named."""
    for finess in held:
        if finess != EVERY and finess not in site.structures:
            raise OperatorFault("ACCESS-STRUCTURE", "", _told(_STRUCTURE, finess, site.structures, site))


def usable(site: Known, scopes: Collection[str], feeds: Collection[str], held: Mapping[str, Role]) -> None:
    """Raises `OperatorFault` (`ACCESS-…`) for what a token of these could never be used for."""
    for scope in scopes:
        if scope not in SCOPES:
            raise OperatorFault("ACCESS-SCOPE", "", filled(_SCOPE, name=repr(scope), known=", ".join(SCOPES)))
    for name in feeds:
        if name not in site.feeds:
            raise OperatorFault("ACCESS-FEED", "", _told(_FEED, name, site.feeds, site))
    if FEED_SEND in scopes and not feeds:
        raise OperatorFault("ACCESS-FEED", "", _NO_FEED)
    if set(scopes) - {FEED_SEND} and not held:
        raise OperatorFault("ACCESS-RIGHT", "", _NO_RIGHT)


def _told(text: str, name: str, names: tuple[str, ...], site: Known) -> str:
    known = ", ".join(names) or "-"
    return filled(text, name=repr(name), known=known) if site.quoted else filled(_NOT_ONE, known=known)
