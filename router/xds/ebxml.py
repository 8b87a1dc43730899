"""ebXML RIM 3.0 from metadata values (dmp §1.4, mssante §2.2): text built in the order that the schema fixes.

Inside an object: Slot*, Name, Classification*, ExternalIdentifier*. Slot names are unique in an object, ids in a
request; `classifiedObject` and `registryObject` are always written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.request import Code
from router.xds.metadata import AuthorValue, DocumentEntry, SubmissionSet

RIM: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
LCM: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
STABLE: Final = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"


class Scheme:
    """UUIDs of the classification and identification schemes (IHE ITI TF-3 §4.2.5.2)."""

    SET: Final = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
    SET_AUTHOR: Final = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
    SET_CONTENT_TYPE: Final = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
    SET_PATIENT: Final = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
    SET_SOURCE: Final = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"
    SET_UNIQUE: Final = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"
    AUTHOR: Final = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
    CLASS: Final = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"
    TYPE: Final = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"
    CONFIDENTIALITY: Final = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"
    FORMAT: Final = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"
    FACILITY: Final = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
    PRACTICE: Final = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"
    EVENT: Final = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4"
    PATIENT: Final = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
    UNIQUE: Final = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


class Link:
    """Types of association (IHE ITI TF-3 §4.2.2; `signs`: volet DSG)."""

    HAS_MEMBER: Final = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
    SIGNS: Final = "urn:ihe:iti:2007:AssociationType:signs"
    REPLACES: Final = "urn:ihe:iti:2007:AssociationType:RPLC"
    UPDATE_STATUS: Final = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"


Slots = Sequence[tuple[str, Sequence[str]]]
"""(name, values); a slot without any non-empty value is not written."""


@dataclass(slots=True)
class Ids:
    """Numbers the classifications, external identifiers and associations of one request."""

    _last: dict[str, int] = field(default_factory=dict)

    def new(self, prefix: str) -> str:
        """`cl01`, `cl02`, `ei01`…"""
        self._last[prefix] = self._last.get(prefix, 0) + 1
        return f"{prefix}{self._last[prefix]:02d}"


_SPECIAL: Final = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def text(value: str) -> str:
    """Character data; characters that XML can't hold are left out."""
    if _SPECIAL.search(value) is None:
        return value
    return _ILLEGAL.sub("", value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def attribute(value: str) -> str:
    """An attribute's value, to stand between double quotes."""
    if _SPECIAL.search(value) is None:
        return value
    return text(value).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;").replace("\r", "&#13;")


# ----------------------------------------------------------------------------------------------------- objects


def registry_package(lot: SubmissionSet, ids: Ids, *, extra: Slots = ()) -> str:
    """The RegistryPackage of a submission set; `extra` slots come after its own."""
    return (
        f'<RegistryPackage id="{lot.id}">'
        f"{_slots((('submissionTime', (lot.submission_time,)), *extra))}"
        f"{_name(lot.title)}"
        f"{_author(lot.id, Scheme.SET_AUTHOR, lot.author, ids)}"
        f"{_coded(lot.id, Scheme.SET_CONTENT_TYPE, lot.content_type, ids)}"
        f'<Classification id="{ids.new("cl")}" classifiedObject="{lot.id}" classificationNode="{Scheme.SET}"/>'
        f"{_identifier(lot.id, Scheme.SET_PATIENT, 'XDSSubmissionSet.patientId', lot.patient_id, ids)}"
        f"{_identifier(lot.id, Scheme.SET_SOURCE, 'XDSSubmissionSet.sourceId', lot.source_id, ids)}"
        f"{_identifier(lot.id, Scheme.SET_UNIQUE, 'XDSSubmissionSet.uniqueId', lot.unique_id, ids)}"
        "</RegistryPackage>"
    )


def extrinsic_object(entry: DocumentEntry, ids: Ids, *, extra: Slots = ()) -> str:
    """The ExtrinsicObject of a document; `extra` slots come after its own."""
    return (
        f'<ExtrinsicObject id="{entry.id}" mimeType="{attribute(entry.mime_type)}" objectType="{STABLE}">'
        f"{_slots((*_entry_slots(entry), *extra))}"
        f"{_name(entry.title)}"
        f"{''.join(_author(entry.id, Scheme.AUTHOR, author, ids) for author in entry.authors)}"
        f"{''.join(_coded(entry.id, scheme, code, ids) for scheme, code in _entry_codes(entry))}"
        f"{_identifier(entry.id, Scheme.PATIENT, 'XDSDocumentEntry.patientId', entry.patient_id, ids)}"
        f"{_identifier(entry.id, Scheme.UNIQUE, 'XDSDocumentEntry.uniqueId', entry.unique_id, ids)}"
        "</ExtrinsicObject>"
    )


def association(kind: str, source: str, target: str, ids: Ids, *, slots: Slots = ()) -> str:
    """An Association of a `Link` type from one object's id to another's."""
    start = (
        f'<Association id="{ids.new("as")}" associationType="{kind}" '
        f'sourceObject="{attribute(source)}" targetObject="{attribute(target)}"'
    )
    held = _slots(slots)
    return f"{start}>{held}</Association>" if held else f"{start}/>"


def has_member(lot: SubmissionSet, entry: DocumentEntry, ids: Ids) -> str:
    """The association by which a set holds a document of its own."""
    return association(Link.HAS_MEMBER, lot.id, entry.id, ids, slots=(("SubmissionSetStatus", ("Original",)),))


def submit_objects(objects: Iterable[str]) -> str:
    """The `lcm:SubmitObjectsRequest` around registry objects: packages and entries first, then associations."""
    return (
        f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns="{RIM}"><RegistryObjectList>'
        f"{''.join(objects)}</RegistryObjectList></lcm:SubmitObjectsRequest>"
    )


def archive_metadata(
    lot: SubmissionSet,
    entries: Sequence[DocumentEntry],
    *,
    action: str = "",
    action_slot: str = "urn:ans:ci-sis:action",
    action_on_set: bool = False,
) -> bytes:
    """METADATA.XML of an IHE_XDM archive (mssante §2.2), UTF-8.

    `action`: `C` (replaces) or `D` (deleted), '' for an initial sending; it stands on each document, or on the set.
    """
    ids = Ids()
    extra: Slots = ((action_slot, (action,)),)
    objects = [registry_package(lot, ids, extra=extra if action_on_set else ())]
    objects += [extrinsic_object(entry, ids, extra=() if action_on_set else extra) for entry in entries]
    objects += [has_member(lot, entry, ids) for entry in entries]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{submit_objects(objects)}\n'.encode()


# ------------------------------------------------------------------------------------------------------- parts


def _entry_slots(entry: DocumentEntry) -> Slots:
    return (
        ("creationTime", (entry.creation_time,)),
        ("hash", (entry.hash,)),
        ("languageCode", (entry.language,)),
        ("legalAuthenticator", (entry.legal_authenticator,)),
        ("serviceStartTime", (entry.start_time,)),
        ("serviceStopTime", (entry.stop_time,)),
        ("size", (entry.size,)),
        ("sourcePatientId", (entry.source_patient_id,)),
        ("sourcePatientInfo", entry.source_patient_info),
        ("urn:ihe:iti:xds:2013:referenceIdList", entry.references),
        ("URI", (entry.uri,)),
    )


def _entry_codes(entry: DocumentEntry) -> Iterator[tuple[str, Code]]:
    yield Scheme.CLASS, entry.class_code
    yield Scheme.TYPE, entry.type_code
    for code in entry.confidentiality:
        yield Scheme.CONFIDENTIALITY, code
    yield Scheme.FORMAT, entry.format_code
    yield Scheme.FACILITY, entry.facility
    yield Scheme.PRACTICE, entry.practice
    for code in entry.events:
        yield Scheme.EVENT, code


def _slots(slots: Slots) -> str:
    return "".join(
        f'<Slot name="{attribute(name)}"><ValueList>{held}</ValueList></Slot>'
        for name, values in slots
        if (held := "".join(f"<Value>{text(value)}</Value>" for value in values if value))
    )


def _name(value: str) -> str:
    if not value:
        return ""
    return f'<Name><LocalizedString charset="UTF8" xml:lang="FR" value="{attribute(value)}"/></Name>'


def _author(owner: str, scheme: str, author: AuthorValue, ids: Ids) -> str:
    slots = _slots(
        (
            ("authorPerson", (author.person,)),
            ("authorSpecialty", (author.specialty,)),
            ("authorInstitution", (author.institution,)),
            ("authorRole", (author.role,)),
        )
    )
    return _classification(owner, scheme, "", slots, ids) if slots else ""


def _coded(owner: str, scheme: str, code: Code, ids: Ids) -> str:
    slots = _slots((("codingScheme", (code.system,)),))
    return _classification(owner, scheme, code.code, slots + _name(code.label or code.code), ids)


def _classification(owner: str, scheme: str, node: str, inside: str, ids: Ids) -> str:
    return (
        f'<Classification id="{ids.new("cl")}" classifiedObject="{owner}" '
        f'classificationScheme="{scheme}" nodeRepresentation="{attribute(node)}">{inside}</Classification>'
    )


def _identifier(owner: str, scheme: str, name: str, value: str, ids: Ids) -> str:
    return (
        f'<ExternalIdentifier id="{ids.new("ei")}" registryObject="{owner}" identificationScheme="{scheme}" '
        f'value="{attribute(value)}">{_name(name)}</ExternalIdentifier>'
    )
