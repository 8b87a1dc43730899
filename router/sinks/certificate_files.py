"""Certificates, keys, authorities and revocation lists in PEM files: what is wrong with one, in an operator's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel

from router import private
from router.errors import OperatorFault, Severity
from router.language import N_, filled

SOON: Final = timedelta(days=30)
_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_BAD: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What the library raises for what it can't read."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one file, and what to do."""

    text: str
    hint: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Pem:
    """A file that could be read, and the part of the site file that names it beside its other files."""

    path: Path
    data: bytes
    now: datetime
    model: BaseModel

    @property
    def name(self) -> str:
        return str(self.path)

    def beside(self, name: str) -> Any:
        """Another key of the same part of the site file; None when it has none."""
        return getattr(self.model, name, None)


def certificate(pem: Pem) -> Iterator[Trouble]:
    """Ours: it is one, in its dates, with its own key."""
    chain = _certificates(pem.data)
    if not chain:
        yield Trouble(filled("{name} holds no certificate in PEM", name=pem.name), _instead(pem.data))
        return
    yield from _dates(pem, chain[0])
    key_file: Path | None = pem.beside("key")
    if key_file is None and not _KEY.search(pem.data):
        text = filled("{name} holds no private key, and `key` names none", name=pem.name)
        yield Trouble(text, N_("add `key: …`, or put the key into the file"))
        return
    if key_file is None:
        yield from _private(pem, pem.data)
        yield from _belongs(pem, chain[0], pem.data, pem.name)
    else:
        try:
            data = key_file.read_bytes()
        except OSError:
            return  # told where the key stands
        yield from _belongs(pem, chain[0], data, str(key_file))


def key(pem: Pem) -> Iterator[Trouble]:
    """A private key that can be opened, and that others can't read."""
    if not _KEY.search(pem.data):
        yield Trouble(filled("{name} holds no private key in PEM", name=pem.name), _instead(pem.data))
        return
    yield from _private(pem, pem.data)


def authorities(pem: Pem) -> Iterator[Trouble]:
    """Certificates of authorities, one of them at least in its dates."""
    found = _certificates(pem.data)
    if not found:
        yield Trouble(filled("{name} holds no certificate in PEM", name=pem.name), _instead(pem.data))
    elif all(one.not_valid_after_utc < pem.now for one in found):
        last = max(one.not_valid_after_utc for one in found)
        yield Trouble(filled("every authority in {name} ended, the last one on {day}", name=pem.name, day=_day(last)))


def lists(pem: Pem) -> Iterator[Trouble]:
    """Revocation lists."""
    end = b"-----END X509 CRL-----"
    try:
        found = [x509.load_pem_x509_crl(text.lstrip() + end + b"\n") for text in pem.data.split(end)[:-1]]
    except _BAD:
        found = []
    if not found:
        yield Trouble(filled("{name} holds no revocation list in PEM", name=pem.name), _instead(pem.data))
    ended = [one.next_update_utc for one in found if one.next_update_utc and one.next_update_utc < pem.now]
    if ended:
        refused = pem.beside("crl_expired") == "refuser"
        text = filled("a revocation list in {name} ended on {day}", name=pem.name, day=_day(min(ended)))
        yield Trouble(text, N_("fetch the new list"), "error" if refused else "warning")


# ------------------------------------------------------------------------------------------------- internals


def _certificates(data: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except _BAD:
        return ()


def _dates(pem: Pem, one: x509.Certificate) -> Iterator[Trouble]:
    begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
    if ends < pem.now:
        yield Trouble(filled("the certificate in {name} ended on {day}", name=pem.name, day=_day(ends)))
    elif begins > pem.now:
        yield Trouble(filled("the certificate in {name} is valid from {day} on", name=pem.name, day=_day(begins)))
    elif ends < pem.now + SOON:
        text = filled("the certificate in {name} ends on {day}", name=pem.name, day=_day(ends))
        yield Trouble(text, N_("order the next one"), "warning")


def _private(pem: Pem, data: bytes) -> Iterator[Trouble]:
    """The key opens with its password, and no other account reads it."""
    yield from (trouble for trouble in [_shut(pem, data, pem.name)] if trouble is not None)
    if private.open_to_others(pem.path):
        text = filled("other accounts of this machine can read the private key in {name}", name=pem.name)
        yield Trouble(text, N_("chmod 600"), "warning")


def _shut(pem: Pem, data: bytes, name: str) -> Trouble | None:
    """Why a key does not open, None when it does."""
    secret = pem.beside("key_password")
    try:
        password = secret.read().encode() if secret is not None else None
    except OperatorFault:
        return None  # told where the secret stands
    try:
        load_pem_private_key(data, password)
    except TypeError:
        if password is None:
            return Trouble(filled("the private key in {name} has a password", name=name), N_("add `key_password`"))
    except (ValueError, UnsupportedAlgorithm):
        if password is not None:
            return Trouble(filled("the private key in {name} does not open with its password", name=name))
        return Trouble(filled("the private key in {name} can't be read", name=name))
    return None


def _belongs(pem: Pem, leaf: x509.Certificate, data: bytes, name: str) -> Iterator[Trouble]:
    """The key is that of the certificate."""
    secret = pem.beside("key_password")
    try:
        found = load_pem_private_key(data, secret.read().encode() if secret is not None else None)
    except (*_BAD, OperatorFault):
        return  # told of the key itself
    if found.public_key() != leaf.public_key():
        text = filled("the key in {key} is not that of the certificate in {name}", key=name, name=pem.name)
        yield Trouble(text)


def _instead(data: bytes) -> str:
    """What a file holds that should hold something else."""
    if block := _BLOCK.search(data):
        return filled("it holds: {kind}", kind=block[1].decode().lower().replace(" ", "-"))
    if data[:1] == b"\x30":
        return N_("it looks like DER: convert it with openssl to PEM")
    return N_("it is empty") if not data.strip() else ""


def _day(moment: datetime) -> str:
    return f"{moment:%d/%m/%Y}"
