"""METADATA.XML of the archive: the same values as for the DMP, with the differences of mssante §2.3 and §2.4."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from router.payload import DocumentOrder
from router.request import Action
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.xdm import document_name
from router.structures import StructureConfig
from router.xds.datatypes import oid_of
from router.xds.ebxml import archive_metadata
from router.xds.metadata import document_entry, submission_set

#: What the extra metadata `action` says; nothing for an initial sending (mssante §2.4).
ACTIONS: Final = {Action.INITIAL: "", Action.REPLACE: "C", Action.DELETE: "D"}


def metadata_xml(
    order: DocumentOrder,
    documents: Sequence[bytes | memoryview],
    structure: StructureConfig,
    event_id: str,
    config: MssanteConfig,
) -> bytes:
    """The file. Hash and size are those of the bytes in the archive; the set's uniqueId is one per event, so for
    all its recipients and retries. Raises `Invalid` `XDS-…`.
    """
    request = order.request
    entries = [
        document_entry(
            header if header.sha1 and header.size == len(raw) else header.model_copy(update=_measured(raw)),
            request,
            id=f"Document{rank:02d}",
            uri=document_name(rank),
            ipp_oid=structure.ipp_oid,
            default_class=config.default_class,
        )
        for rank, (header, raw) in enumerate(zip(request.documents, documents, strict=True), start=1)
    ]
    lot = submission_set(
        request, structure, unique_id=oid_of(event_id, "xdm"), now=order.accepted, ipp_oid=structure.ipp_oid
    )
    return archive_metadata(
        lot,
        entries,
        action=ACTIONS[request.action],
        action_slot=config.xdm_action_slot,
        action_on_set=config.xdm_action_level == "lot",
    )


def _measured(raw: bytes | memoryview) -> dict[str, str | int]:
    return {"sha1": hashlib.sha1(raw, usedforsecurity=False).hexdigest(), "size": len(raw)}
