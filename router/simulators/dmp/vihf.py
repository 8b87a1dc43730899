"""The VIHF, checked attribute by attribute (dmp §3)."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from router.simulators.dmp import certificate as certificates
from router.simulators.dmp import xmldsig
from router.simulators.dmp.refusals import Fault

SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
_V3: Final = "{urn:hl7-org:v3}"
_XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_RESOURCE: Final = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
_ROLE: Final = "urn:oasis:names:tc:xacml:2.0:subject:role"
_SUBJECT: Final = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
_PURPOSE: Final = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
_HIDDEN: Final = "urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code"
_X509_NAME: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"

#: Attribute -> the form its only value must have (dmp §3).
_FORMS: Final = {
    "VIHF_Version": r"[34]\.0",
    "Identifiant_Structure": r"[0-5][0-9AB]{8,}",
    "Secteur_Activite": r"(SA\d\d|SNR|EXP_PATIENT)\^1\.2\.250\.1\.(71\.4\.2\.4|213\.1\.1\.4\.6)",
    "Ressource_URN": r"urn:dmp",
    "LPS_Nom": r".+",
    "LPS_Version": r".+",
    "LPS_ID_HOMOLOGATION_DMP": r".+",
    _SUBJECT: r".+",
    _RESOURCE: r"[0-9AB]{15}\^\^\^&1\.2\.250\.1\.213\.1\.4\.(8|9|10|11)&ISO\^NH",
}
#: Professions (G15) that must say a second role: their specialty (R01), the section of their register (G05).
_WITH_SPECIALTY: Final = {
    "10": ("Médecins", "1.2.250.1.71.4.2.5"),
    "21": ("Pharmaciens", "1.2.250.1.71.4.2.6"),
}


@dataclass(frozen=True, slots=True)
class Vihf:
    """What the rest of the request must agree with."""

    structure: str
    patient: str = field(repr=False)
    issued: dt.datetime
    secret: bool
    subject: str = field(repr=False)
    name_id: str = field(default="", repr=False)
    """Who speaks, by number (PS_IdNat or an automaton's)."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the DMP believes: the authority, the structures it knows (None: all), how old a VIHF may be."""

    authority: x509.Certificate | None
    structures: frozenset[str] | None
    max_age: float
    skew: float


def check(assertion: Any, trust: Trust, now: dt.datetime, tls: x509.Certificate | None) -> Vihf:
    """Check everything. Raises Fault with the DMP's kind of words at the first thing that is wrong."""
    if assertion is None:
        raise Fault("VIHF absent")
    if assertion.get("Version") != "2.0":
        raise Fault("Version SAML 2.0 attendue")
    signer = _signature(assertion, trust, now)
    issued = _instant(assertion.get("IssueInstant", ""))
    age = (now - issued).total_seconds()
    if not -trust.skew <= age <= trust.max_age:
        raise Fault("VIHF expiré ou émis dans le futur")
    _issuer(assertion, signer)
    _statement(assertion)
    values = _attributes(assertion)
    structure = values["Identifiant_Structure"]
    if trust.structures is not None and structure not in trust.structures:
        raise Fault("Structure introuvable ou Inactive")
    for shown in (signer, tls):
        if shown is not None and certificates.structure(shown) not in {"", structure}:
            raise Fault("Erreur d'authentification de la personne morale")
    return Vihf(structure, values[_RESOURCE], issued, _HIDDEN in values, values[_SUBJECT], _name_id(assertion))


def peek(assertion: Any, _trust: Trust, now: dt.datetime, _tls: x509.Certificate | None) -> Vihf:
    """What the assertion says, believed without a look. Raises Fault when there is none."""
    if assertion is None:
        raise Fault("VIHF absent")
    elements = assertion.findall(f"{{{SAML}}}AttributeStatement/{{{SAML}}}Attribute")
    values = {one.get("Name", ""): _text(one) for one in elements}
    return Vihf(
        values.get("Identifiant_Structure", ""),
        values.get(_RESOURCE, ""),
        now,
        _HIDDEN in values,
        values.get(_SUBJECT, ""),
        _name_id(assertion),
    )


def _signature(assertion: Any, trust: Trust, now: dt.datetime) -> x509.Certificate:
    signature = assertion.find(xmldsig.q("Signature"))
    if signature is None:
        raise Fault("VIHF non signé")
    before = signature.getprevious()
    if before is None or before.tag != f"{{{SAML}}}Issuer":
        raise Fault("la signature doit suivre l'Issuer")
    try:
        chain = xmldsig.certificates(signature)
        info = signature.find(xmldsig.q("SignedInfo"))
        found = xmldsig.references(info) if info is not None else []
        if not chain or len(found) != 1 or found[0].uri != f"#{assertion.get('ID')}":
            raise xmldsig.BadSignature("référence ou certificat absent")
        if not found[0].holds(xmldsig.transformed(found[0], assertion)):
            raise xmldsig.BadSignature("empreinte fausse")
        xmldsig.check_value(signature, chain[0])
    except xmldsig.BadSignature as error:
        raise Fault(f"Signature du VIHF invalide : {error}") from error
    if not certificates.signs(chain[0]):
        text = "Le certificat ayant signé le VIHF est invalide : Not a valid signature certificate"
        raise Fault(text, "DMPInvalidCertificate")
    if trust.authority is not None and not certificates.valid(chain[0], trust.authority, now):
        raise Fault("Le certificat ayant signé le VIHF est invalide", "DMPInvalidCertificate")
    return chain[0]


def _issuer(assertion: Any, signer: x509.Certificate) -> None:
    issuer = assertion.find(f"{{{SAML}}}Issuer")
    if issuer.get("Format") != _X509_NAME:
        raise Fault("Issuer sans Format X509SubjectName")
    if not certificates.same_name(issuer.text or "", certificates.distinguished_name(signer)):
        raise Fault("Issuer différent du DN du certificat de signature")


def _statement(assertion: Any) -> None:
    if not _name_id(assertion):
        raise Fault("NameID absent")
    statement = assertion.find(f"{{{SAML}}}AuthnStatement")
    if statement is None:
        raise Fault("AuthnStatement absent")
    _instant(statement.get("AuthnInstant", ""))
    context = statement.findtext(f"{{{SAML}}}AuthnContext/{{{SAML}}}AuthnContextClassRef") or ""
    if not context.strip().startswith("urn:oasis:names:tc:SAML:2.0:ac:classes:"):
        raise Fault("AuthnContextClassRef absent")


def _name_id(assertion: Any) -> str:
    return (assertion.findtext(f"{{{SAML}}}Subject/{{{SAML}}}NameID") or "").strip()


def _attributes(assertion: Any) -> dict[str, str]:
    elements = assertion.findall(f"{{{SAML}}}AttributeStatement/{{{SAML}}}Attribute")
    by_name = {one.get("Name", ""): one for one in elements}
    if len(by_name) != len(elements):
        raise Fault("attribut du VIHF en double")
    values = {name: _text(one) for name, one in by_name.items()}
    for name, form in _FORMS.items():
        if name not in values:
            raise Fault(f"attribut du VIHF absent : {name}")
        if not re.fullmatch(form, values[name]):
            raise Fault(f"attribut du VIHF mal formé : {name}")
    mode = values.get("Authentification_mode", values.get("Authentification_Mode"))
    if mode != "INDIRECTE":
        raise Fault("Authentification_mode INDIRECTE attendu")
    _roles(by_name.get(_ROLE))
    _purpose(by_name.get(_PURPOSE))
    if values.get(_HIDDEN, "INVISIBLE_REPRESENTANTS_LEGAUX^1.2.250.1.213.1.1.4.13") != (
        "INVISIBLE_REPRESENTANTS_LEGAUX^1.2.250.1.213.1.1.4.13"
    ):
        raise Fault("confidentiality-code du VIHF hors JDV_J64")
    return values


def _text(attribute: Any) -> str:
    value = attribute.find(f"{{{SAML}}}AttributeValue")
    return (value.text or "").strip() if value is not None else ""


def _roles(attribute: Any) -> None:
    values = attribute.findall(f"{{{SAML}}}AttributeValue") if attribute is not None else []
    roles = [value[0] for value in values if len(value) == 1 and value[0].tag == f"{_V3}Role"]
    if not roles or len(roles) != len(values):
        raise Fault("rôle absent, ou plusieurs rôles dans une même valeur")
    for role in roles:
        if role.get(_XSI_TYPE, "").split(":")[-1] != "CE" or not role.get("code") or not role.get("codeSystem"):
            raise Fault("rôle sans code, codeSystem ou xsi:type CE")
    profession = roles[0].get("code", "")
    if roles[0].get("codeSystem") == "1.2.250.1.71.1.2.7":
        if roles[0].get("codeSystemName") != "G15":
            raise Fault("codeSystemName G15 attendu")
        if profession in _WITH_SPECIALTY:
            people, system = _WITH_SPECIALTY[profession]
            if len(roles) < 2 or roles[1].get("codeSystem") != system:
                raise Fault(f"Aucune spécialité dans le vihf. Spécialité obligatoire pour les {people}")


def _purpose(attribute: Any) -> None:
    purpose = attribute.find(f"{{{SAML}}}AttributeValue/{_V3}PurposeOfUse") if attribute is not None else None
    if purpose is None or purpose.get("code") != "normal":
        raise Fault("purposeofuse normal attendu")
    if purpose.get("codeSystem") != "1.2.250.1.213.1.1.4.248" or not purpose.get(_XSI_TYPE):
        raise Fault("purposeofuse mal formé")


def _instant(text: str) -> dt.datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
        raise Fault("instant SAML attendu en UTC")
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
