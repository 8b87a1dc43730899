"""A lot for TD2.1: entries, submission set, its signature and the signature's own entry (dmp §1.4, §2.5, §4)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.request import Code
from router.sinks.dmp import transactions
from router.sinks.dmp.credentials import Seal
from router.sinks.dmp.soap import Attachment
from router.sinks.dmp.xades import Signed, sign_lot
from router.xds.datatypes import dtm_of, oid_of
from router.xds.metadata import CONFIDENTIALITY, MASK_CODES, DocumentEntry, SubmissionSet

_SIGNATURE_CLASS: Final = Code(code="urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", system="URN", label="Digital Signature")
_SIGNATURE_TYPE: Final = Code(code="E1762", system="ASTM", label="Full Document")
_SIGNATURE_FORMAT: Final = Code(
    code="http://www.w3.org/2000/09/xmldsig#", system="URN", label="Default Signature Style"
)
_SIGNATURE_EVENT: Final = Code(code="1.2.840.10065.1.12.1.14", system="1.2.840.10065.1.12", label="Source")
_SIGNATURE_CONFIDENTIALITY: Final = (
    Code(code="N", system=CONFIDENTIALITY, label="Normal"),
    MASK_CODES["masque_ps"],
    MASK_CODES["invisible_patient"],
)


@dataclass(frozen=True, slots=True)
class Content:
    """A document of the lot: its entry, its bytes, the digest (base64) of its canonical form."""

    entry: DocumentEntry
    data: bytes | memoryview = field(repr=False)
    digest: str


@dataclass(frozen=True, slots=True)
class Publication:
    """TD2.1, ready but for envelope and VIHF."""

    body: str = field(repr=False)
    attachments: tuple[Attachment, ...]


def set_id(delivery_id: str, document: str = "") -> str:
    """SubmissionSet.uniqueId of a delivery: the same at each attempt (dmp §5.5).

    document: uniqueId of the one document of the lot, when the documents of a delivery leave one by one.
    """
    return oid_of(delivery_id, f"submission-set {document}" if document else "submission-set")


def publication(
    delivery_id: str,
    lot: SubmissionSet,
    contents: Sequence[Content],
    *,
    replaced: Mapping[str, str],
    seal: Seal,
    algorithm: str,
    now: float,
) -> Publication:
    """Sign the lot and write TD2.1. `replaced`: entry id -> entryUUID of its predecessor; `now` in Unix seconds."""
    signature_id = oid_of(lot.unique_id, "signature")
    signature = sign_lot(
        identifier=f"_{uuid.UUID(int=int(signature_id.removeprefix('2.25.')))}",
        set_id=lot.unique_id,
        documents=[Signed(one.entry.unique_id, one.digest) for one in contents],
        seal=seal,
        now=now,
        algorithm=algorithm,
    )
    entry = _signature_entry(signature_id, lot, contents[0].entry, signature, now)
    parts = [*((one.entry, one.data) for one in contents), (entry, signature)]
    cids = [f"{one.id}.{delivery_id}@segur-router" for one, _ in parts]
    documents = [(one.entry, cid) for one, cid in zip(contents, cids, strict=False)]
    body = transactions.provide_and_register(lot, documents, (entry, cids[-1]), replaced)
    return Publication(body, tuple(Attachment(cid, data) for cid, (_, data) in zip(cids, parts, strict=True)))


def _signature_entry(
    unique_id: str, lot: SubmissionSet, document: DocumentEntry, signature: bytes, now: float
) -> DocumentEntry:
    """The entry of the signature (dmp §2.5): author and legal authenticator are the sender."""
    moment = dtm_of(now)
    return DocumentEntry(
        id="Signature01",
        unique_id=unique_id,
        mime_type="text/xml",
        title="Source",
        authors=(lot.author,),
        class_code=_SIGNATURE_CLASS,
        type_code=_SIGNATURE_TYPE,
        confidentiality=_SIGNATURE_CONFIDENTIALITY,
        format_code=_SIGNATURE_FORMAT,
        facility=document.facility,
        practice=document.practice,
        events=(_SIGNATURE_EVENT,),
        creation_time=moment,
        start_time=moment,
        stop_time=moment,
        language="art",
        legal_authenticator=lot.author.person,
        patient_id=lot.patient_id,
        source_patient_id=lot.patient_id,
        source_patient_info=(),
        references=(),
        hash=hashlib.sha1(signature, usedforsecurity=False).hexdigest(),
        size=str(len(signature)),
    )
