"""The VIHF: the SAML 2.0 assertion that says for whom and in whose name we speak (dmp §3).

One per patient, per sender, per attempt, built last. It is written in exclusive canonical form and signed
(enveloped, RSA-SHA256); inserted as it is into the SOAP header, its signature holds there.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from router.errors import Refused
from router.request import Author, DocumentHeader, TransmissionRequest
from router.sinks.dmp.canonical import DIGEST_URI, DS, SIGNATURE_URI, attribute, digest, text
from router.sinks.dmp.credentials import Seal
from router.sinks.dmp.settings import LpsConfig, VihfConfig
from router.software import our_version
from router.structures import StructureConfig
from router.xds import datatypes
from router.xds.specialties import completed

ALGORITHM: Final = "sha256"
EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_XS: Final = ' xmlns:xs="http://www.w3.org/2001/XMLSchema"'
_X509_NAME: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
_SECTORS: Final = "1.2.250.1.71.4.2.4"
_MINOR: Final = "INVISIBLE_REPRESENTANTS_LEGAUX^1.2.250.1.213.1.1.4.13"


class Name:
    """Names of the attributes (dmp §3)."""

    STRUCTURE: Final = "Identifiant_Structure"
    SECTOR: Final = "Secteur_Activite"
    PATIENT: Final = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
    RESOURCE: Final = "Ressource_URN"
    SUBJECT: Final = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
    ROLE: Final = "urn:oasis:names:tc:xacml:2.0:subject:role"
    PURPOSE: Final = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
    CONFIDENTIALITY: Final = "urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code"


@dataclass(frozen=True, slots=True)
class Role:
    """One code of `subject:role` (CE)."""

    code: str
    system: str
    system_name: str
    label: str


AUTOMATE: Final = Role("AUTOMATE", "1.2.250.1.213.1.1.4.6", "TRE_A00-ProducteurDocNonPS", "Automate")
#: Professions (TRE_G15) that may be met in `G15_<profession>[/<savoir-faire>]` (JDV_J01).
PROFESSIONS: Final = {
    "10": "Médecin",
    "21": "Pharmacien",
    "26": "Audioprothésiste",
    "28": "Opticien-Lunetier",
    "40": "Chirurgien-Dentiste",
    "50": "Sage-Femme",
    "60": "Infirmier",
    "69": "Infirmier psychiatrique",
    "70": "Masseur-Kinésithérapeute",
    "80": "Pédicure-Podologue",
    "86": "Technicien de laboratoire médical",
    "91": "Orthophoniste",
    "92": "Orthoptiste",
    "93": "Psychologue",
    "94": "Ergothérapeute",
    "95": "Diététicien",
    "96": "Psychomotricien",
    "98": "Manipulateur ERM",
}
#: Professions whose second role is mandatory.
TWO_ROLES: Final = frozenset({"10", "21"})
_SPECIALTY: Final = re.compile(r"G15_(\d+)(?:/(SM\d+|C\d+|CEX\d+|PAC\d+|[A-Z]{1,2}))?")
#: Sections of the pharmacists' register (TRE_G05-SousSectionTableauCNOP, 20231215), in force: `G15_21/<section>`.
SECTIONS: Final = {
    "A": "Pharmacien titulaire d'officine",
    "B": "Pharmacien d'entreprise - industrie",
    "C": "Pharmacien d'entreprise - distribution",
    "D": "Pharmacien adjoint, remplaçant ou gérant",
    "DA": "Pharmacien adjoint",
    "DM": "Pharmacien mutualiste ou minier",
    "E": "Pharmacien d'Outre-Mer",
    "EA": "Pharmacien titulaire d'officine - OM",
    "EB": "Pharmacien d'entreprise - industrie - OM",
    "EC": "Pharmacien d'entreprise - distribution - OM",
    "ED": "Pharmacien adjoint - OM",
    "EG": "Pharmacien biologiste - OM",
    "EH": "Pharmacien d'établissement de santé - OM",
    "G": "Pharmacien biologiste",
    "H": "Pharmacien d'établissement de santé",
    "M": "Pharmacien militaire",
}
PHARMACIST: Final = "21"


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """Who speaks: NameID, subject-id, roles, structure (Struct_IdNat)."""

    id: str
    name: str
    roles: tuple[Role, ...]
    structure: str


def subject(
    sender: Author | None,
    structure: StructureConfig | None,
    vihf: VihfConfig,
    lps: LpsConfig,
    documents: Sequence[DocumentHeader] = (),
) -> Subject:
    """From the PRT SB and the site's structure, whose number alone is ever signed (decisions D11).

    `documents` may know the sender's specialty; an AUTOMATE only when nobody does.
    Raises `Refused` `PFI-SENDER` or `PFI-ROLE` when the VIHF can't be complete, or would name another structure.
    """
    sender = sender or Author()
    number = structure.id_nat if structure and structure.finess else ""
    if not number:
        raise Refused("PFI-SENDER", "PRT-8", "le site ne connaît pas la structure de l'émetteur")
    named = sender.structure.finess if sender.structure else ""
    if structure is not None and named and named != structure.finess:
        raise Refused("PFI-SENDER", "PRT-8", "la structure du message n'est pas celle au nom de laquelle il partirait")
    person = completed(sender.person, documents) if sender.person else None
    roles = roles_of(person.specialty) if person else ()
    if person and roles and person.family and person.given:
        identity = datatypes.ps_id_nat(person.id, person.kind)[0]
        return Subject(identity, f"{person.family} {person.given}", roles, number)
    if person and vihf.unknown_role == "refuse":
        raise Refused("PFI-ROLE", "PRT-5", "profession ou spécialité de l'émetteur inconnue")
    identity = datatypes.ps_id_nat(person.id, person.kind)[0] if person and person.id else ""
    identity = identity or (sender.device.id if sender.device else "") or vihf.responsible
    if not identity:
        raise Refused("PFI-SENDER", "PRT-5", "l'émetteur ne nomme ni personne ni logiciel")
    machine = sender.device
    name = f"{machine.name}, {machine.model or machine.name}" if machine and machine.name else f"{lps.name}, {lps.name}"
    return Subject(identity, name, (AUTOMATE,), number)


def own_subject(structure: StructureConfig, vihf: VihfConfig, lps: LpsConfig) -> Subject:
    """The site's own identity: its structure's number and an AUTOMATE, nothing of any message."""
    identity = vihf.responsible or f"3{structure.finess}/{lps.name}"
    return Subject(identity, f"{lps.name}, {lps.name}", (AUTOMATE,), structure.id_nat)


def roles_of(specialty: tuple[str, str, str] | None) -> tuple[Role, ...]:
    """Profession, then savoir-faire; () when the profession is unknown or its mandatory second role is missing."""
    match = _SPECIALTY.fullmatch(specialty[0]) if specialty else None
    if match is None or specialty is None or match[1] not in PROFESSIONS:
        return ()
    profession = Role(match[1], "1.2.250.1.71.1.2.7", "G15", PROFESSIONS[match[1]])
    if match[2] is None:
        return () if match[1] in TWO_ROLES else (profession,)
    if match[1] == PHARMACIST and match[2] in SECTIONS:
        return profession, Role(match[2], "1.2.250.1.71.4.2.6", "G05", SECTIONS[match[2]])
    if match[1] == PHARMACIST or match[2].isalpha():
        return ()
    label = specialty[1].partition(" - ")[2] or specialty[1]
    return profession, Role(match[2], "1.2.250.1.71.4.2.5", "R01", label)


def assertion(
    request: TransmissionRequest,
    speaker: Subject,
    *,
    patient_cx: str,
    sector: str,
    vihf: VihfConfig,
    lps: LpsConfig,
    seal: Seal,
    now: float,
) -> str:
    """The signed assertion, ready to stand in `wsse:Security`. `now`: Unix seconds."""
    identifier = f"_{uuid.uuid4()}"
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = (
        f'<saml2:Assertion xmlns:saml2="{SAML}" ID="{identifier}" IssueInstant="{moment}" Version="2.0">'
        f'<saml2:Issuer Format="{_X509_NAME}">{text(seal.subject)}</saml2:Issuer>'
    )
    values = plain_values(request, speaker, patient_cx=patient_cx, sector=sector, vihf=vihf, lps=lps)
    # `xs` is used in the value of xsi:type alone, so exclusive canonical form leaves its declaration out.
    hashed = head + _tail(speaker, vihf, values, moment, "")
    value = digest(hashed.encode(), ALGORITHM)
    return head + _signature(identifier, value, seal) + _tail(speaker, vihf, values, moment, _XS)


def plain_values(
    request: TransmissionRequest,
    speaker: Subject,
    *,
    patient_cx: str,
    sector: str,
    vihf: VihfConfig,
    lps: LpsConfig,
) -> list[tuple[str, str]]:
    """The attributes that are plain text; those without a value are left out."""
    values = [
        ("VIHF_Version", vihf.version),
        (vihf.mode_attribute, "INDIRECTE"),
        (Name.STRUCTURE, speaker.structure),
        (Name.SECTOR, f"{sector}^{_SECTORS}"),
        (Name.PATIENT, patient_cx),
        (Name.RESOURCE, "urn:dmp"),
        (Name.SUBJECT, speaker.name),
        ("LPS_ID", lps.id),
        ("LPS_Nom", lps.name),
        ("LPS_Version", lps.version or our_version()),
        ("LPS_ID_HOMOLOGATION_DMP", lps.homologation),
    ]
    if request.masks.connexion_secrete:
        values.append((Name.CONFIDENTIALITY, _MINOR))
    return [(name, value) for name, value in values if value]


def _tail(speaker: Subject, vihf: VihfConfig, values: list[tuple[str, str]], moment: str, xs: str) -> str:
    """Everything after the signature; `xs`: the declaration of that prefix, or ''."""
    plain = "".join(
        f'<saml2:Attribute Name="{attribute(name)}"><saml2:AttributeValue{xs} xmlns:xsi="{_XSI}" '
        f'xsi:type="xs:string">{text(value)}</saml2:AttributeValue></saml2:Attribute>'
        for name, value in values
    )
    roles = "".join(
        '<saml2:AttributeValue><Role xmlns="urn:hl7-org:v3"'
        f' xmlns:xsi="{_XSI}" code="{attribute(role.code)}" codeSystem="{attribute(role.system)}"'
        f' codeSystemName="{attribute(role.system_name)}" displayName="{attribute(role.label)}" xsi:type="CE">'
        "</Role></saml2:AttributeValue>"
        for role in speaker.roles
    )
    purpose = (
        '<saml2:AttributeValue><PurposeOfUse xmlns="urn:hl7-org:v3"'
        f' xmlns:xsi="{_XSI}" code="normal" codeSystem="1.2.250.1.213.1.1.4.248"'
        ' codeSystemName="mode acces VIHF 2.0" displayName="Accès normal" xsi:type="CE">'
        "</PurposeOfUse></saml2:AttributeValue>"
    )
    return (
        f"<saml2:Subject><saml2:NameID>{text(speaker.id)}</saml2:NameID></saml2:Subject>"
        f'<saml2:AuthnStatement AuthnInstant="{moment}"><saml2:AuthnContext><saml2:AuthnContextClassRef>'
        f"{text(vihf.authn_class)}</saml2:AuthnContextClassRef></saml2:AuthnContext></saml2:AuthnStatement>"
        f"<saml2:AttributeStatement>{plain}"
        f'<saml2:Attribute Name="{Name.ROLE}">{roles}</saml2:Attribute>'
        f'<saml2:Attribute Name="{Name.PURPOSE}">{purpose}</saml2:Attribute>'
        "</saml2:AttributeStatement></saml2:Assertion>"
    )


def _signature(reference: str, digest_value: str, seal: Seal) -> str:
    """The enveloped signature, right after the Issuer."""

    def signed_info(declared: str) -> str:
        return (
            f"<ds:SignedInfo{declared}>"
            f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
            f'<ds:SignatureMethod Algorithm="{SIGNATURE_URI[ALGORITHM]}"></ds:SignatureMethod>'
            f'<ds:Reference URI="#{reference}"><ds:Transforms>'
            f'<ds:Transform Algorithm="{DS}enveloped-signature"></ds:Transform>'
            f'<ds:Transform Algorithm="{EXC_C14N}"></ds:Transform></ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{DIGEST_URI[ALGORITHM]}"></ds:DigestMethod>'
            f"<ds:DigestValue>{digest_value}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
        )

    declared = f' xmlns:ds="{DS}"'
    value = seal.sign(signed_info(declared).encode(), ALGORITHM)
    return (
        f"<ds:Signature{declared}>{signed_info('')}<ds:SignatureValue>{value}</ds:SignatureValue>"
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{seal.certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        "</ds:Signature>"
    )
