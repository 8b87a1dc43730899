"""FHIR resources (R4) of the simulated annuaire, in the form of the national profiles (mssante §5.1)."""

from __future__ import annotations

from typing import Any, Final

from router.simulators.annuaire.people import Box, Organisation, Person, Practice

Resource = dict[str, Any]

_NOS: Final = "https://mos.esante.gouv.fr/NOS"
_CORE: Final = "https://hl7.fr/ig/fhir/core"
_METADATA: Final = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"


def practitioner(person: Person) -> Resource:
    return {
        "resourceType": "Practitioner",
        "id": f"003-{person.rpps}",
        "active": person.active,
        "identifier": [
            _identifier("urn:oid:1.2.250.1.71.4.2.1", f"8{person.rpps}", "IDNPS"),
            _identifier("https://rpps.esante.gouv.fr", person.rpps, "RPPS"),
        ],
        "telecom": [telecom(box) for box in person.boxes],
        "qualification": [
            {"code": {"coding": [_coding("TRE_G15-ProfessionSante", *person.profession)]}},
            *({"code": {"coding": [_coding("TRE_R38-SpecialiteOrdinale", *skill)]}} for skill in person.skills),
        ],
    }


def role(person: Person, rank: int, practice: Practice) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": f"005-{person.rpps}-{rank}",
        "active": person.active,
        "practitioner": {"reference": f"Practitioner/003-{person.rpps}"},
        "organization": {"reference": f"Organization/001-{practice.finess}"},
        "telecom": [telecom(box) for box in practice.boxes],
    }


def organization(one: Organisation) -> Resource:
    ordinary = {"system": "email", "value": f"contact@{one.finess}.example"}
    return {
        "resourceType": "Organization",
        "id": f"001-{one.finess}",
        "active": True,
        "name": one.name,
        "identifier": [
            _identifier("urn:oid:1.2.250.1.71.4.2.2", f"1{one.finess}", "IDNST"),
            _identifier("https://finess.esante.gouv.fr", one.finess, "FINEG"),
        ],
        "telecom": [ordinary, *(telecom(box) for box in one.boxes)],
    }


def telecom(box: Box) -> Resource:
    said: list[Resource] = [
        {"url": "type", "valueCodeableConcept": {"coding": [_coding("TRE_R257-TypeBAL", box.type, "")]}},
        {"url": "listeRouge", "valueBoolean": box.red_listed},
    ]
    if box.service:
        said.append({"url": "service", "valueString": box.service})
    if box.demat is not None:
        said.append({"url": "digitization", "valueBoolean": box.demat})
    made: Resource = {
        "system": "email",
        "value": box.address,
        "extension": [
            {
                "url": f"{_CORE}/StructureDefinition/fr-core-contact-point-email-type",
                "valueCoding": _coding("TRE_R256-TypeMessagerie", "MSSANTE", ""),
            },
            {"url": _METADATA, "extension": said},
        ],
    }
    return made | ({"rank": box.rank} if box.rank is not None else {})


def addresses(resource: Resource) -> set[str]:
    """Addresses of the MSSanté mailboxes of a resource."""
    return {str(one["value"]).lower() for one in resource.get("telecom", ()) if one.get("extension")}


def red_listed(telecom: Resource) -> bool:
    """Whether a contact point says that it must not be shown."""
    said = [one for extension in telecom.get("extension", ()) for one in extension.get("extension", ())]
    return any(one["url"] == "listeRouge" and one["valueBoolean"] for one in said)


def _identifier(system: str, value: str, kind: str) -> Resource:
    coding = {"system": f"{_CORE}/CodeSystem/fr-core-cs-v2-0203", "code": kind}
    return {"system": system, "use": "official", "value": value, "type": {"coding": [coding]}}


def _coding(table: str, code: str, display: str) -> Resource:
    made = {"system": f"{_NOS}/{table}/FHIR/{table.replace('_', '-')}", "code": code}
    return made | ({"display": display} if display else {})
