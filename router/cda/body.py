"""Whether the body of an N1 is what its mediaType says (rule R54): by its first bytes, as every reader would look.

A body that nobody can open is told to the sender at once, all or nothing: the DMP would take it, and the mail not.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from router.cda import oids
from router.cda.document import Document
from router.cda.light import decode
from router.cda.whole import Whole

BodyFault = Literal["", "base64", "type"]
"""Nothing wrong; no base64 although it says so; other bytes than those of the type."""

PDF: Final = "application/pdf"
TEXT: Final = "text/plain"
_RTF: Final = (b"{\\rtf",)
#: Media type -> how such a content begins: PNG, JPEG, GIF 87a and 89a, TIFF 6.0 and BigTIFF, RTF 1.9.1.
BEGINNINGS: Final[dict[str, tuple[bytes, ...]]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/jpg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "text/rtf": _RTF,
    "application/rtf": _RTF,
}
_NO_TEXT: Final = (b"%PDF-", *(one for kind in BEGINNINGS.values() for one in kind))
_LOOKED_AT: Final = 1024
"""Bytes among which a PDF must say what it is (ISO 32000, annex H), and a text must hold no zero."""

_NS: Final = "{" + oids.NAMESPACE + "}"
_NAME: Final = b"nonXMLBody"
_BODY: Final = re.compile(rb"nonXMLBody\b[^<>]*>\s*<(?:[\w.-]+:)?text\b([^<>]*)>")
_BASE64: Final = re.compile(rb"""\srepresentation\s*=\s*["']B64["']""")


def media_type(written: str) -> str:
    """`text/plain` of `Text/Plain; charset=utf-8`."""
    return written.partition(";")[0].strip().lower()


def body_fault(document: Document) -> BodyFault:
    """What is wrong with the body of an N1; '' of an N3, whose sections each reader judges by itself.

    A type that is not in our table is not judged, nor is a body that does not say its type.
    """
    if document.header.level != 1 or not document.header.media_type:
        return ""
    kind = media_type(document.header.media_type)
    if not _fault(kind, *_quick(document.raw)):
        return ""
    return _fault(kind, *_exact(document))  # what was looked at may have stood in a comment


def _fault(kind: str, base64: bool, content: bytes | None) -> BodyFault:
    """base64: whether the body says so;  content: None when it is none."""
    if content is None:
        return "base64"
    if kind == PDF:
        return "" if base64 and b"%PDF-" in content[:_LOOKED_AT] else "type"
    begins = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if kind == TEXT:
        return "type" if begins.startswith(_NO_TEXT) or b"\0" in content[:_LOOKED_AT] else ""
    return "" if kind not in BEGINNINGS or begins.startswith(BEGINNINGS[kind]) else "type"


def _quick(raw: bytes) -> tuple[bool, bytes | None]:
    """(whether it is base64, content) without a tree, of a body that is written as everybody writes it."""
    found = _BODY.match(raw, raw.find(_NAME)) if _NAME in raw else None
    if found is None or not _BASE64.search(found[1]):
        return False, None
    return True, decode([memoryview(raw)[found.end() : raw.find(b"<", found.end())]])


def _exact(document: Document) -> tuple[bool, bytes | None]:
    """The same by the tree, as the sinks read it."""
    whole = Whole(document.raw)
    text: Any = whole.root.find(f"{_NS}component/{_NS}nonXMLBody/{_NS}text")
    if text is None:
        return False, b""
    if text.get("representation") == "B64":
        return True, whole.light.decoded(text)
    return False, whole.light.restored("".join(text.itertext())).encode()
