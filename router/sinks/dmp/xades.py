"""The signature of a lot: a detached XAdES 1.1.1 document over a manifest of its documents (dmp §4, IHE DSG).

It is written in canonical form (inclusive, with comments) as a document of its own, and shipped as these bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from router.sinks.dmp.canonical import DIGEST_URI, DS, SIGNATURE_URI, attribute, digest, text
from router.sinks.dmp.credentials import Seal

XADES: Final = "http://uri.etsi.org/01903/v1.1.1#"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
NO_CONTENT: Final = "AA=="
"""Digest of the set itself in the manifest: one zero byte, by convention."""
_DECLARED: Final = f' xmlns:ds="{DS}" xmlns:xad="{XADES}"'
_PURPOSE: Final = "1.2.840.10065.1.12.1.14"


@dataclass(frozen=True, slots=True)
class Signed:
    """A document of the lot: its uniqueId and the digest (base64) of its canonical form."""

    unique_id: str
    digest: str


def sign_lot(
    *,
    identifier: str,
    set_id: str,
    documents: Sequence[Signed],
    seal: Seal,
    now: float,
    algorithm: str,
) -> bytes:
    """The signature document of a lot. `identifier` is its Id (an NCName); `now` in Unix seconds."""
    manifest = _manifest(set_id, documents, algorithm)
    properties = _signed_properties(seal, now, algorithm)
    info = _signed_info(
        digest(manifest(_DECLARED).encode(), algorithm), digest(properties(_DECLARED).encode(), algorithm), algorithm
    )
    value = seal.sign(info(_DECLARED).encode(), algorithm)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ds:Signature{_DECLARED} Id="{identifier}">'
        f"{info('')}<ds:SignatureValue>{value}</ds:SignatureValue>"
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{seal.certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        f"<ds:Object>{manifest('')}</ds:Object>"
        f'<ds:Object><ds:SignatureProperties><ds:SignatureProperty Id="purposeOfSignature" Target="#{identifier}">'
        f"{_PURPOSE}</ds:SignatureProperty></ds:SignatureProperties></ds:Object>"
        f'<ds:Object><xad:QualifyingProperties Target="#{identifier}">{properties("")}</xad:QualifyingProperties>'
        "</ds:Object></ds:Signature>"
    ).encode()


class _Part:
    """A part whose canonical form, at its apex, declares the namespaces in scope; inside the document it doesn't."""

    def __init__(self, tag: str, rest: str) -> None:
        self._tag = tag
        self._rest = rest

    def __call__(self, declared: str) -> str:
        return f"<{self._tag}{declared}{self._rest}"


def _reference(uri: str, value: str, algorithm: str, *, kind: str = "", canonical: bool = False) -> str:
    typed = f' Type="{kind}"' if kind else ""
    transforms = f'<ds:Transforms><ds:Transform Algorithm="{C14N}"></ds:Transform></ds:Transforms>' if canonical else ""
    return (
        f'<ds:Reference{typed} URI="{attribute(uri)}">{transforms}'
        f'<ds:DigestMethod Algorithm="{DIGEST_URI[algorithm]}"></ds:DigestMethod>'
        f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
    )


def _signed_info(manifest: str, properties: str, algorithm: str) -> _Part:
    return _Part(
        "ds:SignedInfo",
        f'><ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{SIGNATURE_URI[algorithm]}"></ds:SignatureMethod>'
        f"{_reference('#IHEManifest', manifest, algorithm, kind=DS + 'Manifest', canonical=True)}"
        f"{_reference('#S0-SignedProperties', properties, algorithm, kind=XADES + 'SignedProperties', canonical=True)}"
        "</ds:SignedInfo>",
    )


def _manifest(set_id: str, documents: Sequence[Signed], algorithm: str) -> _Part:
    held = "".join(
        _reference(f"urn:oid:{document.unique_id}", document.digest, algorithm, canonical=True)
        for document in documents
    )
    return _Part(
        "ds:Manifest",
        f' Id="IHEManifest">{_reference(f"urn:oid:{set_id}", NO_CONTENT, algorithm)}{held}</ds:Manifest>',
    )


def _signed_properties(seal: Seal, now: float, algorithm: str) -> _Part:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    certificates = "".join(
        f'<xad:Cert><xad:CertDigest><xad:DigestMethod Algorithm="{DIGEST_URI[algorithm]}"></xad:DigestMethod>'
        f"<xad:DigestValue>{value}</xad:DigestValue></xad:CertDigest><xad:IssuerSerial>"
        f"<ds:X509IssuerName>{text(issuer)}</ds:X509IssuerName><ds:X509SerialNumber>{serial}</ds:X509SerialNumber>"
        "</xad:IssuerSerial></xad:Cert>"
        for value, issuer, serial in seal.digests(algorithm)
    )
    return _Part(
        "xad:SignedProperties",
        ' Id="S0-SignedProperties"><xad:SignedSignatureProperties>'
        f"<xad:SigningTime>{moment}</xad:SigningTime>"
        f"<xad:SigningCertificate>{certificates}</xad:SigningCertificate>"
        "<xad:SignaturePolicyIdentifier><xad:SignaturePolicyImplied></xad:SignaturePolicyImplied>"
        "</xad:SignaturePolicyIdentifier></xad:SignedSignatureProperties></xad:SignedProperties>",
    )
