"""What a mail carries: the archive and the PDF copies, made once for all recipients of a document."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from router.cda.document import shown_pdf
from router.cda.narrative import narrative
from router.cda.whole import Whole
from router.errors import Malformed, Refused
from router.language import N_, filled, filled_plural
from router.payload import DocumentOrder
from router.rendering.page import Page, page_of
from router.rendering.pdfa import claimed
from router.rendering.renderer import Rendered
from router.request import Action, TransmissionRequest
from router.sinks.mssante.bodies import CopyKind
from router.sinks.mssante.mail import ARCHIVE, Attachment
from router.sinks.mssante.metadata import metadata_xml
from router.sinks.mssante.pdf_name import pdf_name
from router.sinks.mssante.qualified import documents_hold_ins
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.xdm import archive
from router.software import our_version
from router.structures import StructureConfig

CACHE_BYTES = 8 * 2**20


class NoCopy(Exception):  # not an error: the copy is still to be made
    """The document holds no PDF, and one shall be made of its text: `pack` is asked again with what came of it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The attachments of a mail. kind: its PDF copy;  told: of that copy, for operators (French)."""

    attachments: tuple[Attachment, ...] = field(repr=False)
    kind: CopyKind = ""
    told: str = ""
    claim: str = ""
    """The part of PDF/A that the copy claims: `PDF/A-1b`."""

    @property
    def copy(self) -> bool:
        """A PDF copy is among them."""
        return self.kind in ("document", "rendue")

    @property
    def size(self) -> int:
        return sum(len(attachment.content) for attachment in self.attachments)


class Packer:
    """Builds contents; the last ones are kept, within a budget of bytes, for the document's next recipient."""

    def __init__(self, config: MssanteConfig, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._config = config
        self._budget = cache_bytes
        self._held = 0
        self._kept: OrderedDict[str, Contents] = OrderedDict()

    def pack(
        self,
        order: DocumentOrder,
        documents: Sequence[bytes | memoryview],
        structure: StructureConfig,
        event_id: str,
        rendered: Rendered | None = None,
        *,
        alone: bool = False,
    ) -> Contents:
        """Archive and copies of one event.

        rendered: what came of rendering the document, when that was tried
        alone:    the archive without any copy, because the mail would be too large
        Raises `NoCopy` when it should be rendered, `Refused` `MSS-554` when a copy is wanted and there is none.
        """
        key = f"{_key(order, documents, structure, event_id)}|{alone}"
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = self._make(order, documents, structure, event_id, rendered, alone)
        if made.size <= self._budget:
            self._kept[key] = made
            self._held += made.size
            while self._held > self._budget:
                self._held -= self._kept.popitem(last=False)[1].size
        return made

    def _make(
        self,
        order: DocumentOrder,
        documents: Sequence[bytes | memoryview],
        structure: StructureConfig,
        event_id: str,
        rendered: Rendered | None,
        alone: bool,
    ) -> Contents:
        request, told = order.request, ""
        kind: CopyKind = ""
        copy: list[Attachment] = []
        wholes = [Whole(document) for document in documents]
        if alone:
            kind, told = "trop-grosse", N_("non jointe : le message aurait été trop gros")
        elif wanted(order):
            copy = _own_copy(request, wholes)
            kind = "document" if copy else ""
            if not copy and self._config.n3_sans_pdf == "refuser" and request.action is not Action.DELETE:
                raise Refused("MSS-554", "OBX-5", "document sans copie PDF")
            if not copy and self._config.n3_sans_pdf == "rendre":
                if rendered is None:
                    raise NoCopy
                kind, copy, told = _rendered_copy(request, rendered)
        metadata = metadata_xml(order, documents, structure, event_id, self._config)
        software = (self._config.software, our_version(), self._config.vendor)
        packed = archive(metadata, wholes, request, structure, software, kind=kind)
        claim = claimed(copy[0].content) if copy else ""
        if kind == "document":
            told = claim or N_("PDF du document, qui ne se dit pas PDF/A")
        return Contents((Attachment(ARCHIVE, "application/zip", packed), *copy), kind, told, claim)


def wanted(order: DocumentOrder) -> bool:
    """Whether the pipeline wants a PDF copy in the mail."""
    return bool(order.options.get("pdf_copy", True))


def page_to_render(order: DocumentOrder, documents: Sequence[bytes | memoryview]) -> Page:
    """The page of the document that gives the lineage: of an N1 + N3 pair the N3, which has the text."""
    request = order.request
    rank = request.documents.index(request.principal)
    return page_of(request, request.principal, narrative(Whole(documents[rank])), ins=documents_hold_ins(request))


def render_key(order: DocumentOrder, documents: Sequence[bytes | memoryview]) -> str:
    """Everything a rendered copy is made of."""
    return _key(order, documents, StructureConfig(name="", source_oid=""), "")


def _own_copy(request: TransmissionRequest, wholes: Sequence[Whole]) -> list[Attachment]:
    """The PDF that shows the document: of an N1 + N3 pair one, for they are one report, and that of the N1 (case 3).

    Raises `Malformed` `CDA-PDF` when that of an N1 can't be read; a deletion leaves without it (D1).
    """
    pairs = sorted(zip(request.documents, wholes, strict=True), key=lambda pair: pair[0].level)
    for header, whole in pairs:
        try:
            pdf = shown_pdf(header, whole)
        except Malformed:
            if request.action is not Action.DELETE:
                raise
            continue
        if pdf is not None:
            return [Attachment(pdf_name(request, header), "application/pdf", pdf)]
    return []


def _rendered_copy(request: TransmissionRequest, rendered: Rendered) -> tuple[CopyKind, list[Attachment], str]:
    if rendered.pdf is None:
        return "", [], rendered.reason
    name = pdf_name(request, request.principal)
    told = filled(N_("texte du document mis en page, PDF/{standard}"), standard=rendered.standard.upper())
    if rendered.absent:
        absent = filled_plural(
            "{count} caractère que les polices n'ont pas y est écrit par son numéro Unicode",
            "{count} caractères que les polices n'ont pas y sont écrits par leur numéro Unicode",
            rendered.absent,
        )
        told = f"{told} ; {absent}"
    return "rendue", [Attachment(name, "application/pdf", rendered.pdf)], told


def _key(
    order: DocumentOrder, documents: Sequence[bytes | memoryview], structure: StructureConfig, event_id: str
) -> str:
    """Everything the contents are made of, but the recipient."""
    digest = hashlib.sha1(usedforsecurity=False)
    for header, raw in zip(order.request.documents, documents, strict=True):
        digest.update(header.sha1.encode() or raw)
    # The register is asked again at each sending: an INS that was withdrawn since is in no archive made before (D2).
    digest.update(order.request.model_dump_json(exclude={"recipients"}).encode())
    return f"{event_id}|{structure.finess}|{order.request.action}|{wanted(order)}|{digest.hexdigest()}"
