"""Our two certificates: ORG SIGN for signatures, ORG AUTH_CLI for the TLS connection (dmp §7).

Files are looked at again every few seconds, so that a renewed certificate is used without a restart (decisions D9).
While a changed file can't be used, the one that was read before goes on.
"""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from router.errors import OperatorFault
from router.language import filled
from router.sinks import revocation
from router.sinks.certificates import structure_in
from router.sinks.dmp.canonical import HASHES, digest
from router.sinks.dmp.dn import rfc4514
from router.sinks.dmp.settings import CertificateConfig, DmpConfig
from router.tls import client_context

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_AGAIN: Final = 5.0
"""Seconds between two looks at the files."""


class Watched(Generic[T]):
    """What was made of some files, made again when one of them changes."""

    def __init__(
        self, paths: Sequence[Path | None], load: Callable[[], T], monotonic: Callable[[], float], name: str
    ) -> None:
        """Raises what `load` raises."""
        self._paths = [path for path in paths if path is not None]
        self._load = load
        self._monotonic = monotonic
        self._name = name
        self._stamp = self._look()
        self._held = load()
        self._looked = monotonic()

    def get(self) -> T:
        now = self._monotonic()
        if now - self._looked >= LOOK_AGAIN:
            self._looked = now
            stamp = self._look()
            if stamp != self._stamp:
                self._renew(stamp)
        return self._held

    def _renew(self, stamp: tuple[Any, ...]) -> None:
        try:
            self._held = self._load()
        except OperatorFault as fault:
            log.error("changed certificate files can't be used, the earlier ones go on: %s: %s", self._name, fault)
            return
        self._stamp = stamp
        log.info("certificate files read again: %s", self._name)

    def _look(self) -> tuple[Any, ...]:
        return tuple(_stamp(path) for path in self._paths)


class Seal:
    """The ORG SIGN certificate (cachet) with its key: everything about it that signatures need."""

    def __init__(self, key: rsa.RSAPrivateKey, chain: Sequence[x509.Certificate]) -> None:
        """`chain`: our certificate first."""
        self._key = key
        self._digests: dict[str, list[tuple[str, str, int]]] = {}
        self.chain = tuple(chain)
        leaf = self.chain[0]
        self.subject = rfc4514(leaf.subject)
        self.structure = structure_in(leaf)
        self.expires = leaf.not_valid_after_utc.timestamp()
        self.begins = leaf.not_valid_before_utc.timestamp()
        self.certificate = base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()

    def sign(self, data: bytes, algorithm: str) -> str:
        """Base64 of the RSA PKCS#1 v1.5 signature; `algorithm` is sha1 or sha256."""
        return base64.b64encode(self._key.sign(data, padding.PKCS1v15(), HASHES[algorithm])).decode()

    def digests(self, algorithm: str) -> list[tuple[str, str, int]]:
        """Per certificate of the chain: base64 of its digest, its issuer (RFC 4514), its serial number."""
        if algorithm not in self._digests:
            self._digests[algorithm] = [
                (digest(one.public_bytes(Encoding.DER), algorithm), rfc4514(one.issuer), one.serial_number)
                for one in self.chain
            ]
        return self._digests[algorithm]


def load_seal(config: CertificateConfig) -> Seal:
    """Raises `OperatorFault` `DMP-CERT-SIGN`: unreadable, key of another certificate, or not for signing."""
    try:
        pem = config.certificate.read_bytes()
        chain = x509.load_pem_x509_certificates(pem)
        password = config.key_password.read().encode() if config.key_password else None
        key = load_pem_private_key(config.key.read_bytes() if config.key else pem, password)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable("fichier illisible") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != chain[0].public_key():
        raise _unusable("la clé n'est pas celle du certificat")
    if not _may_sign(chain[0]):
        raise _unusable("ce certificat n'est pas un certificat de signature (ORG SIGN)")
    return Seal(key, chain)


@dataclass(frozen=True, slots=True)
class Identity:
    """What we connect with: the TLS context, and the Unix time at which our client certificate ends."""

    context: ssl.SSLContext
    expires: float
    structure: str = ""
    """Struct_IdNat that the certificate names, "" when it names none."""


def load_identity(config: DmpConfig) -> Identity:
    """TLS 1.2 exactly, the suites of the DMP, our client certificate. Raises `OperatorFault` `DMP-CERT-AUTH`."""
    auth = config.auth
    try:
        password = auth.key_password.read() if auth.key_password else None
        context = client_context(config.server_ca, auth.certificate, auth.key, password, system=True)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(config.ciphers)
        current = config.crl is None or revocation.check(context, config.crl, config.crl_expired, lasting=True)
        leaf = x509.load_pem_x509_certificates(auth.certificate.read_bytes())[0]
    except (OSError, ValueError) as error:
        reason = filled("fichier de certificat inutilisable ({error})", error=type(error).__name__)
        raise OperatorFault("DMP-CERT-AUTH", "auth", reason) from error
    if not current:
        raise OperatorFault("DMP-CRL", str(config.crl), "liste de révocation expirée")
    return Identity(context, leaf.not_valid_after_utc.timestamp(), structure_in(leaf))


def _may_sign(certificate: x509.Certificate) -> bool:
    """keyUsage holds nonRepudiation (contentCommitment), as ORG SIGN does; a certificate without keyUsage may."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.content_commitment


def _unusable(reason: str) -> OperatorFault:
    return OperatorFault("DMP-CERT-SIGN", "sign", reason)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
