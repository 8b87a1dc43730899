"""TLS as the espace de confiance wants it: 1.2 at least, one authority, our client certificate (mssante §7)."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from router.errors import OperatorFault
from router.sinks.mssante.settings import TlsConfig

log = logging.getLogger(__name__)


def client_context(config: TlsConfig) -> ssl.SSLContext:
    """A fresh context from the files as they are now. Raises `OperatorFault` when one of them can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if config.ca is not None:
            context.load_verify_locations(cafile=str(config.ca))
        if config.certificate is not None:
            password = config.key_password.read() if config.key_password else None
            context.load_cert_chain(config.certificate, config.key, password=password)
        if config.crl is not None and _usable(config.crl, config.crl_expired == "accepter"):
            context.load_verify_locations(cafile=str(config.crl))
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    except (OSError, ssl.SSLError, ValueError) as error:
        raise OperatorFault("MSS-TLS", "tls", f"fichier de certificat inutilisable ({type(error).__name__})") from error
    return context


def _usable(path: Path, go_on: bool) -> bool:
    """Whether the lists are to be checked. An expired one would fail every connection (ECO.1.1.7)."""
    now = datetime.now(UTC)
    texts = path.read_bytes().split(b"-----END X509 CRL-----")[:-1]
    lists = [x509.load_pem_x509_crl(text.lstrip() + b"-----END X509 CRL-----\n") for text in texts]
    if not lists:
        raise ValueError("no revocation list in the file")
    expired = [one for one in lists if one.next_update_utc is not None and one.next_update_utc < now]
    if not expired:
        return True
    if not go_on:
        raise OperatorFault("MSS-CRL", str(path), "liste de révocation expirée")
    log.error("revocation list expired, revocation is not checked: %s", path)
    return False
