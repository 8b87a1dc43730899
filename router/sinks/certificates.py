"""When certificates end, and whose they are: all that must be known of one before it is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_STRUCT_ID_NAT: Final = re.compile(r"[0-5][0-9AB]{8,}")


def expires(path: Path) -> float | None:
    """Unix time at which the first certificate of a PEM file ends; None when the file can't be read."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None


def issuers(path: Path) -> frozenset[str]:
    """Names (CN) of the authorities that issued the certificates of a PEM file; none when it can't be read."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return frozenset()
    names = (name for one in found for name in one.issuer.get_attributes_for_oid(NameOID.COMMON_NAME))
    return frozenset(str(name.value) for name in names)


def structure_of(path: Path) -> str:
    """Struct_IdNat of the organisation that a PEM file's first certificate belongs to (OU of its subject, dmp §7).

    "" when it names none, or can't be read: whoever uses the file says so.
    """
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError):
        return ""
    return structure_in(certificate)


def structure_in(certificate: x509.Certificate) -> str:
    """The same of a certificate that was read."""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return next((str(one.value) for one in units if _STRUCT_ID_NAT.fullmatch(str(one.value))), "")
