"""Revocation lists of servers and of clients: what a list says counts, also once it has expired (ECO.1.1.7).

OpenSSL refuses every certificate as soon as a list is out of date. Where the site says `accepter`, an outdated list is
still read: who shows a certificate that it names is refused, the others are accepted.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from cryptography import x509

log = logging.getLogger(__name__)

Expired = Literal["accepter", "refuser"]
_END: Final = b"-----END X509 CRL-----"


def check(context: ssl.SSLContext, path: Path, expired: Expired, *, chain: bool = False, lasting: bool = False) -> bool:
    """Make `context` check the other side against the lists of a PEM file. False: one has expired and must not be used.

    chain:   every certificate up to the root needs a list of its issuer, not the other side's alone
    lasting: the context is kept for long, so that a list may expire while it is in use
    Raises OSError or ValueError when the file can't be read.
    """
    lists = _read(path)
    now = datetime.now(UTC)
    current = all(one.next_update_utc is None or one.next_update_utc > now for one in lists)
    # OpenSSL does not look at the lists again when a TLS session is resumed: we do, whatever it does.
    _refuse(context, frozenset((one.issuer, entry.serial_number) for one in lists for entry in one))
    if expired == "accepter":
        if not current:
            log.error("revocation list expired, what it says still counts: %s", path)
        if not current or lasting:
            return True
    if current:
        context.load_verify_locations(cafile=str(path))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if chain else ssl.VERIFY_CRL_CHECK_LEAF
    return current


def _read(path: Path) -> Sequence[x509.CertificateRevocationList]:
    texts = path.read_bytes().split(_END)[:-1]
    lists = [x509.load_pem_x509_crl(text.lstrip() + _END + b"\n") for text in texts]
    if not lists:
        raise ValueError("no revocation list in the file")
    return lists


def _refuse(context: ssl.SSLContext, revoked: frozenset[tuple[x509.Name, int]]) -> None:
    """End the handshake of this context when the other side's certificate is among these (issuer, serial number)."""

    class CheckedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _look(self.getpeercert(binary_form=True), revoked)

    class CheckedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _look(self.getpeercert(binary_form=True), revoked)

    context.sslobject_class = CheckedObject
    context.sslsocket_class = CheckedSocket


def _look(shown: bytes | None, revoked: frozenset[tuple[x509.Name, int]]) -> None:
    certificate = x509.load_der_x509_certificate(shown or b"")
    if (certificate.issuer, certificate.serial_number) in revoked:
        raise ssl.SSLCertVerificationError("certificate revoked")
