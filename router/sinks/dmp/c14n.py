"""Digest of a whole document in Canonical XML 1.0 with comments, for the manifest of a lot (dmp §4).

libxml2 does the work. The base64 of an embedded PDF is most of a document's bytes, and its characters stand for
themselves in any canonical form: it is taken out before and put back after, which makes the rest 3 times faster.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from lxml import etree

from router.errors import Refused

_SELF: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \n"
"""Bytes that mean the same, and stay the same, in XML text of every encoding that contains ASCII."""
LONG: Final = 4096
"""Bytes from which a text is worth taking out."""


def document_digest(data: bytes, algorithm: str) -> str:
    """Base64 of the digest (sha1 or sha256) of the canonical form. Raises `Refused` `PFI-XML` for malformed XML."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for piece in canonical(data):
        hasher.update(piece)
    return base64.b64encode(hasher.digest()).decode()


def canonical(data: bytes) -> list[bytes]:
    """The canonical form, in pieces."""
    mark = b"segur-%s-" % secrets.token_hex(16).encode()
    light, texts = _without_long_texts(data, mark)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, collect_ids=False)
    try:
        tree = etree.fromstring(light, parser).getroottree()
    except etree.XMLSyntaxError as error:
        raise Refused("PFI-XML", "", "le document n'est pas du XML bien formé") from error
    pieces = etree.tostring(tree, method="c14n", with_comments=True).split(mark)
    for at, text in enumerate(texts):
        pieces.insert(2 * at + 1, text)
    return pieces


def _without_long_texts(data: bytes, mark: bytes) -> tuple[bytes, list[bytes]]:
    """The document with `mark` in the place of its long texts of base64, and these texts in order.

    Such a text reaches up to a `<`, so it is no attribute's value: that would have to be closed by a quote.
    """
    if len(data) < LONG:
        return data, []
    pieces, texts = data.split(b"<"), []
    for at, piece in enumerate(pieces):
        if len(piece) >= LONG:
            tag, bracket, text = piece.partition(b">")
            if bracket and len(text) >= LONG and not text.isspace() and not text.translate(None, _SELF):
                pieces[at] = tag + bracket + mark
                texts.append(text)
    return (b"<".join(pieces), texts) if texts else (data, [])
