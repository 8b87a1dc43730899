"""The payload of a document delivery: a JSON order and the documents' own bytes, never re-encoded.

Layout: 4 bytes big-endian length of the JSON, the JSON, then for each document 4 bytes length and its bytes.
The payload of an `hl7` delivery is simply the message.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from router.errors import Malformed
from router.request import Recipient, TransmissionRequest
from router.strict import Silent
from router.structures import StructureConfig


class DocumentOrder(Silent):
    """One document delivery: what was asked, to whom, with every option of the pipeline resolved."""

    request: TransmissionRequest
    recipient: Recipient | None = Field(None, description="The one recipient of an MSSanté mail; None for the DMP.")
    structure: StructureConfig | None = Field(None, description="The structure the sender speaks for (PRT-8).")
    options: dict[str, str | bool | int] = Field(
        default_factory=dict, description="The pipeline's options of the sink."
    )
    accepted: float = Field(0.0, description="Unix time at which the gateway accepted the event.")


def pack(order: DocumentOrder, documents: Sequence[bytes | memoryview]) -> bytes:
    """Join an order and its documents (same order as `order.request.documents`)."""
    text = order.model_dump_json(exclude_defaults=True).encode()
    parts: list[bytes | memoryview] = [len(text).to_bytes(4, "big"), text]
    for document in documents:
        parts += (len(document).to_bytes(4, "big"), document)
    return b"".join(parts)


def unpack_order(payload: bytes) -> DocumentOrder:
    """The order alone: cheap, the documents are not touched."""
    end = 4 + int.from_bytes(payload[:4], "big")
    if len(payload) < end:
        raise Malformed("PAYLOAD", "", "truncated delivery")
    return DocumentOrder.model_validate_json(payload[4:end])


def unpack(payload: bytes) -> tuple[DocumentOrder, list[bytes]]:
    """The order and its documents' bytes. Raises `Malformed` when it was cut."""
    order = unpack_order(payload)
    documents, at = [], 4 + int.from_bytes(payload[:4], "big")
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        at += 4
        if at + size > len(payload):
            raise Malformed("PAYLOAD", "", "truncated delivery")
        documents.append(payload[at : at + size])
        at += size
    return order, documents
