"""Where the operator's servers are, asked of DNS (RFC 2782, RFC 6186, RFC 8314; ECO.1.1.9).

DNS says where a connection goes, and nothing else: the configured `host` and `port` stay the name of the server for
paces, traces and inboxes. Nobody signed the answer, so its hosts are not trusted for themselves (RFC 6186 §6): each
must lie within the operator's domain, or be allowed by the site; and the certificate must bear a name that the site
wrote (RFC 7817 §3).
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from router.errors import OperatorFault, RouterError, Unavailable
from router.language import N_, filled
from router.printable import printable
from router.sinks.mssante.settings import Mode, SrvConfig

if TYPE_CHECKING:
    from dns.rdtypes.IN.SRV import SRV
    from dns.resolver import Answer

log = logging.getLogger(__name__)

Service = Literal["submission", "imap"]
#: Service and kind of TLS -> the label that is asked for (RFC 6186 §3.1, §3.2; RFC 8314 §5.1).
LABELS: Final[Mapping[tuple[Service, bool], str]] = {
    ("submission", False): "_submission",
    ("submission", True): "_submissions",
    ("imap", False): "_imap",
    ("imap", True): "_imaps",
}
AGAIN_SECONDS: Final = 30.0
"""While DNS is away: so long the last answer is used without a new question (RFC 8767 §5)."""
DOWN_SECONDS: Final = 60.0
"""A server that could not be reached is asked after the others so long."""
LONGEST_SECONDS: Final = 86_400.0
"""An answer is asked anew after a day, whatever its time to live."""
_OTHER_NAME: Final = (62, 64)
"""Verify errors of OpenSSL: the certificate bears another name, or not this address."""


@dataclass(frozen=True, slots=True)
class Place:
    """One server. names: what its certificate may bear, one of them; a connection tries them in this order."""

    host: str
    port: int
    names: tuple[str, ...]
    priority: int = 0
    weight: int = 0

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Way:
    """One connection to try: where it goes, and the name that the certificate must bear."""

    host: str
    port: int
    name: str


class Fixed:
    """A server that the site file names, and that is asked of nobody."""

    def __init__(self, host: str, port: int) -> None:
        self._place = Place(host, port, (host,))

    def places(self) -> list[Place]:
        return [self._place]

    def away(self, place: Place) -> None: ...

    def bears(self, place: Place, name: str) -> None: ...


class Discovery:
    """The servers of one service of the operator. Any thread.

    mode: `tls` asks for a server whose TLS begins at once; DNS never changes it
    host: the configured name, that a certificate may bear too
    """

    def __init__(
        self,
        config: SrvConfig,
        service: Service,
        mode: Mode,
        host: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{LABELS[service, mode == 'tls']}._tcp.{config.domaine}"
        self._config, self._host, self._monotonic = config, host, monotonic
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._until = 0.0
        self._down: dict[tuple[str, int], float] = {}
        self._borne: dict[tuple[str, int], str] = {}
        """Server -> the name that its certificate bore."""

    def places(self) -> list[Place]:
        """The servers in the order to try: by priority, within one by chance and weight (RFC 2782); those that could
        not be reached last. May wait for DNS.

        Raises `OperatorFault` `MSS-SRV` for an answer that can't be used, `Unavailable` `MSS-DNS` when DNS is away
        and has never answered.
        """
        with self._lock:
            if self._answer is None or self._monotonic() >= self._until:
                self._ask()
            found = [self._place(one) for one in _in_order(self._answer)]
            now = self._monotonic()
            return sorted(found, key=lambda one: self._down.get(one.address, 0.0) > now)

    def away(self, place: Place) -> None:
        """This server could not be reached."""
        with self._lock:
            self._down[place.address] = self._monotonic() + DOWN_SECONDS

    def bears(self, place: Place, name: str) -> None:
        """This server answered, and its certificate bears this name: it is tried first the next time."""
        with self._lock:
            self._down.pop(place.address, None)
            self._borne[place.address] = name

    def _ask(self) -> None:
        try:
            answer = ask(self.name, self._config)
        except Unavailable:
            if self._answer is None:
                raise
            self._until = self._monotonic() + AGAIN_SECONDS
            log.warning("DNS is away: the last answer for %s is used", self.name)
            return
        self._check(answer)
        self._answer = answer
        self._until = self._monotonic() + min(answer.chaining_result.minimum_ttl, LONGEST_SECONDS)

    def _check(self, answer: Answer) -> None:
        """Raises `OperatorFault` for a service that is not offered, and for a server where none may be."""
        for record in _in_order(answer):
            host = _host(record)
            if not host or not record.port:
                raise self._fault(N_("le domaine déclare qu'il n'offre pas ce service"))
            if not any(within(host, domain) for domain in (self._config.domaine, *self._config.cibles)):
                text = filled("le serveur {host} est hors du domaine et absent de `cibles`", host=printable(host))
                raise self._fault(text)

    def _fault(self, text: str) -> OperatorFault:
        return OperatorFault("MSS-SRV", self.name, text)

    def _place(self, record: SRV) -> Place:
        host = _host(record)
        names = [self._host, self._config.domaine]
        if any(within(host, one) for one in self._config.cibles):
            names.append(host)
        borne = self._borne.get((host, record.port))
        names.sort(key=lambda one: one != borne)
        return Place(host, record.port, tuple(dict.fromkeys(names)), record.priority, record.weight)


def within(host: str, domain: str) -> bool:
    """Whether a host is this domain, or lies in it."""
    return host == domain or host.endswith(f".{domain}")


def _in_order(answer: Answer | None) -> list[SRV]:
    """The records by priority, within one by chance and weight (RFC 2782)."""
    return cast("list[SRV]", answer.rrset.processing_order()) if answer is not None and answer.rrset is not None else []


def _host(record: SRV) -> str:
    """The target in lower case; nothing for the target `.`: the service is decidedly not offered (RFC 2782)."""
    return str(record.target.to_text(omit_final_dot=True)).lower().removesuffix(".")


def ask(name: str, config: SrvConfig) -> Answer:
    """The SRV records of a name. Raises `OperatorFault` `MSS-SRV` when there are none, `Unavailable` `MSS-DNS`."""
    from dns import exception, nameserver, resolver

    try:
        asked = resolver.Resolver(configure=not config.serveurs)
        if config.serveurs:
            asked.nameservers = [nameserver.Do53Nameserver(*_server(one)) for one in config.serveurs]
        return asked.resolve(f"{name}.", "SRV", lifetime=config.timeout, search=False)
    except (resolver.NXDOMAIN, resolver.NoAnswer) as error:
        raise OperatorFault("MSS-SRV", name, "le DNS ne connaît aucun enregistrement SRV de ce nom") from error
    except resolver.NoResolverConfiguration as error:
        text = "cette machine n'a pas de serveur DNS : l'écrire dans `serveurs`"
        raise OperatorFault("MSS-SRV", name, text) from error
    except (exception.DNSException, OSError) as error:
        text = filled("le DNS ne répond pas ({error})", error=type(error).__name__)
        raise Unavailable("MSS-DNS", name, text) from error


def _server(text: str) -> tuple[str, int]:
    """Address and port of a DNS server, as `SrvConfig.serveurs` writes it."""
    address, _, port = text.rpartition("#")
    return (address, int(port)) if address else (text, 53)


class Ways:
    """The connections to try, one after the other. `fault`: why none was made, once all have been tried.

    for way in ways:
        with ways.tried():
            return connect(way)
    raise ways.fault
    """

    def __init__(self, source: Discovery | Fixed, places: Sequence[Place]) -> None:
        """places: those of `source`, not empty."""
        self._source, self._places = source, places
        self._place, self._name, self._next = places[0], "", False
        self.fault: RouterError = Unavailable("MSS-101", "CONNECT", "")

    def __iter__(self) -> Iterator[Way]:
        for place in self._places:
            self._place, self._next = place, False
            for name in place.names:
                if not self._next:
                    self._name = name
                    yield Way(place.host, place.port, name)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Swallow a server that is away, and a certificate that bears another name. Anything else is raised."""
        try:
            yield
        except Unavailable as fault:
            self.fault, self._next = fault, True
            self._source.away(self._place)
        except OperatorFault as fault:
            self.fault = fault
            if not bears_another_name(fault):
                raise
        else:
            self._source.bears(self._place, self._name)


def bears_another_name(error: BaseException | None) -> bool:
    """Whether the server's certificate is trusted, and bears another name than was asked for."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code in _OTHER_NAME
        error = error.__cause__ or error.__context__
    return False
