"""Which structure each feed may speak for, and which sink speaks for each structure (decisions D11)."""

from __future__ import annotations

from collections.abc import Iterator

from router.access.person import EVERY
from router.config.console_models import Grants
from router.config.reading import Reading
from router.config.sentences import nearest
from router.config.site_models import FeedConfig, SiteConfig
from router.errors import Problem
from router.gateway.settings import HttpConfig, MllpConfig
from router.language import filled
from router.sinks.registry import SINK_TYPES
from router.structures import LENGTH


def speaking(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """What would let a message leave in the name of another structure, or of none."""
    known = [name.zfill(LENGTH) if name.isdigit() else name for name in source.names("structures")]
    for name, feed in site.feeds.items():
        for rank, finess in enumerate(feed.rules.structures):
            if finess not in known:
                yield source.problem(
                    ["feeds", name, "rules", "structures", rank],
                    filled("{finess} is not in `structures`", finess=finess),
                    nearest(finess, known),
                )
        unsaid = not feed.rules.structures and not source.lost(["feeds", name, "rules", "structures"])
        if feed.kind == "documents" and len(known) > 1 and unsaid and not source.lost(["feeds", name, "kind"]):
            text = "speaks for no structure: the site has several"
            yield source.problem(["feeds", name], text, "name them in `rules.structures`")
        if feed.rules.facilities:
            text = "is for the whole site"
            yield source.problem(["feeds", name, "rules", "facilities"], text, "write `facilities` beside `structures`")
        yield from _clients(source, site, name, feed)
    for facility, finess in site.facilities.items():
        if finess not in known:
            text = filled("{finess} is not in `structures`", finess=finess)
            yield source.problem(["facilities", facility], text, nearest(finess, known))
    yield from _sinks(source, site)
    for path, grants in _grants(site):
        for finess in grants:
            if finess not in (EVERY, *known):
                text = filled("{finess} is not in `structures`", finess=finess)
                yield source.problem([*path, finess], text, nearest(finess, known), severity="warning")


def _grants(site: SiteConfig) -> Iterator[tuple[list[str | int], Grants]]:
    """Every place where the site file gives rights to people."""
    for account, grants in (site.operators.accounts or {}).items():
        yield ["operators", "accounts", account], grants
    if site.console is not None and site.console.oidc is not None:
        for group, grants in site.console.oidc.groups.items():
            yield ["console", "oidc", "groups", group], grants


def _clients(source: Reading[SiteConfig], site: SiteConfig, name: str, feed: FeedConfig) -> Iterator[Problem]:
    """Names of certificates that nobody asks for, and structures that the feed itself may not speak for."""
    if feed.token is not None and not feed.http and not source.lost(["feeds", name, "http"]):
        yield source.problem(["feeds", name, "token"], "is for HTTP, which this feed does not take", "add `http: true`")
    if not feed.clients:
        return
    listeners: list[tuple[str, MllpConfig | HttpConfig]] = [("mllp", feed.mllp)] if feed.mllp is not None else []
    if feed.http and site.http is not None:
        listeners.append(("http", site.http))
    for what, listener in listeners:
        tls = ["http", "tls"] if what == "http" else ["feeds", name, "mllp", "tls"]
        if source.lost(tls) or source.lost([*tls, "client_ca"]):
            continue
        if listener.tls is None or listener.tls.client_ca is None:
            text = filled("needs client certificates on {listener}", listener=what)
            yield source.problem(["feeds", name, "clients"], text, "set `tls` with `client_ca` there")
    own = feed.rules.structures or tuple(site.structures)
    if source.lost(["feeds", name, "rules", "structures"]):
        return
    for client, structures in feed.clients.items():
        for rank, finess in enumerate(structures):
            if finess not in own:
                text = filled("{finess} is not one that this feed may speak for", finess=finess)
                yield source.problem(["feeds", name, "clients", client, rank], text)


def _sinks(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """Two structures on one sink whose certificates are one structure's."""
    for kind in SINK_TYPES.values():
        first: dict[str, str] = {}
        for finess, structure in site.structures.items() if kind.one_structure else ():
            instance = structure.sink_of(kind.name)
            other = first.setdefault(instance, finess) if instance else finess
            if other != finess:
                text = filled(
                    "{sink} is already that of {finess}: a {code} sink speaks for one structure",
                    sink=instance,
                    finess=other,
                    code=kind.code,
                )
                yield source.problem(["structures", finess, kind.name], text, "give each its own sink and certificates")
