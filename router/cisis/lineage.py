"""What stands for a document and a patient in keys, lanes and the journal: always a pseudonym (decisions D7).

Two questions, two answers. *In which order?* `ordering_key`: the family of versions, else the patient.
*What does a deletion overtake?* `lineage`: the family of versions, else the document alone; never a patient, or a
deletion would supersede another document of the same person.
"""

from __future__ import annotations

from typing import Any

from router.cisis import patient_search
from router.exchange import Pseudonyms
from router.request import DocumentHeader, Identifier, Recipient, RecipientKind, TransmissionRequest


def ordering_key(request: TransmissionRequest, pseudonyms: Pseudonyms) -> str:
    """setId of the N3 of a pair (or of the only document); else IPP and authority; else the INS; else the document id.

    A function of the bytes alone: whether the identity is qualified plays no part, because that changes between two
    versions of one document. IPP and INS are therefore those that the CDA holds, then those of the message.
    """
    document = request.principal
    if document.set_id:
        return pseudonyms.of("set", document.set_id)
    ipp = document.patient.ipp or request.patient.ipp
    if ipp is not None:
        return pseudonyms.of("ipp", _authority(ipp), ipp.value)
    ins = document.patient.ins or request.patient.ins
    if ins is not None:
        return pseudonyms.of("ins", ins.value)
    return pseudonyms.of("document", document.id)


def lineage(request: TransmissionRequest, pseudonyms: Pseudonyms) -> str:
    """The family of versions: setId, else this document alone.

    A sender without setId links versions by their parent only: whoever looks for what a version overtakes also
    asks for `replaces_pseudonym` and `document_pseudonym`.
    """
    document = request.principal
    if document.set_id:
        return pseudonyms.of("set", document.set_id)
    return pseudonyms.of("document", document.id)


def document_pseudonym(request: TransmissionRequest, pseudonyms: Pseudonyms) -> str:
    """The principal document's own id."""
    return pseudonyms.of("document", request.principal.id)


def replaces_pseudonym(request: TransmissionRequest, pseudonyms: Pseudonyms) -> str:
    """The id of the document it replaces, in the same form as `document_pseudonym`; "" when it replaces none."""
    return pseudonyms.of("document", request.replaces) if request.replaces else ""


def patient_pseudonyms(request: TransmissionRequest, pseudonyms: Pseudonyms) -> tuple[str, ...]:
    """What the journal and the register know a patient by, so that a search can hash what the operator typed.

    `("ipp", authority, value)` for every local identifier of message and CDA, `("ins", value)` for the INS, written
    in the CDA or qualified.
    """
    found: dict[str, None] = {}
    for ins in (request.patient.ins, *(document.patient.ins for document in request.documents)):
        if ins is not None:
            found[pseudonyms.of("ins", ins.value)] = None
    for ipp in (request.patient.ipp, *(document.patient.ipp for document in request.documents)):
        if ipp is not None:
            found[pseudonyms.of("ipp", _authority(ipp), ipp.value)] = None
    return tuple(found)


def journalled(request: TransmissionRequest, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Fields of a `JournalEntry` by which people search and count: what was sent, by whom, to whom, for whom."""
    documents = request.documents
    named = [request.sender.structure if request.sender else None, *(document.custodian for document in documents)]
    numbers = (request.speaks_for, *(structure.finess for structure in named if structure))
    return {
        "action": str(request.action),
        "documents": document_ids(documents),
        "lineage": lineage(request, pseudonyms) if documents else "",
        "patients": (*patient_pseudonyms(request, pseudonyms), *_names(request, pseudonyms)),
        "document_type": request.principal.code.code if documents else "",
        "level": request.principal.level if documents else 0,
        "structures": tuple(dict.fromkeys(filter(None, numbers))),
        "speaks_for": request.speaks_for,
        "qualified": request.patient.qualified,
        "recipients": tuple(_recipient(one) for one in request.recipients if _may_be_named(one)),
    }


def _names(request: TransmissionRequest, pseudonyms: Pseudonyms) -> tuple[str, ...]:
    """The patient's names with his birth date, as message and documents write them: for searches only."""
    patients = (request.patient, *(document.patient for document in request.documents))
    return tuple(dict.fromkeys(one for who in patients for one in patient_search.of_patient(who, pseudonyms)))


def _may_be_named(recipient: Recipient) -> bool:
    """A patient's mailbox carries his INS, under whatever kind the sender wrote it."""
    return recipient.kind is not RecipientKind.PATIENT and not patient_search.is_identity(recipient.address)


def _recipient(recipient: Recipient) -> tuple[str, str, str]:
    """(address, national id, name as sent)."""
    person, structure = recipient.person, recipient.structure
    name = f"{person.family} {person.given}".strip() if person else ""
    return recipient.address.lower(), recipient.id, name or (structure.name if structure else "")


def _authority(identifier: Identifier) -> str:
    return identifier.authority or identifier.namespace


def document_ids(documents: tuple[DocumentHeader, ...]) -> tuple[str, ...]:
    """The ids of the documents, as the journal keeps them: they name no patient."""
    return tuple(document.id for document in documents)
