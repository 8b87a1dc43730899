"""Who made a CDA, signed it, keeps it: persons, software and organisations of its header (hl7-input §6.2, dmp §2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from router.cda import oids
from router.cda.datatypes import NS, attribute, child_of, code_of, identifiers_of, name_of, text_of, time_of
from router.request import Author, Device, Professional, Structure


def author(element: Any) -> Author:
    """An `author` of the CDA: a person, or a piece of software."""
    assigned = child_of(element, "assignedAuthor")
    machine = child_of(assigned, "assignedAuthoringDevice")
    role = attribute(child_of(element, "functionCode"), "displayName")
    return Author(
        person=_professional(assigned, role) if machine is None else None,
        device=_device(assigned, machine, role) if machine is not None else None,
        structure=structure(child_of(assigned, "representedOrganization")),
        time=time_of(child_of(element, "time")),
    )


def legal_authenticator(signers: Iterable[Any]) -> Author | None:
    """The first `legalAuthenticator` who signed, or None."""
    for signer in signers:
        if attribute(child_of(signer, "signatureCode"), "code") == "S":
            entity = child_of(signer, "assignedEntity")
            return Author(
                person=_professional(entity, ""),
                structure=structure(child_of(entity, "representedOrganization")),
                time=time_of(child_of(signer, "time")),
            )
    return None


def _professional(entity: Any, role: str) -> Professional | None:
    person = child_of(entity, "assignedPerson")
    number = national_id(entity)
    if person is None and not number:
        return None
    family, given = name_of(child_of(person, "name"))
    specialty = code_of(child_of(entity, "code"))
    return Professional(
        id=number,
        kind="EI" if "/" in number else "IDNPS",
        family=family,
        given=given,
        specialty=(specialty.code, specialty.label, specialty.system) if specialty else None,
        role=role,
    )


def national_id(entity: Any) -> str:
    """The id issued under the national OID of professionals (PS_IdNat, dmp §2.1), else ""."""
    if entity is None:
        return ""
    return next(
        (
            attribute(one, "extension")
            for one in entity.iterchildren(NS + "id")
            if one.get("root") == oids.PROFESSIONALS
        ),
        "",
    )


def _device(assigned: Any, machine: Any, role: str) -> Device:
    number = next(iter(identifiers_of(assigned.iterchildren(NS + "id"))), None)
    specialty = code_of(child_of(assigned, "code"))
    return Device(
        id=(number.value or number.authority) if number else "",
        authority=number.authority if number and number.value else "",
        role=role,
        name=text_of(child_of(machine, "softwareName")),
        model=text_of(child_of(machine, "manufacturerModelName")),
        specialty=(specialty.code, specialty.label, specialty.system) if specialty else None,
    )


def structure(organisation: Any) -> Structure | None:
    """An organisation; `id` only from the national OID, because XON-10 says that it comes from there."""
    if organisation is None:
        return None
    number = next(
        (
            attribute(one, "extension")
            for one in organisation.iterchildren(NS + "id")
            if one.get("root") == oids.STRUCTURES
        ),
        "",
    )
    finess = number[1:] if len(number) == 10 and number.startswith("1") else ""
    name = text_of(child_of(organisation, "name"))
    return Structure(id=number, name=name, kind="IDNST" if number else "", finess=finess)
