"""From a request and a document's header to the values of XDS metadata (dmp §2.2, §2.3, §2.7; mssante §2.3).

What leaves names the patient by the *request's* identity: the header's may be an INS that is not qualified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from router.errors import Invalid
from router.french_time import PARIS
from router.request import Author, Code, DocumentHeader, Identifier, Masks, Structure, TransmissionRequest
from router.structures import StructureConfig
from router.xds import datatypes
from router.xds.specialties import specialty_of
from router.xds.tables import CLASS_SYSTEM, Tables, tables

CONFIDENTIALITY: Final = "2.16.840.1.113883.5.25"
MASKS: Final = "1.2.250.1.213.1.1.4.13"

#: Field of `Masks` -> confidentialityCode (dmp §2.7: the HL7 message spells the third one differently).
MASK_CODES: Final = {
    "masque_ps": Code(code="MASQUE_PS", system=MASKS, label="Masqué aux professionnels de santé"),
    "invisible_patient": Code(code="INVISIBLE_PATIENT", system=MASKS, label="Non visible par le patient"),
    "invisible_rep_legaux": Code(
        code="INVISIBLE_REPRESENTANTS_LEGAUX",
        system=MASKS,
        label="Non visible par les représentants légaux du patient",
    ),
}
#: HL7 confidentiality of a document (dmp §2.7), with the labels of JDV_J58.
CONFIDENTIALITY_LABELS: Final = {"N": "Normal", "R": "Restreint", "V": "Très restreint"}
#: Types of reference that a DMP keeps (JDV_J231); the order of a prescriber is the one that a CDA header names.
ORDER_REFERENCE: Final = "urn:ihe:iti:xds:2013:order"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorValue:
    """One author classification."""

    person: str = field(default="", repr=False)
    institution: str = ""
    specialty: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DocumentEntry:
    """The values of one ExtrinsicObject, in their final text form. `id` is symbolic, unique in its message."""

    id: str
    unique_id: str
    mime_type: str
    title: str
    authors: tuple[AuthorValue, ...]
    class_code: Code
    type_code: Code
    confidentiality: tuple[Code, ...]
    format_code: Code
    facility: Code
    practice: Code
    events: tuple[Code, ...]
    creation_time: str
    start_time: str
    stop_time: str
    language: str
    legal_authenticator: str
    patient_id: str
    source_patient_id: str
    source_patient_info: tuple[str, ...]
    references: tuple[str, ...]
    hash: str
    size: str
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SubmissionSet:
    """The values of one RegistryPackage."""

    unique_id: str
    source_id: str
    patient_id: str
    submission_time: str
    content_type: Code
    author: AuthorValue
    title: str = ""
    id: str = "SubmissionSet01"


def document_entry(
    header: DocumentHeader,
    request: TransmissionRequest,
    *,
    id: str = "Document01",  # its name in ebXML
    uri: str = "",
    ipp_oid: str = "",
    zone: tzinfo | None = PARIS,
    codes: Tables | None = None,
    default_class: str = "",
) -> DocumentEntry:
    """The entry of one document.

    `uri` for an archive only. `ipp_oid`: authority of the local identifier, when the sender gave none. `zone` is
    assumed for times without an offset (None refuses them). `default_class`: class of a type that the table
    doesn't know. Raises `Invalid` `XDS-…` with the name of the metadata as its place.
    """
    codes = codes or tables()
    start = _time(header.start_time or header.effective_time, zone, "serviceStartTime")
    patient = patient_id(request, ipp_oid)
    return DocumentEntry(
        id=id,
        unique_id=header.id,
        mime_type="application/xslt+xml" if header.self_presenting else "text/xml",
        title=datatypes.title(header.title or header.code.label),
        authors=tuple(author_value(author) for author in header.authors),
        class_code=_class(header.code.code, codes, default_class),
        type_code=_required(header.code if header.code.code else None, "typeCode"),
        confidentiality=confidentiality(header, request.masks),
        format_code=_required(codes.format_of(header), "formatCode"),
        facility=_required(header.facility_type, "healthcareFacilityTypeCode"),
        practice=_required(header.practice_setting, "practiceSettingCode"),
        events=_distinct(header.events),
        creation_time=_time(header.effective_time, zone, "creationTime"),
        start_time=start,
        stop_time=_stop(header, start, zone),
        language=header.language or "fr-FR",
        legal_authenticator=datatypes.author_person(header.legal_authenticator) if header.legal_authenticator else "",
        patient_id=patient,
        source_patient_id=_source_patient_id(header, request, ipp_oid) or patient,
        source_patient_info=datatypes.source_patient_info(header.patient),
        references=tuple(
            datatypes.cx(order.value, order.authority, ORDER_REFERENCE)
            for order in header.orders
            if order.value and datatypes.is_oid(order.authority)
        ),
        hash=header.sha1,
        size=str(header.size),
        uri=uri,
    )


def submission_set(
    request: TransmissionRequest,
    structure: StructureConfig,
    *,
    unique_id: str,
    now: float,
    ipp_oid: str = "",
    codes: Tables | None = None,
) -> SubmissionSet:
    """The set that carries the documents of one request; `now` in Unix seconds. Its author is the sender (PRT SB).

    Raises `Invalid` `XDS-PATIENT`.
    """
    sender = request.sender or Author()
    author = author_value(sender, request.documents)
    if not author.institution:
        author = AuthorValue(
            person=author.person,
            institution=datatypes.xon(Structure(id=structure.id_nat, name=structure.name, kind="IDNST")),
            specialty=author.specialty,
            role=author.role,
        )
    return SubmissionSet(
        unique_id=unique_id,
        source_id=structure.source_oid,
        patient_id=patient_id(request, ipp_oid),
        submission_time=datatypes.dtm_of(now),
        content_type=(codes or tables()).content_of(request.encounter_class),
        author=author,
        title=datatypes.title(request.principal.title) if request.documents else "",
    )


def patient_id(request: TransmissionRequest, ipp_oid: str = "") -> str:
    """The one patientId of a message: the qualified INS, else the local identifier. Raises `Invalid` `XDS-PATIENT`."""
    patient = request.patient
    if patient.ins is not None:
        return datatypes.cx(patient.ins.value, patient.ins.authority, "NH")
    local = _local_id(patient.ipp, ipp_oid)
    if not local:
        raise Invalid("XDS-PATIENT", "patientId", "ni INS qualifiée, ni identifiant local avec son autorité")
    return local


def author_value(author: Author, documents: Sequence[DocumentHeader] = ()) -> AuthorValue:
    """The four slots of an author; `documents` may know his specialty."""
    known = specialty_of(author, documents)
    who = author.person or author.device
    return AuthorValue(
        person=datatypes.author_person(author),
        institution=datatypes.xon(author.structure) if author.structure else "",
        specialty=datatypes.specialty(known) if known else "",
        role=datatypes.fitted("", who.role) if who and who.role else "",
    )


def confidentiality(header: DocumentHeader, masks: Masks) -> tuple[Code, ...]:
    """N, R or V first, then the masks asked for."""
    given = header.confidentiality
    first = Code(
        code=given.code,
        system=given.system or CONFIDENTIALITY,
        label=given.label or CONFIDENTIALITY_LABELS.get(given.code, given.code),
    )
    return (first, *(code for name, code in MASK_CODES.items() if getattr(masks, name)))


def _class(type_code: str, codes: Tables, default: str) -> Code:
    found = codes.class_of(type_code)
    if found is None and default:
        found = Code(code=default, system=CLASS_SYSTEM, label=codes.class_label.get(default, default))
    return _required(found, "classCode")


def _required(code: Code | None, name: str) -> Code:
    if code is None:
        raise Invalid("XDS-METADATA", name, "le document ne donne pas cette métadonnée requise")
    return code


def _distinct(codes: tuple[Code, ...]) -> tuple[Code, ...]:
    """Without repetitions: the DMP refuses the same event twice."""
    return tuple({(code.code, code.system): code for code in codes}.values())


def _time(value: str, zone: tzinfo | None, name: str) -> str:
    return datatypes.dtm(value, zone, place=name) if value else ""


def _stop(header: DocumentHeader, start: str, zone: tzinfo | None) -> str:
    """serviceStopTime, left out when it lies before the start (a registry refuses that)."""
    stop = _time(header.stop_time, zone, "serviceStopTime")
    began, ended = start, stop
    if min(len(start), len(stop)) <= len("YYYYMMDD"):  # one is a day, of the place of the act: not a day of UTC
        began, ended = (header.start_time or header.effective_time)[:8], header.stop_time[:8]
    length = min(len(began), len(ended))
    return stop if ended[:length] >= began[:length] else ""


def _source_patient_id(header: DocumentHeader, request: TransmissionRequest, ipp_oid: str) -> str:
    return _local_id(header.patient.ipp, "") or _local_id(request.patient.ipp, ipp_oid)


def _local_id(ipp: Identifier | None, default_authority: str) -> str:
    if ipp is None or not ipp.value:
        return ""
    authority = ipp.authority or default_authority
    return datatypes.cx(ipp.value, authority, "PI") if datatypes.is_oid(authority) else ""
