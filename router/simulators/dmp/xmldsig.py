"""XML signatures, verified with code of our own on lxml's canonical XML and `cryptography`'s primitives."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from router.simulators.dmp.certificate import load

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED: Final = f"{DS}enveloped-signature"
INCLUSIVE: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"

#: Canonicalisation URI -> (exclusive, with comments).
_C14N: Final[Mapping[str, tuple[bool, bool]]] = {
    INCLUSIVE: (False, False),
    f"{INCLUSIVE}#WithComments": (False, True),
    _EXCLUSIVE: (True, False),
    f"{_EXCLUSIVE}WithComments": (True, True),
}
_DIGESTS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    f"{DS}sha1": lambda data: hashlib.sha1(data, usedforsecurity=False),
    "http://www.w3.org/2001/04/xmlenc#sha256": hashlib.sha256,
    "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512,
}
_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    f"{DS}rsa-sha1": hashes.SHA1(),  # noqa: S303 - what deployed senders use (dmp §4)
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": hashes.SHA512(),
}


class BadSignature(Exception):
    """Why a signature does not hold: a short text for the answer."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A `ds:Reference`: where it points and what it says of it."""

    uri: str
    kind: str
    transforms: tuple[tuple[str, str], ...]
    """(algorithm, InclusiveNamespaces PrefixList)."""
    digest_method: str
    digest: bytes

    def holds(self, data: bytes) -> bool:
        method = _DIGESTS.get(self.digest_method)
        return method is not None and bool(method(data).digest() == self.digest)


def q(name: str) -> str:
    return f"{{{DS}}}{name}"


def canonical(element: Any, algorithm: str, prefixes: str = "") -> bytes:
    """Canonical bytes of an element where it stands. Raises BadSignature for an unknown algorithm."""
    if algorithm not in _C14N:
        raise BadSignature("canonicalisation inconnue")
    exclusive, comments = _C14N[algorithm]
    listed = prefixes.split() if exclusive and prefixes else None
    out: bytes = etree.tostring(
        element, method="c14n", exclusive=exclusive, with_comments=comments, inclusive_ns_prefixes=listed
    )
    return out


def references(parent: Any) -> list[Reference]:
    """The references of a SignedInfo or a Manifest."""
    if parent is None:
        raise BadSignature("SignedInfo ou Manifest absent")
    return [_reference(element) for element in parent.findall(q("Reference"))]


def _reference(element: Any) -> Reference:
    method, value = element.find(q("DigestMethod")), element.findtext(q("DigestValue"))
    if method is None or not value:
        raise BadSignature("référence incomplète")
    transforms = []
    for transform in element.findall(f"{q('Transforms')}/{q('Transform')}"):
        listed = transform.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
        prefixes = listed.get("PrefixList", "") if listed is not None else ""
        transforms.append((transform.get("Algorithm", ""), prefixes))
    digest = base64.b64decode("".join(value.split()))
    return Reference(
        element.get("URI", ""), element.get("Type", ""), tuple(transforms), method.get("Algorithm", ""), digest
    )


def transformed(reference: Reference, element: Any) -> bytes:
    """What a reference to this element digests, after its transforms (inclusive c14n when it has none)."""
    algorithm, prefixes = INCLUSIVE, ""
    for name, listed in reference.transforms:
        if name == _ENVELOPED:
            element = without_signature(element)
        else:
            algorithm, prefixes = name, listed
    return canonical(element, algorithm, prefixes)


def without_signature(element: Any) -> Any:
    """A copy without its own `ds:Signature` child; the text around it stays."""
    clone = copy.deepcopy(element)
    clone.tail = None
    for signature in clone.findall(q("Signature")):
        tail, before = signature.tail or "", signature.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            clone.text = (clone.text or "") + tail
        clone.remove(signature)
    return clone


def certificates(signature: Any) -> list[x509.Certificate]:
    """The certificates of KeyInfo, the signer's first."""
    found = signature.findall(f"{q('KeyInfo')}/{q('X509Data')}/{q('X509Certificate')}")
    try:
        return [load(base64.b64decode(one.text or "")) for one in found]
    except ValueError as error:
        raise BadSignature("certificat illisible") from error


def check_value(signature: Any, certificate: x509.Certificate) -> None:
    """SignatureValue over SignedInfo. Raises BadSignature when it does not hold."""
    info = signature.find(q("SignedInfo"))
    method = info.find(q("SignatureMethod")) if info is not None else None
    form = info.find(q("CanonicalizationMethod")) if info is not None else None
    value = signature.findtext(q("SignatureValue"))
    if method is None or form is None or not value:
        raise BadSignature("signature incomplète")
    algorithm = _SIGNATURES.get(method.get("Algorithm", ""))
    key = certificate.public_key()
    if algorithm is None or not isinstance(key, rsa.RSAPublicKey):
        raise BadSignature("algorithme de signature inconnu")
    listed = form.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
    prefixes = listed.get("PrefixList", "") if listed is not None else ""
    data = canonical(info, form.get("Algorithm", ""), prefixes)
    try:
        key.verify(base64.b64decode("".join(value.split())), data, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("valeur de signature fausse") from error
