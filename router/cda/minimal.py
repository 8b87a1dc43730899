"""R37: the header items that both sinks need, as our own table (hl7-input §6.1, dmp §2.3).

The volet "Structuration minimale" demands more (setId, custodian, realmCode…); official example documents
lack some of it, and neither XDS nor the mail uses it: what is not in this table is not refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from router.cda.xml import PLACE
from router.errors import Invalid
from router.language import filled
from router.request import DocumentHeader

#: OID of at most 64 characters (dmp §2.1): the DMP knows documents by OID only.
_OID = re.compile(r"(?=.{1,64}$)[0-2](\.(0|[1-9]\d*))+")


class Item(NamedTuple):
    """A required item: its name for a person, where it stands, and how to see that it is there."""

    name: str
    xpath: str
    present: Callable[[DocumentHeader], object]


def _author_is_named(header: DocumentHeader) -> bool:
    """At least one author: a person with both names (the DMP refuses empty ones, RG_2230), or a device."""
    return any(
        (author.person and author.person.family and author.person.given) or (author.device and author.device.name)
        for author in header.authors
    )


def _author_has_id(header: DocumentHeader) -> bool:
    return any((a.person and a.person.id) or (a.device and a.device.id) for a in header.authors)


UID: Final = "identifiant du document (OID)"

ITEMS: Final[tuple[Item, ...]] = (
    Item(UID, "id/@root", lambda h: _OID.fullmatch(h.uid)),
    Item("type de document", "code/@code", lambda h: h.code.code),
    Item("nomenclature du type de document", "code/@codeSystem", lambda h: h.code.system),
    Item("titre", "title", lambda h: h.title),
    Item("date de création", "effectiveTime/@value", lambda h: h.effective_time),
    Item("confidentialité", "confidentialityCode/@code", lambda h: h.confidentiality.code),
    Item("langue", "languageCode/@code", lambda h: h.language),
    Item("identifiant du patient", "recordTarget/patientRole/id", lambda h: h.patient.identifiers),
    Item("auteur", "author", lambda h: h.authors),
    Item("identifiant de l'auteur", "author/assignedAuthor/id", _author_has_id),
    Item("nom et prénom de l'auteur", "author/assignedAuthor/assignedPerson/name", _author_is_named),
    Item(
        "responsable du document",
        "legalAuthenticator[signatureCode/@code='S']/assignedEntity",
        lambda h: h.legal_authenticator,
    ),
    Item("date de l'acte", "documentationOf/serviceEvent[performer]/effectiveTime/low/@value", lambda h: h.start_time),
    Item(
        "cadre d'exercice",
        "documentationOf/serviceEvent/performer/assignedEntity/representedOrganization/standardIndustryClassCode",
        lambda h: h.practice_setting,
    ),
    Item(
        "secteur d'activité",
        "componentOf/encompassingEncounter/location/healthCareFacility/code",
        lambda h: h.facility_type,
    ),
    Item("corps du document", "component/(nonXMLBody|structuredBody)", lambda h: h.level),
)


def missing_items(header: DocumentHeader) -> list[tuple[str, str]]:
    """The required items that this header lacks: (name in French, path under ClinicalDocument), in table order."""
    return [(item.name, item.xpath) for item in ITEMS if not item.present(header)]


def require(header: DocumentHeader) -> None:
    """Raise `Invalid` R37 that names everything missing, if anything is."""
    if missing := missing_items(header):
        raise Invalid(
            "R37", PLACE, filled("en-tête CDA incomplet : {what}", what=", ".join(name for name, _ in missing))
        )
