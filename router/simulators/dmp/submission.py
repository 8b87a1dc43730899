"""A submission set as the registry sees it: XDS metadata checked against the tables of dmp §1.4, §2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from router.simulators.dmp.ebxml import METADATA, RIM, Coded, RegistryObject, registry_objects, shared_ids
from router.simulators.dmp.refusals import RegistryError

_UUID = "urn:uuid:"
SET_NODE: Final = f"{_UUID}a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
SET_AUTHOR: Final = f"{_UUID}a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
SET_CONTENT: Final = f"{_UUID}aa543740-bdda-424e-8c96-df4873be8500"
SET_PATIENT: Final = f"{_UUID}6b5aea1a-874d-4603-a4bc-96a0a7b38446"
SET_SOURCE: Final = f"{_UUID}554ac39e-e3fe-47fe-b233-965d2a147832"
SET_UNIQUE: Final = f"{_UUID}96fdda7c-d067-4183-912e-bf5ee74998a8"
STABLE: Final = f"{_UUID}7edca82f-054d-47f2-a032-9b2a5b5186c1"
DOC_AUTHOR: Final = f"{_UUID}93606bcf-9494-43ec-9b4e-a7748d1a838d"
DOC_PATIENT: Final = f"{_UUID}58a6f841-87b3-4a3e-92fd-a8ffeff98427"
DOC_UNIQUE: Final = f"{_UUID}2e82c1f6-a085-4c72-9da3-8640a32e42ab"
CLASS: Final = f"{_UUID}41a5887f-8865-4c09-adf7-e362475b143a"
TYPE: Final = f"{_UUID}f0306f51-975f-434e-a61c-c59651d33983"
CONFIDENTIALITY: Final = f"{_UUID}f4f85eac-e6cb-4883-b524-f2705394840f"
FORMAT: Final = f"{_UUID}a09d5840-386c-46f2-b5ad-9c3699a4309d"
FACILITY: Final = f"{_UUID}f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
PRACTICE: Final = f"{_UUID}cccf5598-8b07-4b77-a05e-ae952c785ead"

HAS_MEMBER: Final = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
REPLACES: Final = "urn:ihe:iti:2007:AssociationType:RPLC"
SIGNS: Final = "urn:ihe:iti:2007:AssociationType:signs"
UPDATES: Final = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
_ASSOCIATIONS: Final = frozenset({HAS_MEMBER, REPLACES, SIGNS, UPDATES})
_SIGNATURE_FORMAT: Final = "http://www.w3.org/2000/09/xmldsig#"

_DTM: Final = re.compile(r"\d{4}(\d\d(\d\d(\d\d(\d\d(\d\d)?)?)?)?)?")
_OID: Final = re.compile(r"[1-2](\.(0|[1-9]\d*))+")
_INS_CX: Final = re.compile(r"([0-9AB]{15})\^\^\^&1\.2\.250\.1\.213\.1\.4\.(8|9|10|11)&ISO\^NH")
_LOCAL_CX: Final = re.compile(r"[^^]+\^\^\^&[0-9.]+&ISO\^(PI|NH)")
_XCN: Final = re.compile(r"[^^]+\^[^^]+\^[^^]+\^\^\^\^\^\^&[0-9.]+&ISO\^(D|U|L)\^\^\^(IDNPS|EI|RI|NH)")
_SPECIALTY: Final = re.compile(r"[^^]+\^[^^]+\^[0-9.]+")
_XON: Final = re.compile(r"[^^]*\^\^\^\^\^&1\.2\.250\.1\.71\.4\.2\.2&ISO\^IDNST\^\^\^([0-5]\S+)")

#: Code systems that each required code may come from; None where the value set isn't public (dmp §2.6).
_DOCUMENT_CODES: Final[Mapping[str, frozenset[str] | None]] = {
    CLASS: frozenset({"1.2.250.1.213.1.1.4.1"}),
    TYPE: frozenset({"2.16.840.1.113883.6.1", "1.2.250.1.213.1.1.4.12"}),
    FORMAT: frozenset({"1.3.6.1.4.1.19376.1.2.3", "1.2.250.1.213.1.1.4.2.282"}),
    FACILITY: frozenset({"1.2.250.1.71.4.2.4", "1.2.250.1.213.1.1.4.6"}),
    PRACTICE: frozenset({"1.2.250.1.213.1.1.4.9", "1.2.250.1.213.1.1.4.6"}),
}
_SIGNATURE_CODES: Final[Mapping[str, frozenset[str] | None]] = {
    CLASS: frozenset({"URN"}),
    TYPE: frozenset({"ASTM"}),
    FORMAT: frozenset({"URN"}),
    FACILITY: None,
    PRACTICE: None,
}
#: JDV_J57-ClassCode-DMP.
_CLASSES: Final = frozenset(["10", "11", "31", "42", "43", "44", "45", "52", "60", "90", "95"])
_CONFIDENTIALITY: Final = {
    **dict.fromkeys("NRV", "2.16.840.1.113883.5.25"),
    **dict.fromkeys(("MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"), "1.2.250.1.213.1.1.4.13"),
}
_REQUIRED_SLOTS: Final = (
    "creationTime",
    "hash",
    "languageCode",
    "legalAuthenticator",
    "serviceStartTime",
    "size",
    "sourcePatientId",
)


@dataclass(frozen=True, slots=True)
class Submission:
    """One lot: its set, its entries by symbolic id, its associations. `problems` in the order they were found."""

    package: RegistryObject
    entries: Mapping[str, RegistryObject]
    signatures: Mapping[str, RegistryObject]
    associations: Sequence[RegistryObject]
    problems: list[RegistryError] = field(default_factory=list)

    @property
    def unique_id(self) -> str:
        return self.package.identifiers.get(SET_UNIQUE, "")

    @property
    def patient(self) -> str:
        return self.package.identifiers.get(SET_PATIENT, "")

    def of_kind(self, kind: str) -> list[RegistryObject]:
        return [one for one in self.associations if one.attributes.get("associationType") == kind]


def read(request: Any) -> Submission | None:
    """The submission of an `lcm:SubmitObjectsRequest`; None when it holds no single marked RegistryPackage."""
    found = request.find(f"{RIM}RegistryObjectList")
    if found is None:
        return None
    objects = registry_objects(found)
    packages = [one for one in objects if one.tag == "RegistryPackage" and SET_NODE in one.nodes]
    if len(packages) != 1:
        return None
    entries = {one.id: one for one in objects if one.tag == "ExtrinsicObject"}
    signatures = {key: one for key, one in entries.items() if _is_signature(one)}
    documents = {key: one for key, one in entries.items() if key not in signatures}
    associations = [one for one in objects if one.tag == "Association"]
    problems = [problem for one in objects for problem in one.problems] + shared_ids(found)
    return Submission(packages[0], documents, signatures, associations, problems)


def _is_signature(entry: RegistryObject) -> bool:
    return any(one.code == _SIGNATURE_FORMAT for one in entry.coded(FORMAT))


def check(submission: Submission, vihf_structure: str, vihf_patient: str, secret: bool) -> list[RegistryError]:
    """Everything that the metadata alone can break, the problems of form included."""
    out = list(submission.problems)
    add = _Add(out)
    _set(submission, add, vihf_structure)
    for entry in (*submission.entries.values(), *submission.signatures.values()):
        _entry(entry, add, signature=entry.id in submission.signatures, structure=vihf_structure)
        if entry.identifiers.get(DOC_PATIENT) != submission.patient:
            add("XDSPatientIdDoesNotMatch", "patientId du document différent de celui du lot")
    if submission.patient != vihf_patient:
        add("XDSPatientIdDoesNotMatch", "resource-id du VIHF différent du patientId")
    if secret:
        for entry in submission.entries.values():
            if "INVISIBLE_REPRESENTANTS_LEGAUX" not in _codes(entry.coded(CONFIDENTIALITY)):
                add(METADATA, "connexion secrète : INVISIBLE_REPRESENTANTS_LEGAUX obligatoire")
    _associations(submission, add)
    return out


class _Add:
    """Appends problems."""

    def __init__(self, out: list[RegistryError]) -> None:
        self._out = out

    def __call__(self, code: str, context: str) -> None:
        self._out.append(RegistryError(code, context))


def _set(submission: Submission, add: _Add, structure: str) -> None:
    package = submission.package
    if not _DTM.fullmatch(package.slot("submissionTime")) or len(package.slot("submissionTime")) != 14:
        add(METADATA, "submissionTime absent ou mal formé")
    if not _INS_CX.fullmatch(submission.patient):
        add(METADATA, "XDSSubmissionSet.patientId absent ou mal formé")
    elif not _key_holds(submission.patient[:15]):
        add(METADATA, "clé du matricule INS fausse")
    for scheme, label in ((SET_SOURCE, "sourceId"), (SET_UNIQUE, "uniqueId")):
        if not _oid(package.identifiers.get(scheme, "")):
            add(METADATA, f"XDSSubmissionSet.{label} absent ou mal formé")
    content = package.coded(SET_CONTENT)
    if len(content) != 1 or not content[0].code or not content[0].system or not content[0].label:
        add(METADATA, "contentTypeCode absent ou incomplet")
    _authors(package.coded(SET_AUTHOR), add, structure)


def _authors(authors: Sequence[Coded], add: _Add, structure: str) -> None:
    if not authors:
        add(METADATA, "auteur absent")
    institutions: list[str] = []
    for author in authors:
        persons = author.slots.get("authorPerson", ())
        if len(persons) != 1 or not _XCN.fullmatch(persons[0]):
            add(METADATA, "authorPerson absent ou mal formé")
        if any(not _SPECIALTY.fullmatch(one) for one in author.slots.get("authorSpecialty", ())):
            add(METADATA, "authorSpecialty mal formé : code^libellé^codeSystem")
        for institution in author.slots.get("authorInstitution", ()):
            match = _XON.fullmatch(institution)
            if match is None:
                add(METADATA, "authorInstitution mal formé")
            else:
                institutions.append(match[1])
    if authors and structure not in institutions:
        add(METADATA, "Aucun AuthorInstitution ne correspond à l'utilisateur du VIHF")


def _entry(entry: RegistryObject, add: _Add, *, signature: bool, structure: str) -> None:
    for fault in _entry_faults(entry):
        add(METADATA, fault)
    _times(entry, add)
    for scheme, systems in (_SIGNATURE_CODES if signature else _DOCUMENT_CODES).items():
        _single_code(entry.coded(scheme), systems, add)
    if not signature and {one.code for one in entry.coded(CLASS)} - _CLASSES:
        add(METADATA, "classCode hors JDV_J57")
    _visibility(entry.coded(CONFIDENTIALITY), add, signature=signature)
    _authors(entry.coded(DOC_AUTHOR), add, structure)


def _entry_faults(entry: RegistryObject) -> list[str]:
    """What a DocumentEntry breaks on its own, whatever it documents."""
    rules = (
        (entry.attributes.get("objectType") == STABLE, "objectType attendu : document stable"),
        (entry.attributes.get("mimeType") in {"text/xml", "application/xslt+xml"}, "mimeType refusé"),
        (not {"status", "lid", "home"} & set(entry.attributes), "status, lid et home sont réservés au DMP"),
        (bool(entry.name), "titre absent"),
        (len(entry.name) <= 128, "titre de plus de 128 caractères"),
        (_oid(entry.identifiers.get(DOC_UNIQUE, "")), "XDSDocumentEntry.uniqueId absent ou mal formé"),
        (bool(_LOCAL_CX.fullmatch(entry.slot("sourcePatientId"))), "sourcePatientId mal formé"),
        (bool(_XCN.fullmatch(entry.slot("legalAuthenticator"))), "legalAuthenticator mal formé"),
        (entry.slot("size").isdigit(), "size mal formée"),
    )
    absent = [f"slot obligatoire absent : {name}" for name in _REQUIRED_SLOTS if name not in entry.slots]
    return [*absent, *(text for holds, text in rules if not holds)]


def _times(entry: RegistryObject, add: _Add) -> None:
    for name in ("creationTime", "serviceStartTime", "serviceStopTime"):
        if name in entry.slots and not _DTM.fullmatch(entry.slot(name)):
            add(METADATA, f"{name} : date UTC sans décalage attendue")
    start, stop = entry.slot("serviceStartTime"), entry.slot("serviceStopTime")
    if stop and stop.ljust(14, "9") < start.ljust(14, "0"):
        add(METADATA, "serviceStopTime antérieur à serviceStartTime")


def _single_code(found: Sequence[Coded], systems: frozenset[str] | None, add: _Add) -> None:
    if len(found) != 1 or not found[0].code or not found[0].system or not found[0].label:
        add(METADATA, "code obligatoire absent, multiple ou incomplet (code, codingScheme, libellé)")
    elif systems is not None and found[0].label == found[0].code:
        add(METADATA, "libellé d'un code : le code répété")
    elif systems is not None and found[0].system not in systems:
        add(METADATA, "codingScheme inattendu")


def _visibility(found: Sequence[Coded], add: _Add, *, signature: bool) -> None:
    codes = _codes(found)
    if not 1 <= len(codes) <= 4 or codes[0] not in {"N", "R", "V"} or len(set(codes)) != len(codes):
        add(METADATA, "confidentialityCode : N, R ou V d'abord, quatre au plus")
    if any(_CONFIDENTIALITY.get(one.code) != one.system for one in found):
        add(METADATA, "confidentialityCode hors JDV_J58")
    if not signature and {"MASQUE_PS", "INVISIBLE_PATIENT"} <= set(codes):
        add(METADATA, "cumul MASQUE_PS et INVISIBLE_PATIENT interdit")


def _associations(submission: Submission, add: _Add) -> None:
    own = submission.package.id
    for one in submission.associations:
        if one.attributes.get("associationType") not in _ASSOCIATIONS:
            add(METADATA, "type d'association inconnu")
    members = {
        one.attributes.get("targetObject")
        for one in submission.of_kind(HAS_MEMBER)
        if one.attributes.get("sourceObject") == own and one.slot("SubmissionSetStatus") == "Original"
    }
    if members != set(submission.entries) | set(submission.signatures):
        add(METADATA, "HasMember : une association Original par document du lot")


def _codes(found: Sequence[Coded]) -> list[str]:
    return [one.code for one in found]


def _oid(text: str) -> bool:
    return len(text) <= 64 and _OID.fullmatch(text) is not None


def _key_holds(matricule: str) -> bool:
    body = matricule[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and int(matricule[13:]) == 97 - int(body) % 97
