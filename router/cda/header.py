"""From the tree of a CDA header to a `DocumentHeader`: every path of hl7-input §6.2 and dmp §2.3.

Nothing here judges: an element that is absent gives an empty field, and `router.cda.minimal` says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from router.cda import oids
from router.cda.authors import author, legal_authenticator, national_id, structure
from router.cda.datatypes import (
    NS,
    attribute,
    child_of,
    code_of,
    find_in,
    identifiers_of,
    ii_of,
    interval_of,
    name_of,
    text_of,
    time_of,
)
from router.request import Code, DocumentHeader, Identifier, Patient


def _path(text: str) -> str:
    """`a/b/c` as a path of lxml in the CDA namespace."""
    return "/".join(NS + name for name in text.split("/"))


def _names(text: str) -> tuple[str, ...]:
    """`a/b/c` as the qualified names that `find_in` takes."""
    return tuple(NS + name for name in text.split("/"))


class _Paths:
    """Paths made once."""

    COUNTY = _names("birthplace/place/addr/county")
    PARENT = _path("parentDocument/id")
    CUSTODIAN = _names("assignedCustodian/representedCustodianOrganization")
    PRACTICE = _names("performer/assignedEntity/representedOrganization/standardIndustryClassCode")
    FACILITY = _names("encompassingEncounter/location/healthCareFacility/code")
    ORDER = _path("order/id")
    RECIPIENT = _path("informationRecipient/intendedRecipient")
    TELECOM = ".//" + NS + "telecom"


@dataclass(frozen=True, slots=True)
class IntendedRecipient:
    """An `intendedRecipient` with a mailbox: the only recipients that a sender of the volet 1.2 can name."""

    address: str
    id: str = ""
    family: str = ""
    given: str = ""
    organisation: str = ""

    def __repr__(self) -> str:
        return "<IntendedRecipient>"


def body_kind(element: Any) -> bool:
    """Whether the tree up to this element says everything: the body's kind and, at level 1, its media type.

    Only a body that stands at `ClinicalDocument/component` counts.
    """
    names = [element.tag, *(ancestor.tag for ancestor in element.iterancestors())]
    root = [NS + "component", NS + "ClinicalDocument"]
    return names == [NS + "structuredBody", *root] or names == [NS + "text", NS + "nonXMLBody", *root]


#: Where reading may stop.
BODY_TAGS: Final = (NS + "structuredBody", NS + "text")


def header_of(root: Any, *, size: int, sha1: str) -> DocumentHeader:
    """Every field of the header; `size` in bytes and `sha1` in hex are those of the bytes received."""
    top = _Children(root)
    uid = top.first("id")
    acts = _acts(top.all("documentationOf"))
    main = acts[0] if acts else None
    start, stop = interval_of(child_of(main, "effectiveTime"))
    level, media_type = _body(top.first("component"))
    return DocumentHeader(
        uid=attribute(uid, "root"),
        extension=attribute(uid, "extension"),
        set_id=ii_of(top.first("setId")),
        version=attribute(top.first("versionNumber"), "value"),
        replaces=next(iter(_parents(top.all("relatedDocument"))), ""),
        level=level,
        media_type=media_type,
        template_ids=tuple(attribute(template, "root") for template in top.all("templateId")),
        code=code_of(top.first("code")) or Code(code=""),
        title=text_of(top.first("title")),
        effective_time=time_of(top.first("effectiveTime")),
        confidentiality=code_of(top.first("confidentialityCode")) or Code(code=""),
        language=attribute(top.first("languageCode"), "code"),
        patient=_patient(child_of(top.first("recordTarget"), "patientRole")),
        patients=_count_patients(top.all("recordTarget")),
        authors=tuple(map(author, top.all("author"))),
        custodian=structure(find_in(top.first("custodian"), _Paths.CUSTODIAN)),
        legal_authenticator=legal_authenticator(top.all("legalAuthenticator")),
        act=code_of(child_of(main, "code")),
        events=tuple(code for act in acts if (code := code_of(child_of(act, "code")))),
        start_time=start,
        stop_time=stop,
        practice_setting=code_of(find_in(main, _Paths.PRACTICE)),
        facility_type=code_of(find_in(top.first("componentOf"), _Paths.FACILITY)),
        orders=tuple(
            identifier
            for related in top.all("inFulfillmentOf")
            for identifier in identifiers_of(related.iterfind(_Paths.ORDER))
        ),
        stylesheet=_has_stylesheet(root),
        size=size,
        sha1=sha1,
    )


def predecessors(root: Any) -> tuple[str, ...]:
    """The ids of every `relatedDocument[@typeCode='RPLC']/parentDocument`; the profile allows one (R62)."""
    return _parents(root.iterchildren(NS + "relatedDocument"))


def intended_recipients(root: Any) -> tuple[IntendedRecipient, ...]:
    """The `intendedRecipient`s that have a `mailto:` telecom (hl7-input §1.7: dialect 1.2 only)."""
    return tuple(
        IntendedRecipient(
            address=value[7:],
            id=national_id(recipient),
            family=family,
            given=given,
            organisation=text_of(recipient.find(_path("receivedOrganization/name"))),
        )
        for recipient in root.iterfind(_Paths.RECIPIENT)
        for family, given in [name_of(recipient.find(_path("informationRecipient/name")))]
        for telecom in recipient.iterfind(_Paths.TELECOM)
        if (value := telecom.get("value", "").strip()).lower().startswith("mailto:")
    )


# ------------------------------------------------------------------------------------------------- the parts


class _Children:
    """The children of the root by name: one walk instead of one search per field."""

    def __init__(self, root: Any) -> None:
        self._by_tag: dict[str, list[Any]] = {}
        for child in root.iterchildren("*"):
            self._by_tag.setdefault(child.tag, []).append(child)

    def all(self, name: str) -> list[Any]:
        return self._by_tag.get(NS + name, [])

    def first(self, name: str) -> Any:
        return next(iter(self.all(name)), None)


def _parents(related: Iterable[Any]) -> tuple[str, ...]:
    return tuple(
        ii_of(parent) for one in related if one.get("typeCode") == "RPLC" for parent in one.iterfind(_Paths.PARENT)
    )


def _body(component: Any) -> tuple[int, str]:
    """The level (3, 1, or 0 without a body) and, at level 1, the media type."""
    if child_of(component, "structuredBody") is not None:
        return 3, ""
    body = child_of(component, "nonXMLBody")
    return (0, "") if body is None else (1, attribute(child_of(body, "text"), "mediaType"))


def _count_patients(targets: Iterable[Any]) -> int:
    """How many patients are named: `recordTarget`, `patientRole` and `patient` may each be repeated."""
    return sum(
        max(1, len(list(role.iterchildren(NS + "patient"))))
        for target in targets
        for role in (list(target.iterchildren(NS + "patientRole")) or [target])
    )


def _patient(role: Any) -> Patient:
    if role is None:
        return Patient()
    identifiers = tuple(identifiers_of(role.iterchildren(NS + "id")))
    person = child_of(role, "patient")
    families, givens = _name_parts(person)
    given, given_list = _first_given(givens)
    return Patient(
        ins=next((i for oid in oids.INS_OIDS for i in identifiers if i.authority == oid), None),
        ipp=next((i for i in identifiers if _may_be_ipp(i)), None),
        identifiers=identifiers,
        birth_family=" ".join(families.get("BR", families.get("", ()))),
        used_family=" ".join(families.get("CL", families.get("SP", ()))),
        given=given,
        used_given=" ".join(givens.get("CL", ())),
        given_list=given_list,
        given_names=" ".join(givens.get("", ())),
        birth_date=time_of(child_of(person, "birthTime")),
        sex=attribute(child_of(person, "administrativeGenderCode"), "code"),
        birthplace=text_of(find_in(person, _Paths.COUNTY)),
    )


def _may_be_ipp(identifier: Identifier) -> bool:
    known = (*oids.INS_OIDS, *oids.INS_C_OIDS, *oids.SOCIAL_SECURITY_OIDS)
    return bool(identifier.value) and identifier.authority not in known


_Parts = dict[str, list[str]]


def _name_parts(person: Any) -> tuple[_Parts, _Parts]:
    """Family names and given names by qualifier, the unqualified under ""; each text once, in the document's order."""
    parts: tuple[_Parts, _Parts] = ({}, {})
    names = person.iterchildren(NS + "name") if person is not None else ()
    for name in names:
        for index, tag in enumerate(("family", "given")):
            for part in name.iterchildren(NS + tag):
                _add(parts[index], part)
    return parts


def _add(parts: _Parts, part: Any) -> None:
    text = text_of(part)
    for qualifier in part.get("qualifier", "").split() or [""]:
        held = parts.setdefault(qualifier, []) if text else []
        if text and text not in held:
            held.append(text)


def _first_given(givens: _Parts) -> tuple[str, str]:
    """The first given name; and the list that it stands at the head of, where nobody can see where it ends.

    That is the only unqualified name when none is qualified BR, or several that are.
    """
    birth, unqualified = givens.get("BR", []), givens.get("", [])
    if birth:
        return birth[0], " ".join(birth) if len(birth) > 1 else ""
    if len(unqualified) == 1:
        return unqualified[0].partition(" ")[0], unqualified[0]
    return (unqualified[0] if unqualified else ""), ""


def _acts(documentations: Iterable[Any]) -> list[Any]:
    """Every `serviceEvent`, the main act first.

    The main act carries the practice setting and a date; where none does, the first with a performer
    (dmp §2.3 "Main act"; hl7-input §6.2).
    """
    events = [event for one in documentations for event in one.iterchildren(NS + "serviceEvent")]
    return sorted(events, key=_main_rank)  # stable: ties keep the document's order


def _main_rank(event: Any) -> int:
    if child_of(event, "performer") is None:
        return 3
    if find_in(event, _Paths.PRACTICE) is None:
        return 2
    return 0 if interval_of(child_of(event, "effectiveTime"))[0] else 1


def _has_stylesheet(root: Any) -> bool:
    return any(one.target == "xml-stylesheet" for one in root.itersiblings(preceding=True) if hasattr(one, "target"))
