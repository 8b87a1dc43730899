"""`read(bytes)`: check a CDA, read its header, keep its bytes (hl7-input §6; rules R35 and R37)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from router.cda import oids, xml
from router.cda.header import (
    BODY_TAGS,
    IntendedRecipient,
    body_kind,
    header_of,
    intended_recipients,
    predecessors,
)
from router.cda.light import Light
from router.cda.minimal import missing_items, require
from router.cda.presented import ROOT, document_in, is_stylesheet
from router.cda.whole import Whole
from router.errors import Malformed
from router.request import DocumentHeader

__all__ = ["Document", "IntendedRecipient", "missing_items", "read", "require"]

LIMIT: Final = 24 * 2**20
"""Bytes of a document by default (hl7-input §7.6)."""

_NS: Final = "{" + oids.NAMESPACE + "}"
_PDF: Final = "application/pdf"


@dataclass(frozen=True, slots=True)
class Document:
    """A checked CDA. `raw` are the bytes as received: what is hashed, stored and sent.

    predecessors: ids (`root` or `root^extension`) of every parent that it says it replaces; R62 wants one.
    intended:     mailboxes named inside the document: used for senders of the volet 1.2 alone.
    """

    header: DocumentHeader
    raw: bytes = field(repr=False)
    predecessors: tuple[str, ...] = ()
    intended: tuple[IntendedRecipient, ...] = field(default=(), repr=False)

    def pdf(self, whole: Whole | None = None) -> bytes | None:
        """The PDF that shows this very document, or None when it holds none (hl7-input §6.3).

        N1: the body, when it is a PDF. N3: the PDF of the section "Copie du document", never an annex and never
        "the first PDF". A copy that can't be decoded counts as none; a body that can't be is `Malformed`
        `CDA-PDF`, because then nobody can read the document.

        whole: the same document, when others read its tree too.
        """
        return shown_pdf(self.header, whole or Whole(self.raw))


def read(data: bytes, *, limit: int = LIMIT, self_presenting: bool = False) -> Document:
    """Check the bytes and read the header; neither the tree of the body nor a copy of the bytes is made.

    self_presenting: take a document inside a stylesheet (decisions D14); its whole tree is made.
    Raises `Malformed` R35: not XML, a DOCTYPE, too large, too deep, not a ClinicalDocument of HL7 v3. Items
    that are missing don't raise: see `missing_items` (R37).
    """
    xml.check_bytes(data, limit)
    xml.check_syntax(data)
    root = xml.read_until(data, BODY_TAGS, body_kind)
    inside = is_stylesheet(root)
    if inside and not self_presenting:
        raise xml.refused("CDA auto-présentable (racine xsl:stylesheet) refusé : transmettre le ClinicalDocument seul.")
    if inside:
        root = document_in(xml.read_whole(data, bare=True))
    if root.tag != ROOT:
        raise xml.refused("Le document n'est pas un CDA : racine ClinicalDocument (urn:hl7-org:v3) attendue.")
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    header = header_of(root, size=len(data), sha1=sha1)
    if inside:
        header = header.model_copy(update={"self_presenting": True})
    return Document(header, data, predecessors(root), intended_recipients(root))


def shown_pdf(header: DocumentHeader, whole: Whole) -> bytes | None:
    """See `Document.pdf`: `header` is that of the document `whole`."""
    if header.level == 1:
        return _body(header, whole)
    if oids.PDF_COPY_SECTION.encode() not in whole.light.data:
        return None
    for section in whole.root.iter(_NS + "section"):
        if _is_copy(section):
            return _copy_in(section, whole.light)
    return None


def _body(header: DocumentHeader, whole: Whole) -> bytes | None:
    if header.media_type != _PDF:
        return None
    text = whole.root.find(f"{_NS}component/{_NS}nonXMLBody/{_NS}text")
    content = _decoded(text, whole.light)
    if content is None:
        raise Malformed("CDA-PDF", xml.PLACE, "le corps du document n'est pas un PDF lisible")
    return content


def _is_copy(section: Any) -> bool:
    """Section "Copie du document": both its template and its code, so that no annex is taken for it."""
    codes = {code.get("code") for code in section.iterchildren(_NS + "code")}
    return oids.PDF_COPY_CODE in codes and oids.PDF_COPY_SECTION in _templates(section)


def _copy_in(section: Any, light: Light) -> bytes | None:
    organizers = section.iterfind(f"{_NS}entry/{_NS}organizer")
    for organizer in organizers:
        if oids.PDF_COPY_ORGANIZER in _templates(organizer):
            for value in organizer.iterfind(f"{_NS}component/{_NS}observationMedia/{_NS}value"):
                if value.get("mediaType") == _PDF and (content := _decoded(value, light)) is not None:
                    return content
    return None


def _templates(element: Any) -> set[str]:
    return {template.get("root") for template in element.iterchildren(_NS + "templateId")}


def _decoded(element: Any, light: Light) -> bytes | None:
    """The PDF in an ED element (`representation="B64"`), or None when it is not one."""
    content = light.decoded(element)
    return content if content is not None and b"%PDF-" in content[:1024] else None
