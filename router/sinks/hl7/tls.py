"""TLS towards a partner: 1.2 at least, its authorities, our certificate if it asks for one."""

from __future__ import annotations

import ssl

from router import tls
from router.errors import OperatorFault
from router.sinks import revocation
from router.sinks.hl7.settings import Hl7TlsConfig


def client_context(config: Hl7TlsConfig) -> ssl.SSLContext:
    """A fresh context from the files as they are now. Raises `OperatorFault` when one of them can't be used."""
    try:
        password = config.key_password.read() if config.key_password else None
        context = tls.client_context(config.ca, config.certificate, config.key, password)
        current = config.crl is None or revocation.check(context, config.crl, config.crl_expired)
    except (OSError, ValueError) as error:
        raise OperatorFault("HL7-TLS", "", "certificate, key, authorities or lists can't be read") from error
    if not current:
        raise OperatorFault("HL7-CRL", str(config.crl), "revocation list expired")
    return context
