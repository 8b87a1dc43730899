"""What stands for a document and a patient in keys, lanes and the journal: always a pseudonym (decisions D7).

Two questions, two answers. *In which order?* `ordering_key`: the family of versions, else the patient.
*What does a deletion overtake?* `lineage`: the family of versions, else the document alone; never a patient, or a
deletion would supersede another document of the same person.
"""

from __future__ import annotations

from router.exchange import Pseudonyms
from router.request import DocumentHeader, Identifier, TransmissionRequest


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
    """What the journal keeps of the patient, so that a search can hash what the operator typed.

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


def _authority(identifier: Identifier) -> str:
    return identifier.authority or identifier.namespace


def document_ids(documents: tuple[DocumentHeader, ...]) -> tuple[str, ...]:
    """The ids of the documents, as the journal keeps them: they name no patient."""
    return tuple(document.id for document in documents)
