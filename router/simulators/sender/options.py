"""What the maker makes, and everything of it that a test may bend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from router.simulators.sender.people import HOPITAL_A, Patient, Professional, Structure

Action = Literal["initial", "replace", "delete"]


@dataclass(frozen=True, slots=True)
class CdaSample:
    """A document: its bytes, and what a message or a test must know of it without reading them again."""

    content: bytes = field(repr=False)
    uid: str
    set_id: str
    version: int
    kind: str
    extension: str = ""
    replaces: str = ""
    patient: Patient | None = field(default=None, repr=False)
    author: Professional | None = field(default=None, repr=False)
    structure: Structure = HOPITAL_A
    family: tuple[str, str] | None = field(default=None, repr=False)
    """setId as root and extension; None when the document has none."""

    @property
    def id(self) -> str:
        return f"{self.uid}^{self.extension}" if self.extension else self.uid


class DocumentOptions(TypedDict, total=False):
    """What `Maker.document` lets a test bend."""

    author: Professional
    structure: Structure
    size: int
    """Bytes of the document, about; the PDF takes what the header leaves."""
    version: int
    replaces: CdaSample
    set_id: tuple[str, str] | None
    uid: str
    extension: str
    title: str
    with_ins: bool
    extra_ids: tuple[tuple[str, str], ...]
    confidentiality: str
    effective: dt.datetime
    with_pdf: bool
    media_type: str
    encoding: str
    prolog: str
    recipients: Sequence[Professional]
    order: str


class MessageOptions(TypedDict, total=False):
    """What `Maker.message` lets a test bend beside its named arguments."""

    sending: tuple[str, str]
    receiving: tuple[str, str]
    when: dt.datetime
    processing: str
    version: str
    charset: str
    encounter: str
    pid_ins: bool
    billing_nir: str
    masks: Sequence[str]
    modif_conf_code: bool
    mss_professionals: bool
    mss_patient: bool
    sender: Professional | None
    device: str
    structure: Structure
    reply_to: str
    no_reply: bool
    body_professionals: str
    body_patient: str
    payload: Sequence[str]
    """Text to put in the place of the documents' base64, one per document."""
    fields: Mapping[str, str]
    drop: Sequence[str]
    extra: Sequence[str]
    line_end: str
