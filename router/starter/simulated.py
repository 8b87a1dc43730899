"""The simulators that stand in for everything a site file names outside the router, at the addresses it gives."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from router.config.site import Site
from router.errors import ConfigFault, OperatorFault, Problem
from router.gateway.settings import loopback
from router.language import N_, filled
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpConfig, DmpSimulator
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.idp import IdpConfig, IdpSimulator
from router.simulators.mssante import MssanteConfig, MssanteSimulator
from router.simulators.mssante.config import Auth
from router.simulators.serve import ensure_certificates

_AUTH: Final[dict[str, Auth]] = {"externe": "external", "plain": "plain", "aucune": "none"}
"""`login.auth` of the site file -> what the simulated operator asks for."""
_SIMULATED: Final = ("dmp", "mssante", "hl7")
_AUTHORITY: Final = N_("is not the authority of a demonstration: a simulator would not be trusted")
_FOLDER: Final = N_("name `ca.pem` in the folder that `segur-router init` made, or in a new one")


class Simulator(Protocol):
    """What the simulators have in common."""

    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, *_: Any) -> None: ...

    @property
    def control_port(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Stand:
    """One simulator and what it stands for. `addresses`: where it listens; `sinks`: names in the site file (of an
    identity provider: `console.oidc`)."""

    addresses: tuple[str, ...]
    sinks: tuple[str, ...]
    simulator: Simulator = field(repr=False)

    @property
    def control(self) -> str:
        return f"http://127.0.0.1:{self.simulator.control_port}"


@asynccontextmanager
async def simulated(site: Site) -> AsyncIterator[list[Stand]]:
    """Run them all until the block ends.

    Sinks of one address share a simulator. Raises `ConfigFault` for what can't be simulated, `OperatorFault` for a port
    that is taken or for certificates that are not those of a demonstration.
    """
    problems = sorted(_problems(site), key=lambda found: (found.line, found.column))
    if problems:
        raise ConfigFault(problems)
    async with AsyncExitStack() as stack:
        stands = [*_dmp(site), *_mssante(site), *_hl7(site), *_idp(site)]
        for stand in stands:
            try:
                await stack.enter_async_context(stand.simulator)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                place = ", ".join(stand.addresses)
                text = filled("another process listens on {place}: end it, or change the site file", place=place)
                raise OperatorFault("SIMULATOR-PORT", ", ".join(stand.sinks), text) from error
        yield stands


# ------------------------------------------------------------------------------------------- what can be simulated


def _problems(site: Site) -> Iterator[Problem]:
    """Why a simulator could not, or must not, stand in for a sink of this site."""
    source, config = site.source, site.config
    if config.environment == "production":
        yield source.problem(["environment"], "a simulator never stands in for what production names")
        return
    for name, sink in _sinks(site):
        for key, host in _hosts(sink):
            if not loopback(host):
                text = filled("{host} is not this machine: a simulator listens on 127.0.0.1 only", host=host)
                yield source.problem(["sinks", name, *key], text)
        if sink.type == "dmp" and not _ours(sink.server_ca):
            yield source.problem(["sinks", name, "server_ca"], _AUTHORITY, _FOLDER)
        if sink.type == "mssante":
            yield from _unlike(site, name, sink)
        if sink.type == "hl7" and sink.tls is not None:
            yield source.problem(["sinks", name, "tls"], "the simulated receiver has no TLS", "leave `tls` out")


def _sinks(site: Site) -> Iterator[tuple[str, Any]]:
    """Name and settings of each sink whose outside can be simulated."""
    return ((name, sink) for name, sink in site.config.sinks.items() if sink.type in _SIMULATED)


def _hosts(sink: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every host that a sink names, with its key."""
    yield ("url",) if sink.type == "dmp" else ("host",), _address(sink)[0]
    if sink.type == "mssante" and sink.imap is not None:
        yield ("imap", "host"), sink.imap.host


def _ours(ca: Path | None) -> bool:
    """Whether this can be the authority of a demonstration: nothing is written beside another one."""
    return ca is not None and ca.name == Certificates(Path()).ca.name


def _unlike(site: Site, name: str, sink: Any) -> Iterator[Problem]:
    """What an operator may ask for and the simulated one does not."""
    if not _ours(sink.tls.ca):
        yield site.source.problem(["sinks", name, "tls", "ca"], _AUTHORITY, _FOLDER)
    ways = [(["sinks", name], sink)] + ([(["sinks", name, "imap"], sink.imap)] if sink.imap is not None else [])
    for path, way in ways:
        if way.mode != "starttls":
            yield site.source.problem([*path, "mode"], "the simulated operator takes starttls only")
        if way.login.auth not in _AUTH:
            names = ", ".join(_AUTH)
            yield site.source.problem(
                [*path, "login", "auth"], filled("the simulated operator takes {names}", names=names)
            )


# --------------------------------------------------------------------------------------------------- the stands


def _dmp(site: Site) -> Iterator[Stand]:
    for (host, port), sinks in _by_address(site, "dmp").items():
        certificates = ensure_certificates(_first(sinks).server_ca.parent, _structures(site))
        simulator = DmpSimulator(DmpConfig(certificates=certificates, host=host, port=port))
        yield Stand((simulator.url,), tuple(sinks), simulator)


def _mssante(site: Site) -> Iterator[Stand]:
    for (host, port), sinks in _by_address(site, "mssante").items():
        first = _first(sinks)
        accounts = {
            mailbox: password for name, sink in sinks.items() for mailbox, password in _accounts(site, name, sink)
        }
        config = MssanteConfig(
            certificates=ensure_certificates(first.tls.ca.parent, _structures(site)),
            host=host,
            smtp_port=port,
            imap_port=first.imap.port if first.imap is not None else 0,
            accounts=accounts,
            owners=_owners(site),
            domains=MssanteConfig().domains | {mailbox.rpartition("@")[2] for mailbox in accounts},
            client_certificate=first.tls.certificate is not None,
            auth=_AUTH[first.login.auth],
        )
        addresses = [f"smtp://{host}:{port}"]
        if first.imap is not None:
            addresses.append(f"imap://{host}:{first.imap.port}")
        yield Stand(tuple(addresses), tuple(sinks), MssanteSimulator(config))


def _hl7(site: Site) -> Iterator[Stand]:
    for (host, port), sinks in _by_address(site, "hl7").items():
        yield Stand((f"mllp://{host}:{port}",), tuple(sinks), Hl7Peer(host=host, port=port))


def _idp(site: Site) -> Iterator[Stand]:
    """The identity provider of the console, where the site file names one by http on 127.0.0.1."""
    oidc = site.config.console.oidc if site.config.console is not None else None
    place = urlsplit(oidc.issuer) if oidc is not None else None
    if oidc is None or place is None or (place.scheme, place.hostname, place.path) != ("http", "127.0.0.1", ""):
        return
    secret = oidc.client_secret.read()
    config = IdpConfig(client_id=oidc.client_id, client_secret=secret, port=place.port or 80, control_port=0)
    yield Stand((oidc.issuer,), ("console.oidc",), IdpSimulator(config))


def _by_address(site: Site, kind: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Host and port -> the sinks of this type there, by name."""
    found: defaultdict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for name, sink in _sinks(site):
        if sink.type == kind:
            found[_address(sink)][name] = sink
    return dict(found)


def _address(sink: Any) -> tuple[str, int]:
    if sink.type == "dmp":
        parts = urlsplit(sink.url)
        return parts.hostname or "", parts.port or 443
    return sink.host, sink.port


def _first(sinks: dict[str, Any]) -> Any:
    """The sink whose settings the simulator of an address follows."""
    return next(iter(sinks.values()))


def _accounts(site: Site, name: str, sink: Any) -> Iterator[tuple[str, str]]:
    """Mailboxes that send through this sink, with the password that the site file names."""
    logins = [way.login for way in (sink, sink.imap) if way is not None]
    password = next((login.password.read() for login in logins if login.password is not None), "")
    own = [one.mailbox for one in site.config.structures.values() if one.mailbox and one.sink_of("mssante") == name]
    users = [login.user for login in logins if login.user]
    for mailbox in (*own, *([sink.mailbox] if sink.mailbox else ()), *users):
        yield mailbox, password


def _owners(site: Site) -> dict[str, str]:
    """Mailbox -> Struct_IdNat, where the certificates of `segur-router init` say whose it is."""
    return {one.mailbox: one.id_nat for one in site.config.structures.values() if one.mailbox}


def _structures(site: Site) -> dict[str, str]:
    return {finess: structure.name for finess, structure in site.config.structures.items()}
