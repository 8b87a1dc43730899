"""What the DMP asks of a certificate: issued by the authority, in its dates, made for this use, of this structure."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@lru_cache(maxsize=256)
def load(der: bytes) -> x509.Certificate:
    """A certificate from its DER. Raises ValueError."""
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=256)
def signs(certificate: x509.Certificate) -> bool:
    """Whether it is a signature certificate (ORG SIGN): non-repudiation, and not a TLS client's."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return usage.content_commitment
    return usage.content_commitment and ExtendedKeyUsageOID.CLIENT_AUTH not in extended


def valid(certificate: x509.Certificate, authority: x509.Certificate, at: dt.datetime) -> bool:
    """Whether `authority` issued it and `at` is within its dates."""
    within = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
    return within and _issued_by(certificate, authority)


@lru_cache(maxsize=256)
def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    algorithm = certificate.signature_hash_algorithm
    if not isinstance(key, rsa.RSAPublicKey) or algorithm is None or certificate.issuer != authority.subject:
        return False
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=256)
def structure(certificate: x509.Certificate) -> str:
    """The Struct_IdNat of its subject (OU), "" when it has none."""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(units[0].value) if units else ""


@lru_cache(maxsize=256)
def distinguished_name(certificate: x509.Certificate) -> str:
    """Its subject after RFC 4514 (most specific first), as the Issuer of a VIHF shows it; dotted types by text."""
    return certificate.subject.rfc4514_string()


def same_name(one: str, other: str) -> bool:
    """Whether two DN texts name the same subject, whatever the blanks and the spelling `S` of ST.

    In `one` a type that is written in dotted form must have the encoding of its value (`2.5.4.97=#0c…`).
    """
    return _parts(one, encoded=True) == _parts(other, encoded=False)


def _parts(name: str, *, encoded: bool) -> list[str]:
    out = []
    for part in name.replace("\\,", "\0").split(","):
        kind, _, value = part.partition("=")
        kind = {"S": "ST"}.get(kind.strip().upper(), kind.strip().upper())
        if encoded and kind[:1].isdigit():
            value = _decoded(value.strip())
        out.append(f"{kind}={value.strip()}")
    return out


def _decoded(value: str) -> str:
    """The text of `#` and the hex of a short string's DER (tag, one byte of length, content); "" otherwise."""
    try:
        der = bytes.fromhex(value.removeprefix("#"))
    except ValueError:
        return ""
    fits = value.startswith("#") and len(der) >= 2 and der[1] == len(der) - 2
    return der[2:].decode("utf-8", "replace") if fits else ""
