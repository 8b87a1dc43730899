"""What of an MSSanté sink's configuration may not run in production: `check` says it, the sink refuses it."""

from __future__ import annotations

from collections.abc import Iterator

from router.contracts.sink_type import Unsafe
from router.sinks.mssante.settings import MssanteConfig


def unsafe(config: MssanteConfig, environment: str) -> Iterator[Unsafe]:
    """SMTP and IMAP have TLS, the product says its number, mail goes to its recipients (mssante §1.1, §7; D9)."""
    if environment != "production":
        return
    if config.redirect_all_mail is not None:
        text = "sends everything to one address: qualification only"
        yield Unsafe("redirect_all_mail", text, "leave it out")
    if config.keep is not None:
        yield Unsafe("keep", "keeps clear documents on disk: qualification only", "leave it out")
    if config.mode == "plain":
        yield Unsafe("mode", "SMTP without TLS: qualification only", "starttls or tls")
    if config.imap is not None and config.imap.mode == "plain":
        yield Unsafe("imap.mode", "IMAP without TLS: qualification only", "starttls or tls")
    if not config.nil:
        text = "is required in production: X-MSS-NIL names the product to the espace de confiance"
        yield Unsafe("nil", text, "its reference on convergence.esante.gouv.fr")
