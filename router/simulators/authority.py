"""A throw-away certificate authority in the manner of the IGC-Santé: for demonstrations and tests only.

Each structure gets two certificates, as in real life: ORG AUTH_CLI for TLS and ORG SIGN (cachet) for signatures.
Their keys stand unprotected in a folder, which is why nobody else may trust this authority.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from router.tls import THROW_AWAY

Usage = Literal["server", "auth", "sign"]

_EXTENDED: Final[Mapping[Usage, x509.ObjectIdentifier | None]] = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "sign": None,
}
_BITS: Final = 2048
_USAGES: Final = ("auth", "sign")


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, its private key and the authority's certificate."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)
    issuer: x509.Certificate

    def pem(self) -> bytes:
        """The certificate, then its issuer's: what a TLS peer or a signature wants to see."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, self.issuer))

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `<name>.pem` and `<name>.key` (mode 600); return both paths."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        key.touch(0o600)
        key.write_bytes(self.key_pem())
        certificate.write_bytes(self.pem())
        return certificate, key


class Authority:
    """Issues certificates below one self-signed root. Keys are made on the spot (about 0.1 s each)."""

    def __init__(self, name: str = THROW_AWAY) -> None:
        self._key = rsa.generate_private_key(65537, _BITS)
        subject = _name(name, "Segur Router", "0002 187512751")
        self.certificate = self._sign(subject, self._key, subject, days=3650, extensions=_ROOT_EXTENSIONS)

    @classmethod
    def kept(cls, folder: Path) -> Self | None:
        """The authority of `ca.pem` and `ca.key`; None when one of them is missing."""
        certificate, key = folder / "ca.pem", folder / "ca.key"
        if not (certificate.exists() and key.exists()):
            return None
        found = cls.__new__(cls)
        found.certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)  # noqa: S101  # we wrote it
        found._key = loaded
        return found

    def keep(self, folder: Path) -> None:
        """Write `ca.key` (mode 600) and `ca.pem`, so that more can be issued later."""
        key = folder / "ca.key"
        key.touch(0o600)
        key.write_bytes(Credential(self.certificate, self._key, self.certificate).key_pem())
        (folder / "ca.pem").write_bytes(self.pem())

    def issue(
        self,
        common_name: str,
        usage: Usage,
        *,
        organisation: str = "Segur Router",
        unit: str = "",
        hosts: Sequence[str] = (),
        days: int = 365,
        expired: bool = False,
    ) -> Credential:
        """A certificate for `usage`; `unit` is the Struct_IdNat of an organisation, `hosts` a server's names."""
        key = rsa.generate_private_key(65537, _BITS)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(signs=usage == "sign"), True),
        ]
        extended = _EXTENDED[usage]
        if extended is not None:
            extensions.append((x509.ExtendedKeyUsage([extended]), False))
        if hosts:
            extensions.append((x509.SubjectAlternativeName([_host(one) for one in hosts]), False))
        subject = _name(common_name, organisation, unit)
        certificate = self._sign(subject, key, self.certificate.subject, days, extensions, expired=expired)
        return Credential(certificate, key, self.certificate)

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        subject: x509.Name,
        key: rsa.RSAPrivateKey,
        issuer: x509.Name,
        days: int,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        expired: bool = False,
    ) -> x509.Certificate:
        end = dt.datetime.now(dt.UTC) + (dt.timedelta(minutes=-5) if expired else dt.timedelta(days=days))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(end, dt.datetime.now(dt.UTC)) - dt.timedelta(days=1))
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=signs,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


_ROOT_EXTENSIONS: Final[Sequence[tuple[x509.ExtensionType, bool]]] = (
    (x509.BasicConstraints(ca=True, path_length=0), True),
    (
        x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    ),
)


def _name(common: str, organisation: str, unit: str) -> x509.Name:
    parts = [(NameOID.COUNTRY_NAME, "FR"), (NameOID.STATE_OR_PROVINCE_NAME, "Paris (75)")]
    parts += [(NameOID.ORGANIZATION_NAME, organisation)]
    if unit:
        parts.append((NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    parts.append((NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# ------------------------------------------------------------------------------------------------ as files


class _Telling(ssl.SSLObject):
    """A server side that lets its alert leave when a handshake fails; asyncio would drop it with the connection."""

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            raise ssl.SSLWantReadError("the alert goes first") from error


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a demonstration: `ca.*`, `server.*`, and `<finess>-auth.*`, `<finess>-sign.*` per structure."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def names(self, structures: Iterable[str]) -> list[str]:
        """Of all pairs that these structures (FINESS) need."""
        return ["server", *(f"{finess}-{usage}" for finess in structures for usage in _USAGES)]

    def missing(self, structures: Iterable[str]) -> list[str]:
        """Names of the pairs that are not there."""
        return [name for name in self.names(structures) if not all(path.exists() for path in self.pair(name))]

    def issue(self, authority: Authority, name: str, organisation: str = "") -> None:
        """Write the pair of this name: `server`, `<finess>-auth`, `<finess>-sign`, `<finess>-auth-expired`…"""
        if name == "server":
            issued = authority.issue("localhost", "server", hosts=("127.0.0.1", "localhost", "::1"))
        else:
            finess, usage, *expired = name.split("-")
            issued = authority.issue(
                f"{organisation} {usage.upper()}",
                "auth" if usage == "auth" else "sign",
                organisation=organisation,
                unit=f"1{finess}",
                expired=bool(expired),
            )
        issued.write(self.folder, name)

    def pair(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of `server`, `<finess>-auth`, `<finess>-sign`, `<finess>-auth-expired`…"""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def server_context(self, *, client_required: bool = True, tls12_only: bool = False) -> ssl.SSLContext:
        """What a simulator listens with; clients must show a certificate of ours unless told otherwise."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = _Telling
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls12_only:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self.pair("server"))
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
        return context

    def client_context(self, name: str = "") -> ssl.SSLContext:
        """What a test's client connects with, showing the certificate `name` when given."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if name:
            context.load_cert_chain(*self.pair(name))
        return context


def make_certificates(folder: Path, structures: Mapping[str, str], *, variants: bool = False) -> Certificates:
    """Fill `folder` for these structures (FINESS → name), with an authority of its own.

    variants: expired ones too (`…-auth-expired`…).
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority()
    authority.keep(folder)
    made = Certificates(folder)
    made.issue(authority, "server")
    names = [(finess, usage) for finess in structures for usage in _USAGES]
    for finess, usage in names:
        made.issue(authority, f"{finess}-{usage}", structures[finess])
        if variants:
            made.issue(authority, f"{finess}-{usage}-expired", structures[finess])
    return made
