"""A verdict on its way from the gateway to the pipelines, so that no message is checked twice.

It stands behind the event's own bytes in one record. It counts only where the same software reads it under the same
options and value sets: everywhere else, and for an event that a person decides again, the bytes are read once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import Field, ValidationError

from router.cda.document import Document
from router.cisis.findings import Finding, Verdict
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.errors import MessageFault
from router.hl7.ack import Err
from router.hl7.base64 import decode_obx
from router.hl7.message import Message
from router.request import TransmissionRequest
from router.software import our_version
from router.strict import Silent

PROFILE: Final = "cisis-2.1.3/2"
"""What stands in the header `checked` of an event: the volet's edition and our own count of changes to the rules."""


class _Packed(Silent):
    mark: str
    request: TransmissionRequest
    places: tuple[int, ...] = Field((), description="Occurrences of the OBX that hold the documents, from 1.")
    warnings: tuple[tuple[str, str, str, str], ...] = Field(
        (), description="(rule number, ERR-3, ERR-2, sentence without any value)"
    )


class VerdictCodec:
    """Packs the verdicts of one feed, and unpacks those that were packed under the same options."""

    def __init__(self, rules: ProfileRules, valuesets: ValueSets) -> None:
        said = "|".join((PROFILE, our_version(), rules.model_dump_json(), valuesets.digest))
        self._mark = hashlib.sha256(said.encode()).hexdigest()[:16]

    def pack(self, verdict: Verdict) -> bytes:
        """JSON of an accepted message's verdict."""
        if verdict.request is None:
            raise ValueError("only what was accepted travels")
        warnings = tuple((one.rule, one.err.code, one.err.location, one.text) for one in verdict.warnings)
        packed = _Packed(mark=self._mark, request=verdict.request, places=verdict.places, warnings=warnings)
        return packed.model_dump_json(exclude_defaults=True).encode()

    def of_message(self, packed: bytes, message: Message) -> Verdict | None:
        """The verdict, with the documents of the message; None when the message must be checked again."""
        return self._unpack(packed, lambda found: _decoded(message, found.places))

    def of_document(self, packed: bytes, document: bytes) -> Verdict | None:
        """The same for a raw CDA."""
        return self._unpack(packed, lambda _: (document,))

    def _unpack(self, packed: bytes, find: Callable[[_Packed], Sequence[bytes]]) -> Verdict | None:
        try:
            found = _Packed.model_validate_json(packed)
            raws = find(found) if found.mark == self._mark else ()
        except (ValidationError, MessageFault, LookupError):  # an older router's, or not ours: the bytes say it all
            return None
        headers = found.request.documents
        if [header.size for header in headers] != [len(raw) for raw in raws]:
            return None
        warnings = tuple(Finding(rule, Err(code, place, text=text)) for rule, code, place, text in found.warnings)
        documents = tuple(map(Document, headers, raws))
        return Verdict("AA", (), warnings, found.request, documents, places=found.places)


def _decoded(message: Message, places: Sequence[int]) -> list[bytes]:
    observations = message.segments("OBX")
    return [decode_obx(observations[place - 1]) for place in places]
