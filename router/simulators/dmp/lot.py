"""The signature of the submission set, XAdES 1.1.1 (dmp §4): structure, digests, value, certificate."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from lxml import etree

from router.simulators.dmp import certificate as certificates
from router.simulators.dmp import xmldsig
from router.simulators.dmp.soap import parse_xml
from router.simulators.dmp.vihf import Trust

_XADES: Final = "{http://uri.etsi.org/01903/v1.1.1#}"
_MANIFEST: Final = f"{xmldsig.DS}Manifest"
_PROPERTIES: Final = "http://uri.etsi.org/01903/v1.1.1#SignedProperties"
_PURPOSE: Final = "1.2.840.10065.1.12.1.14"


Contents = Mapping[str, tuple[bytes, Any]]
"""The documents of a lot by uniqueId: bytes and parsed root."""


def check(data: bytes, set_id: str, documents: Contents, trust: Trust, now: dt.datetime) -> dt.datetime:
    """Verify the signature document of a lot and return its signing time.

    `documents` are the other documents of the lot. Raises BadSignature for whatever does not hold.
    """
    try:
        root = parse_xml(data)
    except etree.XMLSyntaxError as error:
        raise xmldsig.BadSignature("document de signature illisible") from error
    if root.tag != xmldsig.q("Signature"):
        raise xmldsig.BadSignature("ds:Signature attendue")
    chain = xmldsig.certificates(root)
    if not chain or not certificates.signs(chain[0]):
        raise xmldsig.BadSignature("certificat de cachet attendu")
    if trust.authority is not None and not certificates.valid(chain[0], trust.authority, now):
        raise xmldsig.BadSignature("certificat non valide")
    by_id = {one.get("Id"): one for one in root.iter() if isinstance(one.tag, str) and one.get("Id")}
    _signed_info(root, by_id)
    xmldsig.check_value(root, chain[0])
    _manifest(root, set_id, documents)
    _purpose(root)
    return _properties(root, chain[0])


def _signed_info(root: Any, by_id: Mapping[str, Any]) -> None:
    found = {one.kind: one for one in xmldsig.references(root.find(xmldsig.q("SignedInfo")))}
    for kind, tag in ((_MANIFEST, xmldsig.q("Manifest")), (_PROPERTIES, f"{_XADES}SignedProperties")):
        reference = found.get(kind)
        target = by_id.get(reference.uri.lstrip("#")) if reference else None
        if reference is None or target is None or target.tag != tag:
            raise xmldsig.BadSignature(f"référence absente vers {tag.split('}')[1]}")
        if not reference.holds(xmldsig.transformed(reference, target)):
            raise xmldsig.BadSignature(f"empreinte fausse de {tag.split('}')[1]}")


def _manifest(root: Any, set_id: str, documents: Contents) -> None:
    manifest = root.find(f"{xmldsig.q('Object')}/{xmldsig.q('Manifest')}")
    found = {one.uri.removeprefix("urn:oid:"): one for one in xmldsig.references(manifest)}
    if set_id not in found or found[set_id].digest != b"\0":
        raise xmldsig.BadSignature("lot de soumission absent du manifeste")
    if set(found) - {set_id} != set(documents):
        raise xmldsig.BadSignature("le manifeste ne liste pas les documents du lot")
    for unique_id, (content, parsed) in documents.items():
        reference = found[unique_id]
        if reference.transforms and parsed is None:
            raise xmldsig.BadSignature("document du manifeste illisible")
        data = xmldsig.transformed(reference, parsed.getroottree()) if reference.transforms else content
        if not reference.holds(data):
            raise xmldsig.BadSignature("empreinte fausse d'un document du manifeste")


def _purpose(root: Any) -> None:
    properties = root.find(f"{xmldsig.q('Object')}/{xmldsig.q('SignatureProperties')}")
    said = "".join(properties.itertext()) if properties is not None else ""
    coded = [value for one in properties.iter() for value in one.attrib.values()] if properties is not None else []
    if _PURPOSE not in said and _PURPOSE not in coded:
        raise xmldsig.BadSignature("purposeOfSignature absent")


def _properties(root: Any, signer: x509.Certificate) -> dt.datetime:
    signed = root.find(
        f"{xmldsig.q('Object')}/{_XADES}QualifyingProperties/{_XADES}SignedProperties/{_XADES}SignedSignatureProperties"
    )
    if signed is None:
        raise xmldsig.BadSignature("SignedSignatureProperties absent")
    value = signed.findtext(f"{_XADES}SigningCertificate/{_XADES}Cert/{_XADES}CertDigest/{_XADES}DigestValue")
    value = value or signed.findtext(
        f"{_XADES}SigningCertificate/{_XADES}Cert/{_XADES}CertDigest/{xmldsig.q('DigestValue')}"
    )
    der = signer.public_bytes(serialization.Encoding.DER)
    digests = {hashlib.sha1(der, usedforsecurity=False).digest(), hashlib.sha256(der).digest()}
    if not value or base64.b64decode(value) not in digests:
        raise xmldsig.BadSignature("SigningCertificate ne désigne pas le signataire")
    policy = signed.find(f"{_XADES}SignaturePolicyIdentifier/{_XADES}SignaturePolicyImplied")
    if policy is None:
        raise xmldsig.BadSignature("SignaturePolicyImplied absent")
    text = (signed.findtext(f"{_XADES}SigningTime") or "").strip()
    try:
        return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise xmldsig.BadSignature("SigningTime illisible") from error
