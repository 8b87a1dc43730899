"""PRT segments: who sends (SB), to whom (RCT), where to answer (REPLY), in the identifiers that XDS and MSSanté use.

Sources: PRT (hl7-input §1.4), identifiers of professionals and structures (hl7-input §5.5, dmp §2.1),
classification of recipients (mssante §4.1).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from router.cda.oids import INS_OIDS
from router.cisis.addresses import clean, parts
from router.cisis.findings import Findings
from router.cisis.settings import ProfileRules
from router.hl7.segment import Segment
from router.request import Author, Device, Professional, Recipient, RecipientKind, Structure

#: PRT-4.1.
SENDER, RECIPIENT, REPLY = "SB", "RCT", "REPLY"

_RPPS: Final = re.compile(r"\d{11}")
_ID_NAT: Final = re.compile(r"[034568]\d{11}")
_ADELI: Final = re.compile(r"[0-9AB]{9}", re.IGNORECASE)
_OID: Final = re.compile(r"[0-2](?:\.\d+){3,}")
#: Names of PRT-8.7 for a unit inside a hospital, whose owner is PRT-8.6. Table 0203 writes SRV, the volet SVR.
UNITS: Final = frozenset({"UF", "SVR", "SRV"})
#: XTN-3 that may stand before an address; examples also carry others, and the address decides.
_XTN: Final = re.compile(r"[^@\s]+@[^@\s]+")


def kind_of(part: Segment) -> str:
    """`SB`, `RCT` or `REPLY`, whatever the case; other texts as they are."""
    return part.text("4.1").upper()


def author(part: Segment) -> Author:
    """The sender that a PRT SB names."""
    return Author(person=professional(part), device=device(part), structure=structure(part))


def professional(part: Segment) -> Professional | None:
    """PRT-5 as a professional, or None when it is empty."""
    number, family, given = part.text("5.1"), part.text("5.2"), part.text("5.3")
    if not (number or family):
        return None
    national, kind = ps_id_nat(number, part.text("5.13").upper())
    return Professional(id=national, kind=kind, family=family, given=given)


def ps_id_nat(number: str, kind: str) -> tuple[str, str]:
    """(PS_IdNat, kind): prefix 8 before a bare RPPS, 0 before an ADELI; what carries its prefix stays as it is."""
    if kind == "ADELI" and _ADELI.fullmatch(number):
        return f"0{number}", "IDNPS"
    if _RPPS.fullmatch(number):
        return f"8{number}", "IDNPS"
    if "/" in number:
        return number, "EI"
    if _ID_NAT.fullmatch(number):
        return number, "IDNPS"
    return number, kind or "IDNPS"


def device(part: Segment) -> Device | None:
    """PRT-10 as a piece of software, or None when it is empty."""
    number, oid = part.text("10.1"), part.text("10.3")
    authority = oid if _OID.fullmatch(oid) else ""
    return Device(id=number, authority=authority, name=part.text("10.2") or number) if number else None


def structure(part: Segment) -> Structure | None:
    """PRT-8 as a structure, or None when it is empty."""
    number, name, kind = part.text("8.10"), part.text("8.1"), part.text("8.7").upper()
    if not (number or name):
        return None
    if kind in UNITS:
        return Structure(id=number, name=name, kind=kind, finess=finess_of(owner_of(part)))
    finess = finess_of(number)
    return Structure(id=f"1{finess}" if finess else number, name=name, kind=kind, finess=finess)


def finess_of(number: str) -> str:
    """The bare FINESS of a number that may carry the prefix 1 of the IDNST form; "" when it is neither."""
    if len(number) == 10 and number.startswith("1"):
        number = number[1:]
    return number if len(number) == 9 and number.isalnum() else ""


def owner_of(part: Segment) -> str:
    """PRT-8.6: for a unit inside a hospital the number of its owner."""
    owner = part.text("8.6.1")
    return "" if _OID.fullmatch(owner) else owner


def recipient(part: Segment, patient_domains: Collection[str]) -> Recipient:
    """One RCT. An address that isn't one plain addr-spec gives `address` "" and keeps `address_received`."""
    received = part.text("15.4")
    address = clean(received) or ""
    kind = classify(part, address, patient_domains)
    return Recipient(
        rank=part.index,
        kind=kind,
        address=address,
        address_received=received,
        id=part.text("5.1") or part.text("8.10") or part.text("10.1"),
        person=professional(part) if kind is not RecipientKind.PATIENT else None,
        structure=structure(part),
        owner=owner_of(part),
        application=part.text("10.1"),
    )


def classify(part: Segment, address: str, patient_domains: Collection[str]) -> RecipientKind:
    """The kind of an RCT, in the order of mssante §4.1."""
    if in_domains(address, patient_domains) or names_patient(part):
        return RecipientKind.PATIENT
    if part.text("8.10") or part.text("8.1"):
        return RecipientKind.ORGANISATION
    if part.text("10.1"):
        return RecipientKind.APPLICATION
    if part.text("5.1") or part.text("5.2"):
        return RecipientKind.PROFESSIONAL
    return RecipientKind.ADDRESS


def names_patient(part: Segment) -> bool:
    """Whether PRT-5 is an INS: by its type, or by its authority (the OID may stand in HD-1)."""
    oid = part.text("5.9.2") or part.text("5.9.1")
    return part.text("5.13").upper() == "INS" or oid in INS_OIDS


def in_domains(address: str, patient_domains: Collection[str]) -> bool:
    """Whether an address is a patient's."""
    return bool(address) and parts(address)[1] in patient_domains


def contradictory(part: Segment, address: str, patient_domains: Collection[str]) -> bool:
    """Whether identity and address disagree on being a patient: the wrong person may read it (R95)."""
    if not address or not (part.text("5.1") or part.text("5.13")):
        return False
    return names_patient(part) != in_domains(address, patient_domains)


def speaks_for(
    author: Author | None,
    rules: ProfileRules,
    findings: Findings,
    *,
    facility: str,
    said: bool,
    dmp: bool,
    n: int = 1,
) -> str:
    """R65: FINESS of the site's structure that sends, "" when the feed may not speak for it (decisions D11).

    facility: MSH-4, which names the structure of a message without PRT-8 where a feed speaks for several
    said:     the sender named the structure himself; else it was read in the CDA, and counts only if it is ours
    n:        the occurrence of the PRT
    """
    structure = author.structure if author else None
    number = structure.finess if structure else ""
    allowed = rules.structures
    if not allowed or number in allowed:
        return number
    if structure is not None and structure.id and (said or dmp):
        findings.add("R65", "owner" if structure.kind in UNITS else "", n=n)
        return ""
    own = allowed[0] if len(allowed) == 1 else rules.facilities.get(facility, "")
    if own not in allowed:
        findings.add("R65", "absent", n=n)
        return ""
    return own


def shifted(part: Segment) -> bool:
    """Whether the address stands one field too far, in PRT-16 (hl7-input §1.4): never fixed silently."""
    return not part.text("15.4") and bool(_XTN.fullmatch(part.text("16.4")))


def resolvable(one: Recipient) -> bool:
    """Whether a directory could find this recipient: it has an identifier."""
    return bool(one.id)
