"""A judge of XDS metadata with code of its own: a registry's rules (dmp §8.2), the XSD's order.

`faults(xml)` lists what is wrong with a SubmitObjectsRequest or a ProvideAndRegisterDocumentSetRequest. Nothing is
imported from the router: names and UUIDs are written again from the standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
LCM = "{urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0}"
XDS = "{urn:ihe:iti:xds-b:2007}"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

ORDER = ["Slot", "Name", "Description", "VersionInfo", "Classification", "ExternalIdentifier"]
DTM = re.compile(r"\d{4}(\d\d(\d\d(\d\d(\d\d(\d\d)?)?)?)?)?")
OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
CX = re.compile(r"[^^]+\^\^\^&([^&]+)&ISO\^(NH|PI)")
UUID = re.compile(r"urn:uuid:[0-9a-f-]{36}")
#: scheme -> (name, at least, at most)
DOCUMENT = {
    "41a5887f-8865-4c09-adf7-e362475b143a": ("class", 1, 1),
    "f0306f51-975f-434e-a61c-c59651d33983": ("type", 1, 1),
    "f4f85eac-e6cb-4883-b524-f2705394840f": ("confidentiality", 1, 4),
    "a09d5840-386c-46f2-b5ad-9c3699a4309d": ("format", 1, 1),
    "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1": ("facility", 1, 1),
    "cccf5598-8b07-4b77-a05e-ae952c785ead": ("practice", 1, 1),
    "2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4": ("event", 0, 99),
    "93606bcf-9494-43ec-9b4e-a7748d1a838d": ("author", 1, 99),
}
SET = {
    "aa543740-bdda-424e-8c96-df4873be8500": ("content type", 1, 1),
    "a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d": ("author", 1, 1),
}
IDENTIFIERS = {
    "58a6f841-87b3-4a3e-92fd-a8ffeff98427": "XDSDocumentEntry.patientId",
    "2e82c1f6-a085-4c72-9da3-8640a32e42ab": "XDSDocumentEntry.uniqueId",
    "6b5aea1a-874d-4603-a4bc-96a0a7b38446": "XDSSubmissionSet.patientId",
    "554ac39e-e3fe-47fe-b233-965d2a147832": "XDSSubmissionSet.sourceId",
    "96fdda7c-d067-4183-912e-bf5ee74998a8": "XDSSubmissionSet.uniqueId",
}


def faults(xml: bytes | str, *, archive: bool = False) -> list[str]:
    """Everything wrong; `archive`: hash, size and URI are mandatory (XDM)."""
    root = etree.fromstring(xml.encode() if isinstance(xml, str) else xml)
    return list(_request(root, archive))


def slots(element: Any) -> dict[str, list[str]]:
    """Slot name -> values of one registry object."""
    return {
        one.get("name"): [value.text or "" for value in one.iter(RIM + "Value")]
        for one in element.findall(RIM + "Slot")
    }


def codes(element: Any, name: str) -> list[tuple[str, str]]:
    """(code, code system) of a kind of classification of a document or set."""
    schemes = {label: scheme for scheme, (label, _, _) in (SET | DOCUMENT).items()}
    if element.tag == RIM + "RegistryPackage":
        schemes |= {label: scheme for scheme, (label, _, _) in SET.items()}
    found = element.findall(f"{RIM}Classification[@classificationScheme='urn:uuid:{schemes[name]}']")
    return [(one.get("nodeRepresentation"), slots(one).get("codingScheme", [""])[0]) for one in found]


def identifier(element: Any, name: str) -> str:
    """The value of an ExternalIdentifier, by the end of its name: `patientId`, `uniqueId`, `sourceId`."""
    (found,) = [
        one.get("value")
        for one in element.findall(RIM + "ExternalIdentifier")
        if IDENTIFIERS[one.get("identificationScheme")[9:]].endswith(name)
    ]
    return str(found)


def _request(root: Any, archive: bool) -> Iterator[str]:
    submit = root if root.tag == LCM + "SubmitObjectsRequest" else root.find(LCM + "SubmitObjectsRequest")
    if submit is None:
        yield "no SubmitObjectsRequest"
        return
    objects = submit.find(RIM + "RegistryObjectList")
    ids = [one.get("id") for one in objects.iter() if one.get("id")]
    if len(set(ids)) != len(ids):
        yield "ids repeat"
    packages, entries = objects.findall(RIM + "RegistryPackage"), objects.findall(RIM + "ExtrinsicObject")
    if len(packages) != 1:
        yield "not exactly one submission set"
    for one in (*packages, *entries):
        yield from _shape(one)
    yield from _set(packages[0])
    for entry in entries:
        yield from _document(entry, archive)
        if identifier(entry, "patientId") != identifier(packages[0], "patientId"):
            yield "patients differ"
    yield from _associations(objects, packages[0], entries)
    if root.tag != submit.tag:
        named = {one.get("id") for one in root.findall(XDS + "Document")}
        if named != {one.get("id") for one in entries}:
            yield "documents and entries differ"


def _shape(element: Any) -> Iterator[str]:
    """Order of children, unique slots, lengths, references to the owner."""
    tags = [etree.QName(child).localname for child in element]
    if tags != sorted(tags, key=ORDER.index):
        yield f"order of children: {tags}"
    for holder in (element, *element.findall(RIM + "Classification")):
        names = [one.get("name") for one in holder.findall(RIM + "Slot")]
        if len(set(names)) != len(names):
            yield f"slot names repeat: {names}"
    for value in element.iter(RIM + "Value"):
        if not value.text or len(value.text) > 256:
            yield "slot value empty or over 256 characters"
    for one in element.findall(RIM + "Classification"):
        if one.get("classifiedObject") != element.get("id"):
            yield "classifiedObject"
        if one.get("classificationNode") is None and one.get("nodeRepresentation") is None:
            yield "classification without node"
    for one in element.findall(RIM + "ExternalIdentifier"):
        expected = IDENTIFIERS.get((one.get("identificationScheme") or "")[9:])
        label = one.find(f"{RIM}Name/{RIM}LocalizedString")
        if one.get("registryObject") != element.get("id") or label is None or label.get("value") != expected:
            yield f"external identifier {expected}"
    for text in element.iter(RIM + "LocalizedString"):
        if not text.get(XML_LANG) or not text.get("charset") or not text.get("value"):
            yield "LocalizedString"


def _coded(element: Any, table: dict[str, tuple[str, int, int]]) -> Iterator[str]:
    for scheme, (name, least, most) in table.items():
        found = element.findall(f"{RIM}Classification[@classificationScheme='urn:uuid:{scheme}']")
        if not least <= len(found) <= most:
            yield f"{name}: {len(found)} of them"
        for one in found:
            if name == "author":
                yield from _author(one)
            elif (
                not one.get("nodeRepresentation")
                or not slots(one).get("codingScheme")
                or one.find(RIM + "Name") is None
            ):
                yield f"{name}: code, scheme or label is missing"


def _author(classification: Any) -> Iterator[str]:
    held = slots(classification)
    if not held.get("authorPerson"):
        yield "author without authorPerson"
    for person in held.get("authorPerson", []):
        parts = person.split("^")
        if len(parts) != 13 or not parts[1] or not re.fullmatch(r"(&[0-9.]+&ISO)?", parts[8]):
            yield "XCN"
    for organisation in held.get("authorInstitution", []):
        parts = organisation.split("^")
        if not parts[0] or (len(parts) != 1 and (len(parts) != 10 or parts[6] != "IDNST" or not parts[9])):
            yield "XON"


def _set(package: Any) -> Iterator[str]:
    yield from _coded(package, SET)
    held = slots(package)
    if len(held.get("submissionTime", [])) != 1 or not re.fullmatch(r"\d{14}", held["submissionTime"][0]):
        yield "submissionTime"
    nodes = [one.get("classificationNode") for one in package.findall(RIM + "Classification")]
    if nodes.count("urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd") != 1:
        yield "the package isn't marked as a submission set"
    for name in ("sourceId", "uniqueId"):
        if not OID.fullmatch(identifier(package, name)) or len(identifier(package, name)) > 64:
            yield f"{name} is no OID"
    if not CX.fullmatch(identifier(package, "patientId")):
        yield "patientId of the set"


def _document(entry: Any, archive: bool) -> Iterator[str]:
    yield from _coded(entry, DOCUMENT)
    held = slots(entry)
    for name in ("creationTime", "serviceStartTime", "serviceStopTime"):
        for value in held.get(name, []):
            if not DTM.fullmatch(value):
                yield f"{name}: not a DTM in UTC"
    start, stop = held.get("serviceStartTime", [""])[0], held.get("serviceStopTime", [""])[0]
    if stop and start and stop[: len(start)] < start[: len(stop)]:
        yield "stop before start"
    needed = ["creationTime", "languageCode", "sourcePatientId", "hash", "size"] + (["URI"] if archive else [])
    yield from (f"slot {name} is missing" for name in needed if not held.get(name))
    if not archive:
        yield from (
            f"slot {name} belongs to an archive or to the registry"
            for name in ("URI", "repositoryUniqueId")
            if name in held
        )
    if not re.fullmatch(r"[0-9a-f]{40}", held.get("hash", [""])[0]) or not held.get("size", ["x"])[0].isdigit():
        yield "hash or size"
    if not CX.fullmatch(held.get("sourcePatientId", [""])[0]):
        yield "sourcePatientId"
    for line in held.get("sourcePatientInfo", []):
        if not re.fullmatch(r"PID-(5\|[^|]*|7\|\d{4,8}|8\|[A-Z])", line):
            yield "sourcePatientInfo"
    label = entry.find(f"{RIM}Name/{RIM}LocalizedString")
    if label is None or len(label.get("value")) > 128 or re.search(r"[\r\n]", label.get("value")):
        yield "title"
    unique = identifier(entry, "uniqueId")
    if not OID.fullmatch(unique.partition("^")[0]) or (not archive and "^" in unique):
        yield "uniqueId"
    if entry.get("objectType") != "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1" or not entry.get("mimeType"):
        yield "objectType or mimeType"


def _associations(objects: Any, package: Any, entries: list[Any]) -> Iterator[str]:
    members = set()
    local = {package.get("id"), *(one.get("id") for one in entries)}
    for one in objects.findall(RIM + "Association"):
        kind, source, target = one.get("associationType"), one.get("sourceObject"), one.get("targetObject")
        if source not in local:
            yield "association from nowhere"
        if kind.endswith(":HasMember"):
            members.add(target)
            if slots(one).get("SubmissionSetStatus") != ["Original"]:
                yield "SubmissionSetStatus"
        elif kind == "urn:ihe:iti:2007:AssociationType:RPLC":
            if not UUID.fullmatch(target):
                yield "RPLC target"
        elif kind == "urn:ihe:iti:2007:AssociationType:signs":
            if target != package.get("id"):
                yield "signs"
        elif kind == "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus":
            if not UUID.fullmatch(target) or set(slots(one)) != {"OriginalStatus", "NewStatus"}:
                yield "UpdateAvailabilityStatus"
        else:
            yield f"association {kind}"
    if members != {one.get("id") for one in entries}:
        yield "members and entries differ"
