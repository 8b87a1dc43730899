"""The registry's memory: documents and their statuses, submission sets, and the rules between them (dmp §1.6–§1.8)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from router.simulators.dmp.refusals import refuse
from router.simulators.script import pseudonym

APPROVED: Final = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED: Final = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
ARCHIVED: Final = "urn:asip:ci-sis:2010:StatusType:Archived"
DELETED: Final = "urn:asip:ci-sis:2010:StatusType:Deleted"

PatientState = Literal["open", "closed", "none"]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the DMP. `patient` is the whole CX, `at` Unix seconds."""

    unique_id: str
    entry_uuid: str
    lid: str
    patient: str = field(repr=False)
    status: str
    hash: str
    size: int
    structure: str
    set_id: str
    type_code: str
    confidentiality: tuple[str, ...]
    title: str = field(repr=False)
    at: float
    content: bytes | None = field(default=None, repr=False)

    def shown(self) -> dict[str, object]:
        """The document without what names the patient."""
        return {
            "uid": self.unique_id,
            "set": self.set_id,
            "status": self.status.rsplit(":", 1)[1],
            "hash": self.hash,
            "size": self.size,
            "patient": pseudonym(self.patient[:15]),
            "structure": self.structure,
            "type": self.type_code,
            "confidentiality": self.confidentiality,
            "at": self.at,
            "entry_uuid": self.entry_uuid,
        }


@dataclass(slots=True)
class Registry:
    """All that the DMP knows. Every write is all or nothing; raises Refused otherwise."""

    documents: dict[str, Document] = field(default_factory=dict)
    sets: set[str] = field(default_factory=set)
    patients: dict[str, PatientState] = field(default_factory=dict)
    """By matricule; who isn't there has an open DMP."""
    told: dict[str, PatientState] = field(default_factory=dict)
    """What TD0.2 says instead, by matricule."""

    def patient_open(self, matricule: str) -> None:
        state = self.patients.get(matricule, "open")
        if state == "none":
            raise refuse("XDSUnknownPatientId", "aucun DMP pour ce patient")
        if state == "closed":
            raise refuse("DMPClosed", "DMP fermé")

    def new_set(self, set_id: str) -> None:
        if set_id in self.sets:
            raise refuse("XDSDuplicateUniqueIdInRegistry", f"XDSSubmissionSet.uniqueId déjà enregistré : {set_id}")

    def publish(self, set_id: str, documents: Sequence[Document], replaced: dict[str, str]) -> None:
        """Store documents as Approved; `replaced`: unique id of the new one -> entryUUID of the old one."""
        self.new_set(set_id)
        for one in documents:
            known = self.documents.get(one.unique_id)
            if known is not None and known.hash != one.hash:
                raise refuse("XDSNonIdenticalHash", "uniqueId connu avec une autre empreinte")
            if known is not None:
                text = f"XDSDocumentEntry.uniqueId déjà enregistré : {one.unique_id}"
                raise refuse("XDSDuplicateUniqueIdInRegistry", text)
        olds = {new: self._replaceable(target, documents[0]) for new, target in replaced.items()}
        for old in olds.values():
            self.documents[old.unique_id] = replace(old, status=DEPRECATED, entry_uuid=new_uuid())
        for one in documents:
            self.documents[one.unique_id] = one
        self.sets.add(set_id)

    def _replaceable(self, target: str, new: Document) -> Document:
        old = self._target(target)
        if old.patient != new.patient:
            raise refuse("XDSPatientIdDoesNotMatch", "document remplacé d'un autre patient")
        if old.status == DEPRECATED:
            raise refuse("XDSRegistryDeprecatedDocumentError", "document déjà remplacé")
        if old.status == DELETED:
            raise refuse("XDSReplaceFailed", "document supprimé")
        if old.structure != new.structure:
            raise refuse("LocalPolicyRestrictionError", "document d'une autre structure")
        return old

    def delete(self, set_id: str, target: str, original: str, patient: str, structure: str) -> Document:
        """Logical deletion; `original` must be the present status."""
        self.new_set(set_id)
        old = self._target(target)
        if old.patient != patient:
            raise refuse("XDSPatientIdDoesNotMatch", "document d'un autre patient")
        if old.structure != structure:
            raise refuse("LocalPolicyRestrictionError", "document d'une autre structure")
        if old.status == DELETED:
            raise refuse("XDSMetadataUpdateError", "document déjà supprimé")
        if old.status != original:
            raise refuse("XDSMetadataUpdateOperationError", "OriginalStatus différent du statut actuel")
        gone = self.documents[old.unique_id] = replace(old, status=DELETED, entry_uuid=new_uuid())
        self.sets.add(set_id)
        return gone

    def _target(self, entry_uuid: str) -> Document:
        for one in self.documents.values():
            if one.entry_uuid == entry_uuid:
                return one
        raise refuse("UnresolvedReferenceException", "entryUUID inconnu")

    def touch(self, unique_id: str, status: str = "") -> Document:
        """What somebody else does to a document in the DMP: masks it, or archives it. Its entryUUID changes."""
        old = self.documents[unique_id]
        new = self.documents[unique_id] = replace(old, status=status or old.status, entry_uuid=new_uuid())
        return new


def new_uuid() -> str:
    return f"urn:uuid:{uuid.uuid4()}"
