"""TLS of the listeners: contexts made from files, made again when the files change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

from router.errors import OperatorFault
from router.gateway.settings import TlsConfig
from router.sinks import revocation

log = logging.getLogger(__name__)


class Certificates:
    """The context of one listener. `changed` says when its files are newer than it; a bad file keeps the old one."""

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._stamp = self._stamps()
        self.context = self._make()

    def changed(self) -> bool:
        """Read the files again if they changed. True when there is a new `context`. Raises `OperatorFault` (`TLS`)."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self.context = self._make()
        self._stamp = stamp  # only now: what could not be read is tried again, its files may stay as they are
        return True

    def renew(self) -> None:
        """Load changed files into the context in use: new connections get them. Raises `OperatorFault` (`TLS`)."""
        context = self.context
        if self.changed():
            self.context = context
            self._load(context)

    def admits(self, certificate: dict[str, object] | None) -> bool:
        """Whether a client's certificate (as `getpeercert` gives it) bears a name we accept."""
        if not self._config.client_names:
            return True
        return bool(set(self._config.client_names) & _names(certificate or {}))

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        config = self._config
        password = config.key_password.read() if config.key_password else None
        try:
            context.load_cert_chain(config.certificate, config.key, password)
            if config.client_ca is not None:
                context.load_verify_locations(config.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            if config.crl is not None and not revocation.check(context, config.crl, config.crl_expired, lasting=True):
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF  # no client until there is a new list
                log.error("revocation list expired, no client is admitted: %s", config.crl)
        except (OSError, ValueError) as error:
            raise OperatorFault(
                "TLS", str(config.certificate), "certificate, key, client CA or revocation lists can't be read"
            ) from error

    def _stamps(self) -> tuple[object, ...]:
        config = self._config
        return tuple(_stamp(path) for path in (config.certificate, config.key, config.client_ca, config.crl))


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def names_of(certificate: dict[str, object] | None) -> frozenset[str]:
    """The names (CN, DNS) of a client's certificate as `getpeercert` gives it; none without a certificate."""
    return frozenset(_names(certificate or {}))


def _names(certificate: dict[str, object]) -> set[str]:
    subject = certificate.get("subject", ())
    names = {value for rdn in _pairs(subject) for key, value in rdn if key == "commonName"}
    alternatives = certificate.get("subjectAltName", ())
    if isinstance(alternatives, Sequence):
        names |= {value for key, value in alternatives if key == "DNS"}
    return names


def _pairs(subject: object) -> Sequence[Sequence[tuple[str, str]]]:
    return subject if isinstance(subject, Sequence) else ()
