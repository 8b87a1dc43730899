"""FHIR resources of the annuaire santé (R4) to mailboxes and professions (mssante §5.1).

A mailbox is a `telecom` whose extension says MSSANTE; it stands on Practitioner (RPPS alone), PractitionerRole (RPPS in
a structure) or Organization. Unknown extensions are passed over, a missing type is tolerated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from router.directory.addresses import addr_spec
from router.directory.mailboxes import Mailbox, Profession, finess, rpps

Resource = Mapping[str, Any]

_MESSAGING: Final = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type"
_METADATA: Final = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"
_FINESS: Final = "https://finess.esante.gouv.fr"
_IDNST: Final = "urn:oid:1.2.250.1.71.4.2.2"
_IDNPS: Final = "urn:oid:1.2.250.1.71.4.2.1"
_RPPS: Final = "https://rpps.esante.gouv.fr"
_PROFESSIONS: Final = "TRE_G15"
#: Nomenclatures of savoir-faire and sections that JDV_J01 knows: R38 (SM), R39 (C), R40 (CEX), R45 (PAC), G05.
_SKILLS: Final = re.compile(r"TRE_(?:R38|R39|R40|R45|G05)\b|TRE_(?:R38|R39|R40|R45|G05)-")
#: Type of a mailbox whose extension says none.
_TYPES: Final = {"Practitioner": "PER", "PractitionerRole": "PER", "Organization": "ORG"}


def active(resource: Resource) -> bool:
    return resource.get("active") is not False


def boxes(resource: Resource, *, rpps: str, structure: str) -> Iterator[Mailbox]:
    """The mailboxes of a Practitioner, a PractitionerRole or an Organization."""
    for telecom in _objects(resource.get("telecom")):
        extensions = {one.get("url"): one for one in _objects(telecom.get("extension"))}
        if _object(extensions.get(_MESSAGING, {}).get("valueCoding")).get("code") != "MSSANTE":
            continue
        try:
            address = addr_spec(str(telecom.get("value", "")))
        except ValueError:
            continue
        said = {one.get("url"): one for one in _objects(extensions.get(_METADATA, {}).get("extension"))}
        codings = _objects(_object(said.get("type", {}).get("valueCodeableConcept")).get("coding"))
        rank = telecom.get("rank")
        digitization = said.get("digitization", {}).get("valueBoolean")
        yield Mailbox(
            address=address.lower(),
            type=next((str(coding.get("code", "")).upper() for coding in codings), "")
            or _TYPES.get(str(resource.get("resourceType")), ""),
            rpps=rpps,
            structure=structure,
            service=str(said.get("service", {}).get("valueString", "")),
            demat="O" if digitization is True else "N" if digitization is False else "",
            rank=rank if isinstance(rank, int) and rank > 0 else None,
            red_listed=said.get("listeRouge", {}).get("valueBoolean") is True,
        )


def merged(found: Iterable[Mailbox]) -> tuple[Mailbox, ...]:
    """Each mailbox once per structure; that of the person alone is left out where a structure publishes it too."""
    once: dict[tuple[str, str, str], Mailbox] = {}
    for box in found:
        key = (box.address, box.rpps, box.structure)
        seen = once.get(key)
        best = min((one for one in (box.rank, seen.rank if seen else None) if one is not None), default=None)
        once[key] = replace(seen or box, rank=best, red_listed=box.red_listed or bool(seen and seen.red_listed))
    placed = {(box.address, box.rpps) for box in once.values() if box.structure}
    return tuple(box for box in once.values() if box.structure or (box.address, box.rpps) not in placed)


def professions(resources: Sequence[Resource]) -> tuple[Profession, ...]:
    """What a Practitioner and his PractitionerRoles say: each profession with each savoir-faire."""
    known: dict[str, str] = {}
    skills: dict[str, str] = {}
    for resource in resources:
        concepts = [
            *(_object(one.get("code")) for one in _objects(resource.get("qualification"))),
            *_objects(resource.get("code")),
            *_objects(resource.get("specialty")),
        ]
        for coding in (coding for concept in concepts for coding in _objects(concept.get("coding"))):
            system, code = str(coding.get("system", "")), str(coding.get("code", ""))
            if code and _PROFESSIONS in system:
                known.setdefault(code, str(coding.get("display", "")))
            elif code and _SKILLS.search(system):
                skills.setdefault(code, str(coding.get("display", "")))
    return tuple(
        Profession(code, label, skill, skill_label)
        for code, label in known.items()
        for skill, skill_label in (skills or {"": ""}).items()
    )


def finess_of(resource: Resource) -> str:
    """The FINESS of an Organization, or of a reference that carries it; "" when it has none."""
    identifiers = resource.get("identifier", ())
    for one in _objects([identifiers] if isinstance(identifiers, Mapping) else identifiers):
        if one.get("system") in (_FINESS, _IDNST) and one.get("value"):
            return finess(str(one["value"]))
    return ""


def rpps_of(resource: Resource) -> str:
    """The RPPS of a Practitioner; "" when it has none."""
    return next((rpps(value) for value in _values(resource, _RPPS) if rpps(value)), "")


def number_of(resource: Resource) -> str:
    """The RPPS inside the IDNPS of a Practitioner (12 digits, `8` first); "" when it has none."""
    return next((rpps(value) for value in _values(resource, _IDNPS) if len(value) == 12 and rpps(value)), "")


def _values(resource: Resource, system: str) -> list[str]:
    identifiers = _objects(resource.get("identifier"))
    return [str(one.get("value", "")) for one in identifiers if one.get("system") == system]


def reference(resource: Resource, name: str) -> str:
    """`Organization/12` of a reference, without server and version; "" when there is none."""
    parts = str(_object(resource.get(name)).get("reference", "")).split("/_history/")[0].split("/")
    return "/".join(parts[-2:]) if len(parts) >= 2 else ""


def place(resource: Resource) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _objects(value: object) -> list[Mapping[str, Any]]:
    """The JSON objects of a list; none of anything else: a server may send what it likes."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
