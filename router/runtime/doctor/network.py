"""Names, servers and ports: what the site file says, tried."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import urlsplit

from router.bus.settings import KafkaConfig
from router.config.site import Site
from router.contracts.peers import Peer
from router.database.examination import host_of
from router.directory import peers as directory
from router.errors import RouterError
from router.language import filled
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong
from router.runtime.doctor.probe import probe
from router.runtime.listeners import listeners, occupied
from router.sinks.registry import SINK_TYPES

T = TypeVar("T")
_NAMES: Final = 8.0
_PEERS: Final = 22.0
"""Seconds for all of them, side by side: a little less than the check has."""


def peers_of(site: Site) -> dict[str, Peer]:
    """Every server that the site file names and that has TCP: name of its place in the file -> the server."""
    config = site.config
    found: dict[str, Peer] = {}
    for name, sink in config.sinks.items():
        for peer in SINK_TYPES[sink.type].peers(sink):
            found[f"{name}/{peer.key}" if peer.key else name] = peer
    if any(SINK_TYPES[sink.type].directory for sink in config.sinks.values()):
        found |= {f"directory/{peer.key}": peer for peer in directory.peers(config.directory)}
    return found


def hosts_of(site: Site) -> dict[str, str]:
    """Every name to look up: where it stands -> the name."""
    found = {name: peer.host for name, peer in peers_of(site).items() if peer.places is None}
    if isinstance(site.config.bus, KafkaConfig):
        for server in site.config.bus.servers.split(","):
            found[f"bus {server.strip()}"] = urlsplit(f"//{server.strip()}").hostname or ""
    database = site.config.database
    if database.url is not None or database.url_secret is not None:
        with suppress(RouterError):  # the check `keys` says which secret is missing
            found["database"] = host_of(database.resolve(site.data))
    return {name: host for name, host in found.items() if host}


def names(installation: Installation) -> Iterator[Verdict]:
    """Each name, looked up once."""
    places = hosts_of(installation.site)
    hosts = sorted(set(places.values()))
    for host, answer in zip(hosts, side_by_side(hosts, _known, _NAMES), strict=True):
        where = ", ".join(name for name, one in places.items() if one == host)
        if answer:
            yield good(host, answer)
        else:
            text = "the resolver does not answer in time" if answer is None else "the name is not known"
            yield wrong(f"{host} ({where})", text, f"getent hosts {host}")


def _known(host: str) -> str:
    """Addresses of a name; "" when it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ""
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))


def peers(installation: Installation) -> Iterator[Verdict]:
    """A connection to each, as the router would make it. Nobody logs in: a wrong password may lock an account."""
    found = peers_of(installation.site)
    now = installation.clock.now()

    def tried(name: str) -> list[Verdict]:
        return list(_tried(name, found[name], now))

    for name, verdicts in zip(found, side_by_side(list(found), tried, _PEERS), strict=True):
        if verdicts is None:
            yield wrong(name, filled("no answer within {seconds} s", seconds=f"{_PEERS:g}"))
        else:
            yield from verdicts


def _tried(name: str, peer: Peer, now: float) -> Iterator[Verdict]:
    """A server, or each of those that DNS names."""
    if peer.places is None:
        yield from probe(name, peer, now)
        return
    subject = f"{name} {peer.asked}"
    try:
        places = peer.places()
    except RouterError as fault:
        # In French, as the fault's text is: one template is then translated with what it holds.
        told = filled("ses serveurs ne sont pas connus : {code} {reason}", code=fault.code, reason=fault.text)
        yield wrong(subject, told, f"dig SRV {peer.asked}")
        return
    yield good(subject, filled("DNS names {servers}", servers=", ".join(f"{one.host}:{one.port}" for one in places)))
    for one in places:
        yield from probe(name, one, now)


def side_by_side(items: Sequence[str], work: Callable[[str], T], seconds: float) -> list[T | None]:
    """What `work` gives for each, all at once; None for what is not done in time."""
    found: list[T | None] = [None] * len(items)

    def one(rank: int, item: str) -> None:
        found[rank] = work(item)

    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(items)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return list(found)


def _unheard(installation: Installation) -> Iterator[Verdict]:
    """Listeners of the site file that a running router has not got: it read an older site file, or runs elsewhere."""
    missing = [one for one in listeners(installation.site) if not one.reason]
    for one in missing:
        yield remark(
            f"{one.what} {one.place}",
            "the router runs, and nobody listens there: restart it if the site file was changed since its start",
        )
    if not missing:
        yield remark("ports", "the router runs: its listeners have their ports")


def ports(installation: Installation) -> Iterator[Verdict]:
    """Whether the listeners' ports are free; while the router runs it has them itself."""
    if installation.running:
        yield from _unheard(installation)
        return
    taken = list(occupied(installation.site, admin=True))
    for one in taken:
        yield wrong(f"{one.what} {one.place}", one.reason, f"ss -ltnp 'sport = :{one.port}'")
    if not taken:
        yield good("ports")
