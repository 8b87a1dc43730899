"""What `init`, the demo and deploy/ write for trying: production refuses each by name (decisions D9, D12).

Whoever has the sources has these keys and passwords. A test finds every one of deploy/ and of `init` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from router.bus.settings import KafkaSasl
from router.config.members import Where, members
from router.errors import OperatorFault, Problem
from router.language import filled
from router.secret import Secret
from router.tls import THROW_AWAY

if TYPE_CHECKING:
    from router.config.reading import Reading
    from router.config.site_models import SiteConfig

CERTIFICATES: Final = frozenset({"certificate", "ca", "client_ca", "server_ca"})
"""Keys of the site file that name a file of certificates."""
SECRETS: Final = frozenset({"a-key-for-trying-only", "essai", "simulated"})
NUMBER: Final = "DEMO-0001"
"""X-MSS-NIL and the number of the homologation in a site of `init`."""

_CERTIFICATE: Final = "{name} comes from the authority of a demonstration ({authority}), whose key is no secret"
_SECRET: Final = "is a password or a key of a demonstration, which everybody can read"  # noqa: S105
_NUMBER: Final = "is a number of a demonstration: {number}"


def demonstrations(source: Reading[SiteConfig], site: SiteConfig) -> Iterator[Problem]:
    """Certificates, secrets and numbers of a demonstration, each at its place. What can't be read is told elsewhere."""
    from router.sinks.certificates import issuers  # and with it `cryptography`: production alone asks

    for one in members(site):
        if isinstance(one.value, Path) and one.where[-1] in CERTIFICATES:
            if THROW_AWAY in issuers(one.value):
                text = filled(_CERTIFICATE, name=str(one.value), authority=THROW_AWAY)
                yield source.problem(one.where, text, "name one of IGC-Santé, or of your own authority")
        elif isinstance(one.value, Secret):
            yield from _secret(source, one.where, one.value.read)
        elif isinstance(one.value, KafkaSasl):
            yield from _secret(source, one.where, one.value.password)
        elif one.value == NUMBER:
            yield source.problem(one.where, filled(_NUMBER, number=NUMBER), "write your own")


def _secret(source: Reading[SiteConfig], where: Where, read: Callable[[], str]) -> Iterator[Problem]:
    try:
        value = read()
    except OperatorFault:
        return
    if value in SECRETS or _password(value) in SECRETS:
        yield source.problem(where, _SECRET, "make one of your own")


def _password(value: str) -> str:
    """That of a database's URL."""
    try:
        return unquote(urlsplit(value).password or "") if "://" in value else ""
    except ValueError:
        return ""
