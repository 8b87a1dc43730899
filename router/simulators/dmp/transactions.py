"""The four transactions a router may run in *authentification indirecte* (dmp §1.1, §1.2)."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from router.simulators.dmp import content, existence, lot, submission
from router.simulators.dmp.ebxml import METADATA, RIM, RegistryObject
from router.simulators.dmp.refusals import Fault, Refused, RegistryError, refuse
from router.simulators.dmp.registry import DELETED, Document, Registry, new_uuid
from router.simulators.dmp.soap import Call, included
from router.simulators.dmp.submission import (
    CONFIDENTIALITY,
    DOC_UNIQUE,
    REPLACES,
    SIGNS,
    TYPE,
    UPDATES,
    Submission,
)
from router.simulators.dmp.vihf import Trust, Vihf
from router.simulators.dmp.xmldsig import BadSignature

XDSB: Final = "{urn:ihe:iti:xds-b:2007}"
LCM: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0}"
QUERY: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0}"
_GET_DOCUMENTS: Final = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
_STATUS: Final = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType"
SUCCESS: Final = f"{_STATUS}:Success"
_SEVERITY: Final = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
_RS: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"


@dataclass(slots=True)
class Result:
    """What a transaction did, for the list of what was received. `ok` is False for a refusal."""

    body: str
    ok: bool = True
    set_id: str = ""
    documents: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    author: str = ""
    patient: str = field(default="", repr=False)
    errors: tuple[RegistryError, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What the transactions need: the registry, whom to trust, and options of the simulator."""

    registry: Registry
    trust: Trust
    keep_content: bool
    deleted_visible: bool
    checks: str

    def run(self, name: str, call: Call, vihf: Vihf, now: dt.datetime) -> Result:
        """Run a transaction. Raises Refused or Fault; nothing is stored then."""
        result = Result("", patient=vihf.patient)
        steps = {"TD2.1": self._provide, "TD3.1b": self._query, "TD3.3c": self._delete, "TD0.2": self._exists}
        try:
            steps[name](call, vihf, now, result)
        except Refused as refused:
            result.ok, result.errors = False, refused.errors
            result.body = failure(refused.errors, query=name == "TD3.1b")
        return result

    # ------------------------------------------------------------------------------------------------ TD2.1

    def _provide(self, call: Call, vihf: Vihf, now: dt.datetime, result: Result) -> None:
        if call.payload.tag != f"{XDSB}ProvideAndRegisterDocumentSetRequest":
            raise Fault("ProvideAndRegisterDocumentSetRequest attendu")
        lot_read = self._submission(call.payload.find(f"{LCM}SubmitObjectsRequest"), result)
        attached = _attached(call)
        if self.checks != "none":
            self._inspect(lot_read, attached, vihf, now)
        elif not set(lot_read.entries) <= set(attached):
            raise refuse("XDSMissingDocument", "document absent")
        self.registry.patient_open(vihf.patient[:15])
        made = [self._document(entry, attached[key], lot_read, vihf, now) for key, entry in lot_read.entries.items()]
        replaced = _replaced(lot_read)
        result.replaced = tuple(
            old.unique_id for old in self.registry.documents.values() if old.entry_uuid in replaced.values()
        )
        self.registry.publish(lot_read.unique_id, made, replaced)
        result.body = success()

    def _inspect(self, read: Submission, attached: Mapping[str, bytes], vihf: Vihf, now: dt.datetime) -> None:
        """Everything there is to check of a lot. Raises Refused with all that the metadata break, or the signature."""
        problems = submission.check(read, vihf.structure, vihf.patient, vihf.secret)
        problems += _files({**read.entries, **read.signatures}, attached)
        parsed = {key: content.parse(attached[key]) for key in read.entries if key in attached}
        if self.checks == "all":
            for key, root in parsed.items():
                problems += content.check(read.entries[key], root)
        if problems:
            raise Refused(*problems)
        signed = self._signature(read, attached, parsed, now)
        self._order(read, signed, vihf)

    def _submission(self, request: Any, result: Result) -> Submission:
        found = submission.read(request) if request is not None else None
        if found is None:
            raise refuse(METADATA, "un seul RegistryPackage marqué lot de soumission attendu")
        result.set_id = found.unique_id
        result.documents = tuple(one.identifiers.get(DOC_UNIQUE, "") for one in found.entries.values())
        authors = found.package.coded(submission.SET_AUTHOR)
        result.author = next((one for author in authors for one in author.slots.get("authorPerson", ())), "")
        return found

    def _signature(
        self, read: Submission, attached: Mapping[str, bytes], parsed: Mapping[str, Any], now: dt.datetime
    ) -> dt.datetime:
        signing = [
            one.attributes.get("sourceObject", "")
            for one in read.of_kind(SIGNS)
            if one.attributes.get("targetObject") == read.package.id
        ]
        if len(signing) != 1 or signing[0] not in read.signatures or len(read.signatures) != 1:
            raise refuse(METADATA, "signature du lot absente (entrée et association signs)")
        documents = {entry.identifiers[DOC_UNIQUE]: (attached[key], parsed[key]) for key, entry in read.entries.items()}
        try:
            return lot.check(attached[signing[0]], read.unique_id, documents, self.trust, now)
        except BadSignature as error:
            raise refuse("XDSRepositoryMetadataError", f"signature du lot : {error}") from error

    def _order(self, read: Submission, signed: dt.datetime, vihf: Vihf) -> None:
        """Document before submission and signature, these before the VIHF (dmp §3, `clocks`)."""
        latest = vihf.issued.timestamp() + self.trust.skew
        submitted = _moment(read.package.slot("submissionTime"))
        if signed.timestamp() > latest or submitted > latest:
            raise refuse(METADATA, "horloges : lot ou signature postérieurs au VIHF")
        for entry in read.entries.values():
            if _moment(entry.slot("creationTime")) > submitted + self.trust.skew:
                raise refuse(METADATA, "horloges : document postérieur à la soumission")

    def _document(self, entry: RegistryObject, data: bytes, read: Submission, vihf: Vihf, now: dt.datetime) -> Document:
        return Document(
            unique_id=entry.identifiers.get(DOC_UNIQUE, ""),
            entry_uuid=new_uuid(),
            lid=new_uuid(),
            patient=read.patient,
            status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",
            hash=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            size=len(data),
            structure=vihf.structure,
            set_id=read.unique_id,
            type_code=next((one.code for one in entry.coded(TYPE)), ""),
            confidentiality=tuple(one.code for one in entry.coded(CONFIDENTIALITY)),
            title=entry.name,
            at=now.timestamp(),
            content=data if self.keep_content else None,
        )

    # ----------------------------------------------------------------------------------------------- TD3.1b

    def _query(self, call: Call, vihf: Vihf, _now: dt.datetime, result: Result) -> None:
        if call.payload.tag != f"{QUERY}AdhocQueryRequest":
            raise Fault("AdhocQueryRequest attendue")
        option = call.payload.find(f"{QUERY}ResponseOption")
        query = call.payload.find(f"{RIM}AdhocQuery")
        if query is None or query.get("id") != _GET_DOCUMENTS:
            raise refuse("XDSUnknownStoredQuery", "seule GetDocuments est permise en authentification indirecte")
        if option is None or option.get("returnType") != "ObjectRef":
            raise refuse("LocalPolicyRestrictionError", "returnType ObjectRef obligatoire")
        result.documents = tuple(_asked(query))
        found = [self.registry.documents.get(one) for one in result.documents]
        refs = "".join(
            f"<ObjectRef id={quoteattr(one.entry_uuid)}/>"
            for one in found
            if one is not None and one.patient == vihf.patient and (self.deleted_visible or one.status != DELETED)
        )
        result.body = (
            f'<query:AdhocQueryResponse xmlns:query="{QUERY[1:-1]}" xmlns="{RIM[1:-1]}" status="{_STATUS}:Success">'
            f"<RegistryObjectList>{refs}</RegistryObjectList></query:AdhocQueryResponse>"
        )

    # ----------------------------------------------------------------------------------------------- TD3.3c

    def _delete(self, call: Call, vihf: Vihf, _now: dt.datetime, result: Result) -> None:
        if call.payload.tag != f"{LCM}SubmitObjectsRequest":
            raise Fault("SubmitObjectsRequest attendue")
        read = self._submission(call.payload, result)
        problems = submission.check(read, vihf.structure, vihf.patient, secret=False)
        updates = read.of_kind(UPDATES)
        if len(updates) != 1 or len(read.associations) != 1 or read.entries:
            problems.append(RegistryError(METADATA, "une seule association UpdateAvailabilityStatus"))
        if problems:
            raise Refused(*problems)
        update = updates[0]
        if update.attributes.get("sourceObject") != read.package.id:
            raise refuse(METADATA, "sourceObject doit être le lot")
        if update.slot("NewStatus") != DELETED:
            raise refuse("LocalPolicyRestrictionError", "seule la suppression est permise en indirect")
        self.registry.patient_open(vihf.patient[:15])
        gone = self.registry.delete(
            read.unique_id,
            update.attributes.get("targetObject", ""),
            update.slot("OriginalStatus"),
            vihf.patient,
            vihf.structure,
        )
        result.documents = (gone.unique_id,)
        result.body = success()

    # ------------------------------------------------------------------------------------------------ TD0.2

    def _exists(self, call: Call, vihf: Vihf, _now: dt.datetime, result: Result) -> None:
        if call.payload.tag != existence.REQUEST:
            raise Fault("PRPA_IN201307UV02 attendu")
        matricule, oid = existence.patient_of(call.payload)
        if f"{matricule}^^^&{oid}&ISO^NH" != vihf.patient:
            raise Fault("resource-id du VIHF différent du patient demandé")
        state = self.registry.told.get(matricule) or self.registry.patients.get(matricule, "open")
        result.body = existence.answer(state, matricule, oid)


def success() -> str:
    return f'<rs:RegistryResponse xmlns:rs="{_RS}" status="{_STATUS}:Success"/>'


def failure(errors: tuple[RegistryError, ...], *, query: bool = False) -> str:
    """A RegistryResponse (or the answer of a query) that lists these errors."""
    listed = "".join(
        f"<rs:RegistryError errorCode={quoteattr(one.code)} codeContext={quoteattr(one.context)} "
        f'location="" severity="{_SEVERITY}"/>'
        for one in errors
    )
    inside = f'<rs:RegistryErrorList xmlns:rs="{_RS}" highestSeverity="{_SEVERITY}">{listed}</rs:RegistryErrorList>'
    if query:
        return (
            f'<query:AdhocQueryResponse xmlns:query="{QUERY[1:-1]}" status="{_STATUS}:Failure">{inside}'
            f'<RegistryObjectList xmlns="{RIM[1:-1]}"/></query:AdhocQueryResponse>'
        )
    return f'<rs:RegistryResponse xmlns:rs="{_RS}" status="{_STATUS}:Failure">{inside}</rs:RegistryResponse>'


def _attached(call: Call) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    for element in call.payload.findall(f"{XDSB}Document"):
        data = included(call, element)
        if data is None:
            raise refuse("XDSMissingDocument", "xop:Include absent ou sans partie MIME")
        out[element.get("id", "")] = data
    return out


def _files(entries: Mapping[str, RegistryObject], attached: Mapping[str, bytes]) -> list[RegistryError]:
    """Every entry has its document, every document its entry, hash and size are those of the bytes."""
    out = [RegistryError("XDSMissingDocument", f"document absent : {key}") for key in entries if key not in attached]
    out += [
        RegistryError("XDSMissingDocumentMetadata", f"métadonnées absentes : {key}")
        for key in attached
        if key not in entries
    ]
    for key, entry in entries.items():
        data = attached.get(key)
        if data is None:
            continue
        if entry.slot("hash").lower() != hashlib.sha1(data, usedforsecurity=False).hexdigest():
            out.append(RegistryError(METADATA, "hash différent de l'empreinte du document"))
        if entry.slot("size") != str(len(data)):
            out.append(RegistryError(METADATA, "size différente de la taille du document"))
    identifiers = [entry.identifiers.get(DOC_UNIQUE, "") for entry in entries.values()]
    if len(set(identifiers)) != len(identifiers):
        out.append(RegistryError("XDSRepositoryDuplicateUniqueIdInMessage", "uniqueId en double dans le lot"))
    return out


def _replaced(read: Submission) -> dict[str, str]:
    """Unique id of each replacing document -> the entryUUID it replaces."""
    out = {}
    for one in read.of_kind(REPLACES):
        source = read.entries.get(one.attributes.get("sourceObject", ""))
        target = one.attributes.get("targetObject", "")
        if source is None or not target.startswith("urn:uuid:"):
            raise refuse(METADATA, "RPLC : source hors du lot ou cible qui n'est pas un entryUUID")
        out[source.identifiers[DOC_UNIQUE]] = target
    return out


def _asked(query: Any) -> list[str]:
    for slot in query.findall(f"{RIM}Slot"):
        if slot.get("name") == "$XDSDocumentEntryUniqueId":
            text = ",".join(value.text or "" for value in slot.findall(f"{RIM}ValueList/{RIM}Value"))
            values = re.findall(r"'([^']*)'", text)
            if not text.startswith("(") or not values:
                raise refuse("XDSStoredQueryParamNumber", "liste de valeurs ('…') attendue")
            if any(value.startswith("urn:") for value in values):
                raise refuse("XDSDocumentUniqueIdError", "uniqueId attendu, entryUUID reçu")
            return values
    raise refuse("XDSStoredQueryMissingParam", "$XDSDocumentEntryUniqueId absent")


def _moment(dtm: str) -> float:
    whole = dtm + "00000101000000"[len(dtm) :]
    return dt.datetime.strptime(whole + "+0000", "%Y%m%d%H%M%S%z").timestamp()
