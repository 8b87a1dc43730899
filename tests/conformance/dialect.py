"""Where French practice differs from what the judges take: every relaxation, with its source and its reason.

A relaxation changes a copy of what is judged, as little as it can. Nothing else is changed. A test fails when a
relaxation is no longer needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DS = "{http://www.w3.org/2000/09/xmldsig#}"
V3 = "{urn:hl7-org:v3}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
OASIS = "urn:oasis:names:tc:ebxml-regrep:StatusType:"
ASIP = "urn:asip:ci-sis:2010:StatusType:"
_TYPE = re.compile(r"(\^\^\^&[0-9.]+&ISO)\^(?:NH|PI)\Z")


@dataclass(frozen=True)
class Relaxation:
    """blamed: what the judge says without it; source: who asks for what we send; reason: why both can be right."""

    name: str
    blamed: str
    source: str
    reason: str
    change: Callable[[Any], None]


def _values(body: Any, slot: str) -> list[Any]:
    return [value for one in body.iter(RIM + "Slot") if one.get("name") == slot for value in one.iter(RIM + "Value")]


def _organisation_type(body: Any) -> None:
    for value in _values(body, "authorInstitution"):
        parts = value.text.split("^")
        if len(parts) > 6:
            parts[6] = parts[6].replace("IDNST", "")
        value.text = "^".join(parts)


def _author_specialty(body: Any) -> None:
    for value in _values(body, "authorSpecialty"):
        value.text = value.text.partition("^")[0]


def _patient_id(body: Any) -> None:
    for one in body.iter(RIM + "ExternalIdentifier"):
        one.set("value", _TYPE.sub(r"\1", one.get("value")))


def _source_patient_id(body: Any) -> None:
    for value in _values(body, "sourcePatientId"):
        value.text = _TYPE.sub(r"\1", value.text)


def _status(name: str, ours: str, theirs: str) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for value in _values(body, name):
            if value.text == ours:
                value.text = theirs

    return change


_CX = "Only the ID number and the assigning authority can be defined for a CX value"
RELAXATIONS = (
    Relaxation(
        "XON.7",
        "An organization should not specify data other than its ID and name",
        "dmp §2.1",
        "The CI-SIS says in XON.7 what sort of number names the structure (IDNST); IHE has XON.1, .6 and .10 only.",
        _organisation_type,
    ),
    Relaxation(
        "authorSpecialty",
        _CX,
        "dmp §2.1",
        "The CI-SIS writes code^label^system (CE), IHE leaves the form open; IPF reads an identifier (CX).",
        _author_specialty,
    ),
    Relaxation(
        "patientId CX.5",
        _CX,
        "dmp §2.1",
        "The CI-SIS types the INS (NH) or the local number (PI); IHE has CX.1 and CX.4 only.",
        _patient_id,
    ),
    Relaxation(
        "sourcePatientId CX.5",
        _CX,
        "dmp §2.1",
        "As for patientId.",
        _source_patient_id,
    ),
    Relaxation(
        "NewStatus Deleted",
        "UpdateAvailabilityStatus Association must specify an new document status",
        "dmp §1.7",
        "The DMP deletes by a status of its own; IPF knows the statuses of OASIS only.",
        _status("NewStatus", f"{ASIP}Deleted", f"{OASIS}Deprecated"),
    ),
    Relaxation(
        "OriginalStatus Archived",
        "UpdateAvailabilityStatus Association must specify an original document status",
        "dmp §1.7",
        "The DMP archives by a status of its own; IPF knows the statuses of OASIS only.",
        _status("OriginalStatus", f"{ASIP}Archived", f"{OASIS}Approved"),
    ),
)


def _role_type(assertion: Any) -> None:
    for one in assertion.iter(f"{V3}Role", f"{V3}PurposeOfUse"):
        if one.get(XSI_TYPE) == "CE":
            del one.attrib[XSI_TYPE]


def _purpose(signature: Any) -> None:
    for one in signature.iter(f"{DS}SignatureProperty"):
        if one.get("Id") == "purposeOfSignature" and one.text and not len(one):
            one.append(one.makeelement("{urn:example}purpose"))


#: By the name of the schema.
OF_SCHEMAS = {
    "SAML": Relaxation(
        "type CE of roles",
        "cvc-elt.4.2: Cannot resolve 'CE' to a type definition for element 'Role'.",
        "dmp §3",
        "The type is one of the HL7 v3 data types, whose schema is in none of the jars.",
        _role_type,
    ),
    "XMLDSig": Relaxation(
        "purposeOfSignature as text",
        "cvc-complex-type.2.4.b: The content of element 'ds:SignatureProperty' is not complete.",
        "dmp §4",
        "IHE DSG and the DMP write the code as bare text; the W3C's schema asks for an element beside it.",
        _purpose,
    ),
}
