"""The payload of a document delivery: a JSON order and the documents' own bytes, never re-encoded.

Layout: 4 bytes big-endian length of the JSON, the JSON, then for each document 4 bytes length and its bytes.
The payload of a sink type that carries messages is simply the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from pydantic import Field, ValidationError

from router.errors import Malformed, Unavailable
from router.language import N_
from router.request import Recipient, RecipientKind, TransmissionRequest
from router.strict import Silent
from router.structures import StructureConfig

NEWER_ORDER: Final = "ORDER-FORMAT"
"""Code of the fault that says: a newer version decided this delivery, and this process can't read all of it."""
_NEWER: Final = frozenset({"extra_forbidden", "enum", "literal_error"})
"""What pydantic finds in an order that a newer version wrote: a key, or a word, of which this one knows nothing."""
_UPGRADE: Final = N_("a newer segur-router decided this delivery: upgrade this process; it waits until then")

WITHDRAWN = "withdrawn"
"""Option of an order that a person gave (decisions D1): the register is not asked whether the INS still holds."""


NOTICE = "avis"
"""Option of an order, and name of the pipeline of its delivery: a mail of ours to somebody who had an earlier version
and is not among the recipients of the message that replaces or deletes it (decisions D19)."""


class DocumentOrder(Silent):
    """One document delivery: what was asked, to whom, with every option of the pipeline resolved."""

    request: TransmissionRequest
    recipient: Recipient | None = Field(None, description="The one recipient of this delivery, if it has one.")
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
    """The order alone: cheap, the documents are not touched.

    Raises `Malformed` when it can't be read, `Unavailable` (`ORDER-FORMAT`, for its lane alone) when it says what this
    version does not know: it waits for a process of the version that wrote it.
    """
    end = 4 + int.from_bytes(payload[:4], "big")
    if len(payload) < end:
        raise Malformed("PAYLOAD", "", "truncated delivery")
    return _order(payload[4:end])


@lru_cache(maxsize=64)
def _order(text: bytes) -> DocumentOrder:
    """The last ones are remembered: an attempt asks for its order several times."""
    try:
        return DocumentOrder.model_validate_json(text)
    except ValidationError as error:  # its text would quote the order
        if {found["type"] for found in error.errors(include_input=False, include_context=False)} <= _NEWER:
            raise Unavailable(NEWER_ORDER, "", _UPGRADE, circuit=False) from None
        raise Malformed("PAYLOAD", "", "unreadable order") from None


def unpack(payload: bytes) -> tuple[DocumentOrder, list[memoryview]]:
    """The order and its documents' bytes, see `unpack_documents`. Raises `Malformed` too as `unpack_order` does."""
    return unpack_order(payload), unpack_documents(payload)


def unpack_documents(payload: bytes) -> list[memoryview]:
    """The documents' bytes alone: where they stand in the payload, never a copy. Raises `Malformed` when it was cut."""
    documents, at, view = [], 4 + int.from_bytes(payload[:4], "big"), memoryview(payload)
    if len(payload) < at:
        raise Malformed("PAYLOAD", "", "truncated delivery")
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        at += 4
        if at + size > len(payload):
            raise Malformed("PAYLOAD", "", "truncated delivery")
        documents.append(view[at : at + size])
        at += size
    return documents


def reply_context(order: DocumentOrder, leg: str) -> dict[str, str]:
    """What feedback needs to answer the sender of this delivery, without any identity of the patient.

    Shared by the sinks (`Sink.context`) and by the refusals of `router.steps.route`. A recipient's address is
    there unless he is the patient: feedback then rebuilds the answer's OBX2-5 from the event itself.

    leg: `SinkType.answer.leg`; "" when the sender is told nothing of this outcome
    """
    request, recipient = order.request, order.recipient
    context = {
        "control_id": request.control_id,
        "dialect": str(request.dialect),
        "charset": request.charset,
        "processing_id": request.processing_id,
        "sending_app": request.sending[0],
        "sending_facility": request.sending[1],
        "receiving_app": request.receiving[0],
        "receiving_facility": request.receiving[1],
        "ack_reception": "1" if request.ack_reception else "",
        "ack_lecture": "1" if request.ack_lecture else "",
        "action": str(request.action),
        "document": request.principal.id if request.documents else "",
        "leg": leg,
        "structure": request.speaks_for,
    }
    if recipient is not None:
        patient = recipient.kind == RecipientKind.PATIENT
        context |= {
            "kind": str(recipient.kind),
            "rct_id": "" if patient else recipient.id,
            "rank": str(recipient.rank),
            "address": "" if patient else recipient.address_received or recipient.address,
        }
    return {key: value for key, value in context.items() if value}


def pack_request(headers: Mapping[str, str], document: bytes) -> bytes:
    """The body of a raw-CDA event (`kind` = `cda`): the request's headers, which may name people, and the document.

    Layout: 4 bytes big-endian length of the JSON of the headers, the JSON, the document's own bytes.
    """
    text = json.dumps(dict(sorted(headers.items())), ensure_ascii=False).encode()
    return b"".join((len(text).to_bytes(4, "big"), text, document))


def unpack_request(body: bytes) -> tuple[dict[str, str], bytes]:
    """The headers (lower case, without their prefix) and the document. Raises `Malformed` when it was cut."""
    end = 4 + int.from_bytes(body[:4], "big")
    if len(body) < max(end, 4):
        raise Malformed("PAYLOAD", "", "truncated event")
    return json.loads(body[4:end]), body[end:]
