"""Servers of the espace de confiance that the site file names, for `doctor`."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from router.contracts.peers import Peer
from router.directory.fetch import context, remote
from router.directory.settings import DirectoryConfig


def peers(config: DirectoryConfig) -> Iterator[Peer]:
    """Those that the site file names: a default address is not asked."""
    sources = (
        ("liste_blanche", config.liste_blanche.source, config.liste_blanche.ca, "source"),
        ("annuaire", config.annuaire.extraction or "", config.annuaire.ca, "extraction"),
        ("fhir", config.fhir.url if config.fhir is not None else "", None, "url"),
    )
    for key, source, ca, field in sources:
        part = getattr(config, key)
        if part is not None and field in part.model_fields_set and remote(source):
            yield _peer(key, source, ca)


def _peer(key: str, source: str, ca: Path | None) -> Peer:
    parts = urlsplit(source)
    secure = parts.scheme == "https"
    made: partial[ssl.SSLContext] | None = partial(context, ca) if secure else None
    return Peer(parts.hostname or "", parts.port or (443 if secure else 80), key, tls=made)
