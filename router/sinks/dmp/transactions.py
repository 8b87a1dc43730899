"""The bodies of the four transactions (dmp §1.4, §1.6, §1.7, §1.9), as XML text to stand in a SOAP body."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.request import Identifier
from router.sinks.dmp.canonical import attribute, text
from router.sinks.dmp.soap import include
from router.xds import ebxml
from router.xds.datatypes import dtm_of
from router.xds.metadata import DocumentEntry, SubmissionSet

XDS: Final = "urn:ihe:iti:xds-b:2007"
QUERY: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
GET_DOCUMENTS: Final = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
APPROVED: Final = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
ARCHIVED: Final = "urn:asip:ci-sis:2010:StatusType:Archived"
DELETED: Final = "urn:asip:ci-sis:2010:StatusType:Deleted"
DMP_OID: Final = "1.2.250.1.213.4.1.1.1"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of the DMP: its name, its service and WS-Addressing action, its name at IHE (IHE ITI TF-2)."""

    name: str
    service: str
    action: str
    feeding: bool
    """Whether it changes something: then an answer that is lost leaves the outcome unknown."""
    iti: str


PUBLISH: Final = Transaction("TD2.1", "repository", "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", True, "ITI-41")
FIND: Final = Transaction("TD3.1b", "registry", "urn:ihe:iti:2007:RegistryStoredQuery", False, "ITI-18")
DELETE: Final = Transaction("TD3.3c", "registry", "urn:ihe:iti:2010:UpdateDocumentSet", True, "ITI-57")
EXISTS: Final = Transaction("TD0.2", "patients", "urn:hl7-org:v3:PRPA_IN201307UV02", False, "ITI-45")


def provide_and_register(
    lot: SubmissionSet,
    documents: Sequence[tuple[DocumentEntry, str]],
    signature: tuple[DocumentEntry, str],
    replaced: Mapping[str, str],
) -> str:
    """TD2.1. Each entry comes with the Content-ID of its bytes; `replaced`: entry id -> predecessor's entryUUID."""
    ids = ebxml.Ids()
    entries = [*documents, signature]
    objects = [ebxml.registry_package(lot, ids)]
    objects += [ebxml.extrinsic_object(entry, ids) for entry, _ in entries]
    objects += [ebxml.has_member(lot, entry, ids) for entry, _ in entries]
    objects.append(ebxml.association(ebxml.Link.SIGNS, signature[0].id, lot.id, ids))
    objects += [
        ebxml.association(ebxml.Link.REPLACES, entry.id, replaced[entry.id], ids)
        for entry, _ in documents
        if entry.id in replaced
    ]
    attached = "".join(f'<xds:Document id="{entry.id}">{include(cid)}</xds:Document>' for entry, cid in entries)
    return (
        f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{XDS}">{ebxml.submit_objects(objects)}{attached}'
        "</xds:ProvideAndRegisterDocumentSetRequest>"
    )


def get_documents(unique_id: str) -> str:
    """TD3.1b: the references of the document with this uniqueId."""
    return (
        f'<query:AdhocQueryRequest xmlns:query="{QUERY}" xmlns="{ebxml.RIM}">'
        '<query:ResponseOption returnType="ObjectRef" returnComposedObjects="false"/>'
        f'<AdhocQuery id="{GET_DOCUMENTS}"><Slot name="$XDSDocumentEntryUniqueId"><ValueList>'
        f"<Value>('{text(unique_id)}')</Value></ValueList></Slot></AdhocQuery></query:AdhocQueryRequest>"
    )


def delete(lot: SubmissionSet, entry_uuid: str, status: str) -> str:
    """TD3.3c: from `status` (`APPROVED` or `ARCHIVED`) to deleted."""
    ids = ebxml.Ids()
    objects = [
        ebxml.registry_package(lot, ids),
        ebxml.association(
            ebxml.Link.UPDATE_STATUS,
            lot.id,
            entry_uuid,
            ids,
            slots=(("OriginalStatus", (status,)), ("NewStatus", (DELETED,))),
        ),
    ]
    return ebxml.submit_objects(objects)


def test_existence(patient: Identifier, *, sender_oid: str, now: float, production: bool) -> str:
    """TD0.2: whether this patient has a DMP."""
    message, query = uuid.uuid4().int, uuid.uuid4().int
    return (
        '<PRPA_IN201307UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0">'
        f'<id root="2.25.{message}"/><creationTime value="{dtm_of(now)}"/>'
        '<interactionId root="2.16.840.1.113883.1.6" extension="PRPA_IN201307UV02"/>'
        f'<processingCode code="{"P" if production else "D"}"/><processingModeCode code="T"/><acceptAckCode code="AL"/>'
        f'<receiver typeCode="RCV"><device classCode="DEV" determinerCode="INSTANCE"><id root="{DMP_OID}"/>'
        "<name>DMP</name></device></receiver>"
        f'<sender typeCode="SND"><device classCode="DEV" determinerCode="INSTANCE"><id root="{attribute(sender_oid)}"/>'
        "</device></sender>"
        '<controlActProcess classCode="CACT" moodCode="EVN"><code code="PRPA_TE201307UV02"/>'
        '<reasonCode code="TEST_EXST" codeSystem="1.2.250.1.213.1.1.4.11"/>'
        f'<queryByParameter><queryId root="2.25.{query}"/><statusCode code="new"/><parameterList><patientIdentifier>'
        f'<value root="{attribute(patient.authority)}" extension="{attribute(patient.value)}"/>'
        "<semanticsText>Patient.id</semanticsText></patientIdentifier></parameterList></queryByParameter>"
        "</controlActProcess></PRPA_IN201307UV02>"
    )
