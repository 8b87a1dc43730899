"""TLS of every client of ours: version 1.2 at least; the server's certificate and name are checked."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

THROW_AWAY: Final = "AUTORITE JETABLE"
"""Name (CN) of the authority of every demonstration: its key stands unprotected, so production refuses it."""


def client_context(
    ca: Path | str | None,
    certificate: Path | str | None = None,
    key: Path | str | None = None,
    password: str | None = None,
    *,
    system: bool = False,
) -> ssl.SSLContext:
    """A fresh context from the files as they are now. All files are PEM.

    ca:       the only authorities to trust; None: those of the system if `system`, else none
    key:      of our certificate; None: it stands in the file of the certificate
    password: of the key
    Raises `OSError` (`ssl.SSLError` is one) or `ValueError` when a file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        context.load_verify_locations(cafile=str(ca))
    elif system:
        context.load_default_certs()
    if certificate is not None:
        show_certificate(context, certificate, key, password)
    return context


def show_certificate(
    context: ssl.SSLContext, certificate: Path | str, key: Path | str | None, password: str | None = None
) -> None:
    """Give the context our own certificate. Raises as `client_context` does.

    A key whose password is missing is an error: OpenSSL alone would ask for it on the terminal, and wait.
    """
    context.load_cert_chain(certificate, key, password=lambda: password or "")
