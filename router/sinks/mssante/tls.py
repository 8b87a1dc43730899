"""TLS as the espace de confiance wants it: 1.2 at least, one authority, our client certificate (mssante §7)."""

from __future__ import annotations

import ssl

from router import tls
from router.errors import OperatorFault
from router.language import filled
from router.sinks import revocation
from router.sinks.mssante.settings import TlsConfig


def client_context(config: TlsConfig) -> ssl.SSLContext:
    """A fresh context from the files as they are now. Raises `OperatorFault` when one of them can't be used."""
    try:
        password = config.key_password.read() if config.key_password else None
        context = tls.client_context(config.ca, config.certificate, config.key, password)
        current = config.crl is None or revocation.check(context, config.crl, config.crl_expired, chain=True)
    except (OSError, ValueError) as error:
        text = filled("fichier de certificat inutilisable ({error})", error=type(error).__name__)
        raise OperatorFault("MSS-TLS", "tls", text) from error
    if not current:
        raise OperatorFault("MSS-CRL", str(config.crl), "liste de révocation expirée")
    return context
