"""What a mail carries: the archive and the PDF copies, made once for all recipients of a document."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from router.cda.document import Document
from router.errors import Refused
from router.payload import DocumentOrder
from router.request import TransmissionRequest
from router.sinks.mssante.mail import ARCHIVE, Attachment
from router.sinks.mssante.metadata import metadata_xml
from router.sinks.mssante.pdf_name import pdf_name
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.xdm import archive
from router.software import our_version
from router.structures import StructureConfig

CACHE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Contents:
    """The attachments of a mail; `copy`: a PDF copy is among them."""

    attachments: tuple[Attachment, ...] = field(repr=False)
    copy: bool = False

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
        self, order: DocumentOrder, documents: Sequence[bytes], structure: StructureConfig, event_id: str
    ) -> Contents:
        """Archive and copies of one event. Raises `Refused` `MSS-554` when a copy is wanted and there is none."""
        key = _key(order, documents, structure, event_id)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = self._make(order, documents, structure, event_id)
        if made.size <= self._budget:
            self._kept[key] = made
            self._held += made.size
            while self._held > self._budget:
                self._held -= self._kept.popitem(last=False)[1].size
        return made

    def _make(
        self, order: DocumentOrder, documents: Sequence[bytes], structure: StructureConfig, event_id: str
    ) -> Contents:
        request = order.request
        metadata = metadata_xml(order, documents, structure, event_id, self._config)
        software = (self._config.software, our_version(), self._config.vendor)
        copy: list[Attachment] = []
        if order.options.get("pdf_copy", True):
            copy = _copy(request, documents, self._config.n3_sans_pdf)
        packed = archive(metadata, documents, request, structure, software, copy=bool(copy))
        return Contents((Attachment(ARCHIVE, "application/zip", packed), *copy), bool(copy))


def _copy(
    request: TransmissionRequest, documents: Sequence[bytes], missing: Literal["zip-seul", "refuser"]
) -> list[Attachment]:
    """The PDF that shows the document: of an N1 + N3 pair one, for they are one report, and that of the N1 (case 3)."""
    pairs = sorted(zip(request.documents, documents, strict=True), key=lambda pair: pair[0].level)
    for header, raw in pairs:
        pdf = Document(header, raw).pdf()
        if pdf is not None:
            return [Attachment(pdf_name(request, header), "application/pdf", pdf)]
    if missing == "refuser":
        raise Refused("MSS-554", "OBX-5", "document sans copie PDF")
    return []


def _key(order: DocumentOrder, documents: Sequence[bytes], structure: StructureConfig, event_id: str) -> str:
    """Everything the contents are made of, but the recipient."""
    digest = hashlib.sha1(usedforsecurity=False)
    for header, raw in zip(order.request.documents, documents, strict=True):
        digest.update(header.sha1.encode() or raw)
    # The register is asked again at each sending: an INS that was withdrawn since is in no archive made before (D2).
    digest.update(order.request.model_dump_json(exclude={"recipients"}).encode())
    copy = bool(order.options.get("pdf_copy", True))
    return f"{event_id}|{structure.finess}|{order.request.action}|{copy}|{digest.hexdigest()}"
