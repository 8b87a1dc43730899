"""Safe by default, and said so (decisions D12): what a site file may not run with. `check` and `run` call `refusals`.

One function, so that both say the same sentences. It is apart from the reading of the file, so that commands that
only look go on working on a site that has to be mended. The administration port is no listener: it takes nothing in,
and what it shows names nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from router.bus.settings import KafkaConfig
from router.config.demonstration import demonstrations
from router.errors import Problem, in_order
from router.gateway.settings import loopback
from router.language import filled
from router.sinks.certificates import structure_of
from router.sinks.registry import SINK_TYPES

if TYPE_CHECKING:
    from router.config.reading import Reading
    from router.config.site import Site, SiteFile
    from router.config.site_models import FeedConfig, SiteConfig
    from router.gateway.settings import HttpConfig, MllpConfig


def refusals(site: Site | SiteFile) -> list[Problem]:
    """Every reason for which this site must not run, in the order of the file."""
    source, config = site.source, site.config
    found = [*_certificates(source, config), *_http(source, config), *_console(source, config)]
    if not source.lost(["environment"]):
        found += _sinks(source, config)
        in_environment = [_listeners, _pseudonyms, demonstrations] if config.environment == "production" else [_named]
        found += [problem for rule in in_environment for problem in rule(source, config)]
    return in_order(found)


def shared_refusals(site: Site | SiteFile) -> list[Problem]:
    """Why this site must not run on several machines, each with a data folder of its own."""
    found = []
    if site.config.secret is None:
        text = "is required where several machines or pods share a site: each would hash one patient differently"
        found.append(site.source.problem(["secret"], text, "add `secret: {file: …}`"))
    return found


def in_container(site: Site | SiteFile) -> list[Problem]:
    """Listeners that nobody outside a container can reach: no sender, no probe, no scraper."""
    config = site.config
    hosts: list[tuple[list[str | int], str]] = [(["admin", "host"], config.admin.host)]
    if config.http is not None:
        hosts.append((["http", "host"], config.http.host))
    if config.console is not None:
        hosts.append((["console", "host"], config.console.host))
    hosts += [(["feeds", name, "mllp", "host"], feed.mllp.host) for name, feed in config.feeds.items() if feed.mllp]
    text = "is on the loopback, which nobody outside the container reaches"
    return [site.source.problem(path, text, "write `host: 0.0.0.0`") for path, host in hosts if loopback(host)]


# ------------------------------------------------------------------------------------------------ production


def _listeners(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """Every listener that another machine can reach has TLS and knows its clients."""
    for name, feed in site.feeds.items():
        lost = source.lost(["feeds", name, "mllp", "host"])
        if feed.mllp is not None and not lost and not loopback(feed.mllp.host):
            yield from _tls(source, ["feeds", name, "mllp"], feed.mllp)
            if feed.mllp.tls is not None and not _certified(feed, feed.mllp):
                text = "knows none of its clients: required in production"
                hint = "set `tls.client_ca`, and names in `tls.client_names` or the feed's `clients`"
                yield source.problem(["feeds", name, "mllp", "tls"], text, hint)
    if site.http is not None and not loopback(site.http.host) and not source.lost(["http", "host"]):
        yield from _tls(source, ["http"], site.http)


def _tls(source: Reading[SiteConfig], path: list[str | int], listener: MllpConfig | HttpConfig) -> Iterator[Problem]:
    if listener.tls is None and not source.lost([*path, "tls"]):
        text = filled("listens on {host} without TLS: required in production", host=listener.host)
        yield source.problem(path, text, "add `tls`, or listen on 127.0.0.1")


def _certified(feed: FeedConfig, listener: MllpConfig | HttpConfig) -> bool:
    """Whether a client shows a certificate, of a name that the site file gives."""
    asked = listener.tls is not None and listener.tls.client_ca is not None
    return asked and bool(feed.clients or (listener.tls is not None and listener.tls.client_names))


def _known(feed: FeedConfig, http: HttpConfig, *, shared: bool) -> bool:
    """A token or names of its own, API tokens; those of the port when no other feed is behind it."""
    if feed.token is not None or feed.clients or http.api_tokens:
        return True
    return not shared and (http.token is not None or _certified(feed, http))


def _sinks(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """What the type of each sink forbids in this environment."""
    for name, sink in site.sinks.items():
        for found in SINK_TYPES[sink.type].unsafe(sink, site.environment):
            yield source.problem(["sinks", name, *found.key.split(".")], found.text, found.hint)


def _pseudonyms(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """On Kafka other machines may join: all must hash a patient in the same way."""
    if isinstance(site.bus, KafkaConfig) and site.secret is None and not source.lost(["secret"]):
        text = "is required in production with Kafka: a second machine would hash one patient differently"
        yield source.problem(["secret"], text, "add `secret: {file: …}`")


# --------------------------------------------------------------------------------------------- qualification


def _named(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """In qualification nothing leaves the machine to an address that the site file does not name."""
    directory = site.directory
    asked = any(SINK_TYPES[sink.type].directory for sink in site.sinks.values())
    unsaid = "source" not in directory.liste_blanche.model_fields_set
    if asked and unsaid and not source.lost(["directory", "liste_blanche", "source"]):
        text = "must be named in qualification: nothing is asked of an address that this file does not name"
        yield source.problem(["directory", "liste_blanche", "source"], text, "an address, or the path of a file")
    unsaid = directory.fhir is not None and "url" not in directory.fhir.model_fields_set
    if unsaid and not source.lost(["directory", "fhir", "url"]):
        text = "must be named in qualification: nothing is asked of an address that this file does not name"
        yield source.problem(["directory", "fhir", "url"], text)


# --------------------------------------------------------------------------------------------------- always


def _http(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """Whoever sends by HTTP from another machine is known to the feed; the port refuses all others at runtime too."""
    if site.http is None or loopback(site.http.host) or source.lost(["http", "host"]):
        return
    shared = sum(feed.http for feed in site.feeds.values()) > 1
    for name, feed in site.feeds.items():
        if feed.http and not source.lost(["feeds", name, "token"]) and not _known(feed, site.http, shared=shared):
            text = "knows none of its HTTP clients: required on anything but the loopback"
            hint = "give the feed a `token` or `clients` of its own, or write `http: {api_tokens: true}`"
            yield source.problem(["feeds", name, "http"], text, hint)


def _console(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """Passwords and identities never cross a network in clear, in qualification neither."""
    console = site.console
    if console is None:
        return
    outside = not loopback(console.host) and not source.lost(["console", "host"])
    if outside and console.tls is None and not source.lost(["console", "tls"]):
        text = filled("listens on {host} without TLS: passwords would pass in clear", host=console.host)
        yield source.problem(["console"], text, "add `tls`, or listen on 127.0.0.1")
    if console.oidc is not None and console.address is None and not source.lost(["console", "address"]):
        text = "is required with `oidc`: the identity provider sends people back to it"
        yield source.problem(["console", "address"], text, "add `address: https://…`")
    addresses: dict[tuple[str, ...], str] = {("address",): console.address or ""}
    addresses |= {("oidc", "issuer"): console.oidc.issuer} if console.oidc is not None else {}
    for path, address in addresses.items():
        if site.environment == "production" and address.startswith("http:"):
            text = "is not encrypted: required in production"
            yield source.problem(["console", *path], text, "write `https://…`")


def _certificates(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """The certificates of a sink that speaks for one structure are that structure's (decisions D11, dmp §7)."""
    for structure in site.structures.values():
        for kind in SINK_TYPES.values():
            instance = structure.sink_of(kind.name)
            if not kind.one_structure or instance not in site.sinks:
                continue
            for key, certificate in kind.certificates(site.sinks[instance]).items():
                named = structure_of(certificate)
                if named and named != structure.id_nat:
                    text = filled(
                        "is the certificate of structure {named}, not of {own}, which this sink speaks for",
                        named=named,
                        own=structure.id_nat,
                    )
                    yield source.problem(["sinks", instance, *key.split(".")], text)
