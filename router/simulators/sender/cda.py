"""CDA R2 documents after the *structuration minimale* (hl7-input §6.1): the header, and the whole document.

Written compactly, elements in the order of the CDA schema. What varies is an argument, so that a test can bend
one thing and leave the rest as the profile wants it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from router.simulators.sender.people import PS_OID, STRUCTURE_OID, Patient, Professional, Structure

_ADDRESS = (
    "<addr><houseNumber>28</houseNumber><streetName>Avenue de Breteuil</streetName>"
    "<postalCode>{0}</postalCode><city>{1}</city><country>FRANCE</country></addr>"
)
_GENDERS = {"M": "Masculin", "F": "Féminin", "U": "Inconnu"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of document: its type code (JDV_J07), its level, its templates and the act it documents."""

    code: str
    label: str
    title: str
    level: int
    templates: tuple[tuple[str, str], ...]
    act: tuple[str, str, str]
    setting: tuple[str, str] = ("ETABLISSEMENT", "Etablissement de santé")
    system: str = "2.16.840.1.113883.6.1"


_XDS_SD = (("1.3.6.1.4.1.19376.1.2.20", ""),)
_BIOLOGY = ("11502-2", "CR d'examens biologiques", "Compte rendu d'examens biologiques")
_BIOLOGY_ACT = ("26436-6", "2.16.840.1.113883.6.1", "Examens de laboratoire")

KINDS = {
    "biology": Kind(
        *_BIOLOGY, 3, (("1.3.6.1.4.1.19376.1.3.3", ""), ("1.2.250.1.213.1.1.1.55", "2023.01")), _BIOLOGY_ACT
    ),
    "biology-n1": Kind(*_BIOLOGY, 1, _XDS_SD, _BIOLOGY_ACT),
    "imaging": Kind(
        "18748-4",
        "CR d'imagerie médicale",
        "Radiographie de la hanche gauche",
        1,
        _XDS_SD,
        ("NEQK010", "1.2.250.1.213.2.5", "Radiographie de la hanche"),
    ),
    "letter": Kind(
        "11490-0",
        "Lettre de liaison à la sortie d'un établissement de soins",
        "Lettre de liaison à la sortie",
        1,
        _XDS_SD,
        ("34876-3", "2.16.840.1.113883.6.1", "Séjour hospitalier"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything the header of one document says. Times are aware datetimes."""

    kind: Kind
    uid: str
    extension: str
    set_id: tuple[str, str] | None
    version: int
    title: str
    patient: Patient
    patient_ins: bool
    extra_ids: tuple[tuple[str, str], ...]
    author: Professional
    structure: Structure
    effective: dt.datetime
    start: dt.datetime
    stop: dt.datetime
    confidentiality: str
    replaces: tuple[str, str] | None
    order: str
    recipients: Sequence[Professional] = field(default=())


def ts(moment: dt.datetime) -> str:
    """A CDA time with its offset."""
    return f"{moment:%Y%m%d%H%M%S%z}"


def document(header: Header, body: bytes, *, encoding: str = "UTF-8", prolog: str = "") -> bytes:
    """The document's bytes: declaration, `prolog` (processing instructions), header, then `body` as given."""
    head = "".join(part(header) for part in _PARTS)
    opening = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n{prolog}<ClinicalDocument xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    )
    codec = encoding.lower()
    return b"".join(((opening + head).encode(codec, "xmlcharrefreplace"), body, b"</ClinicalDocument>\n"))


def _id(root: str, extension: str = "", tag: str = "id") -> str:
    return f"<{tag} root={quoteattr(root)}{f' extension={quoteattr(extension)}' if extension else ''}/>"


def _code(code: str, system: str, label: str, tag: str = "code") -> str:
    return f"<{tag} code={quoteattr(code)} codeSystem={quoteattr(system)} displayName={quoteattr(label)}/>"


def _identity(h: Header) -> str:
    labels = {"N": "Normal", "R": "Restreint", "V": "Très restreint"}
    templates = (("2.16.840.1.113883.2.8.2.1", ""), ("1.2.250.1.213.1.1.1.1", ""), *h.kind.templates)
    parts = ['<realmCode code="FR"/>', _id("2.16.840.1.113883.1.3", "POCD_HD000040", "typeId")]
    parts += [_id(root, extension, "templateId") for root, extension in templates]
    parts += [
        _id(h.uid, h.extension),
        _code(h.kind.code, h.kind.system, h.kind.label),
        f"<title>{escape(h.title)}</title>",
        f'<effectiveTime value="{ts(h.effective)}"/>',
        _code(h.confidentiality, "2.16.840.1.113883.5.25", labels.get(h.confidentiality, ""), "confidentialityCode"),
        '<languageCode code="fr-FR"/>',
    ]
    if h.set_id:
        parts.append(_id(*h.set_id, "setId"))
    parts.append(f'<versionNumber value="{h.version}"/>')
    return "".join(parts)


def _record_target(h: Header) -> str:
    p = h.patient
    ids = _id(p.ins_oid, p.ins) if h.patient_ins and p.ins else ""
    ids += _id(p.ipp_oid, p.ipp) + "".join(_id(*pair) for pair in h.extra_ids)
    mail = f'<telecom value="mailto:{p.address}"/>' if h.patient_ins and p.ins else ""
    return (
        f"<recordTarget><patientRole>{ids}{_ADDRESS.format(*map(escape, p.city))}"
        f'<telecom value="tel:0647150100" use="MC"/>{mail}<patient classCode="PSN">'
        f'<name><given qualifier="BR">{escape(p.given)}</given><given>{escape(p.given_names)}</given>'
        f'<family qualifier="BR">{escape(p.birth_family)}</family>'
        f'<family qualifier="CL">{escape(p.used_family)}</family></name>'
        + _code(p.sex, "2.16.840.1.113883.5.1", _GENDERS[p.sex], "administrativeGenderCode")
        + f'<birthTime value="{p.birth_date}"/><birthplace><place><addr><county>{p.birthplace[0]}</county>'
        f"<city>{escape(p.birthplace[1])}</city></addr></place></birthplace>"
        "</patient></patientRole></recordTarget>"
    )


def _person(p: Professional) -> str:
    return (
        f"<assignedPerson><name><prefix>M</prefix><given>{escape(p.given)}</given>"
        f"<family>{escape(p.family)}</family><suffix>DR</suffix></name></assignedPerson>"
    )


def _organisation(h: Header, tag: str = "representedOrganization", setting: bool = False) -> str:
    s = h.structure
    industry = _code(h.kind.setting[0], "1.2.250.1.213.1.1.4.9", h.kind.setting[1], "standardIndustryClassCode")
    return (
        f"<{tag}>{_id(STRUCTURE_OID, s.id_nat)}<name>{escape(s.name)}</name>"
        f'<telecom value="tel:{s.phone}" use="WP"/><addr nullFlavor="NAV"/>{industry if setting else ""}</{tag}>'
    )


def _assigned(h: Header, setting: bool = False) -> str:
    specialty = _code(h.author.specialty[0], "1.2.250.1.213.1.1.4.5", h.author.specialty[1])
    return (
        f'{_id(PS_OID, h.author.id)}{specialty}<addr nullFlavor="NAV"/>'
        f'<telecom value="tel:{h.structure.phone}" use="WP"/>{_person(h.author)}'
        f"{_organisation(h, setting=setting)}"
    )


def _participants(h: Header) -> str:
    custodian = _organisation(h, "representedCustodianOrganization")
    return (
        f'<author><time value="{ts(h.effective)}"/><assignedAuthor>{_assigned(h)}</assignedAuthor></author>'
        f"<custodian><assignedCustodian>{custodian}</assignedCustodian></custodian>"
        + "".join(map(_recipient, h.recipients))
        + f'<legalAuthenticator><time value="{ts(h.effective)}"/><signatureCode code="S"/>'
        f"<assignedEntity>{_assigned(h)}</assignedEntity></legalAuthenticator>"
    )


def _recipient(p: Professional) -> str:
    return (
        f'<informationRecipient><intendedRecipient>{_id(PS_OID, p.id)}<telecom value="mailto:{escape(p.address)}"/>'
        f"<informationRecipient><name><given>{escape(p.given)}</given><family>{escape(p.family)}</family></name>"
        "</informationRecipient></intendedRecipient></informationRecipient>"
    )


def _act(h: Header) -> str:
    parent = f"<parentDocument>{_id(*h.replaces)}</parentDocument>" if h.replaces else ""
    replaced = f'<relatedDocument typeCode="RPLC">{parent}</relatedDocument>' if h.replaces else ""
    order = _id("1.2.250.1.213.1.4.99.8", h.order)
    code, label = h.structure.facility
    return (
        f"<inFulfillmentOf><order>{order}</order></inFulfillmentOf>"
        f"<documentationOf><serviceEvent>{_code(*h.kind.act)}<effectiveTime>"
        f'<low value="{ts(h.start)}"/><high value="{ts(h.stop)}"/></effectiveTime>'
        f'<performer typeCode="PRF"><assignedEntity>{_assigned(h, setting=True)}</assignedEntity></performer>'
        f"</serviceEvent></documentationOf>{replaced}"
        f'<componentOf><encompassingEncounter><effectiveTime><low value="{ts(h.start)}"/></effectiveTime>'
        f"<location><healthCareFacility>{_code(code, '1.2.250.1.71.4.2.4', label)}</healthCareFacility>"
        "</location></encompassingEncounter></componentOf>"
    )


_PARTS = (_identity, _record_target, _participants, _act)
