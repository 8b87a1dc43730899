"""TLS as the espace de confiance wants it: 1.2 at least, one authority, our client certificate (mssante §7)."""

from __future__ import annotations

import ssl

from router.errors import OperatorFault
from router.language import filled
from router.sinks import revocation
from router.sinks.mssante.settings import TlsConfig


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
        current = config.crl is None or revocation.check(context, config.crl, config.crl_expired, chain=True)
    except (OSError, ssl.SSLError, ValueError) as error:
        text = filled("fichier de certificat inutilisable ({error})", error=type(error).__name__)
        raise OperatorFault("MSS-TLS", "tls", text) from error
    if not current:
        raise OperatorFault("MSS-CRL", str(config.crl), "liste de révocation expirée")
    return context
