"""A verdict on its way from the gateway to the pipelines, so that nobody has to reach it twice.

It stands behind the event's own bytes in one record. It counts only where the same software reads it under the same
options and value sets: everywhere else, and for an event that a person decides again, the bytes are read once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import Field, ValidationError

from router.cda.document import Document
from router.cisis.findings import Verdict
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.errors import MessageFault
from router.hl7.base64 import decode_obx
from router.hl7.message import Message
from router.request import TransmissionRequest
from router.software import our_version
from router.strict import Silent

PROFILE: Final = "cisis-2.1.3/2"
"""What stands in the header `checked` of an event: the volet's edition and our own count of changes to the rules."""


class _Carried(Silent):
    mark: str
    request: TransmissionRequest
    places: tuple[int, ...] = Field((), description="Occurrences of the OBX that hold the documents, from 1.")
    warnings: tuple[tuple[str, str], ...] = Field((), description="(rule number, sentence without any value)")


@dataclass(frozen=True, slots=True)
class Reached:
    """What the pipelines need of a verdict. `warnings`: (rule number, sentence)."""

    request: TransmissionRequest
    documents: tuple[Document, ...]
    warnings: tuple[tuple[str, str], ...]


class VerdictCodec:
    """Packs the verdicts of one feed, and unpacks those that were reached under its present options."""

    def __init__(self, rules: ProfileRules, valuesets: ValueSets) -> None:
        said = "|".join((PROFILE, our_version(), rules.model_dump_json(), valuesets.digest))
        self._mark = hashlib.sha256(said.encode()).hexdigest()[:16]

    def pack(self, verdict: Verdict) -> bytes:
        """JSON of an accepted message's verdict."""
        if verdict.request is None:
            raise ValueError("only what was accepted travels")
        warnings = tuple((finding.rule, finding.text) for finding in verdict.warnings)
        carried = _Carried(mark=self._mark, request=verdict.request, places=verdict.places, warnings=warnings)
        return carried.model_dump_json(exclude_defaults=True).encode()

    def of_message(self, carried: bytes, message: Message) -> Reached | None:
        """The verdict with the documents that stand in the message; None when it has to be reached again."""
        return self._unpack(carried, lambda found: _decoded(message, found.places))

    def of_document(self, carried: bytes, document: bytes) -> Reached | None:
        """The same for a raw CDA."""
        return self._unpack(carried, lambda _: (document,))

    def _unpack(self, carried: bytes, documents: Callable[[_Carried], Sequence[bytes]]) -> Reached | None:
        try:
            found = _Carried.model_validate_json(carried)
            raws = documents(found) if found.mark == self._mark else ()
        except (ValidationError, MessageFault, LookupError):  # an older router's, or not ours: the bytes say it all
            return None
        headers = found.request.documents
        if [header.size for header in headers] != [len(raw) for raw in raws]:
            return None
        return Reached(found.request, tuple(map(Document, headers, raws)), found.warnings)


def _decoded(message: Message, places: Sequence[int]) -> list[bytes]:
    observations = message.segments("OBX")
    return [decode_obx(observations[place - 1]) for place in places]
