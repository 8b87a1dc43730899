"""Identité nationale de santé: recognising it, its key, its status, and whether two identities are one patient's.

Sources: PAM-FR 2.11 §6.6.1 (PID-3) and §6.6.15 (PID-32), annexe INS; hl7-input §5; decisions D2, D3, D6.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from router.cda import oids
from router.language import N_
from router.request import Identifier, Patient
from router.structures import Environment


class InsOid(NamedTuple):
    """What an OID of the national identity stands for."""

    kind: str
    environment: Environment


#: The OIDs under which an INS is issued (hl7-input §5.1). INS-C (`oids.INS_C_OIDS`) is obsolete and not one.
OIDS: Final[Mapping[str, InsOid]] = {
    oids.INS_NIR: InsOid("NIR", "production"),
    oids.INS_NIA: InsOid("NIA", "production"),
    oids.INS_TEST: InsOid("NIR", "qualification"),
    oids.INS_DEMO: InsOid("NIR", "qualification"),
}

#: CX-5 of an INS. The billing NIR is `NH` under the same OID, and no INS.
INS_KIND: Final = "INS"

#: CX-5 of numbers that name no person: visits, files, and whose insurance pays.
NOT_A_PATIENT: Final = frozenset({"VN", "AN", "NH"})

_MATRICULE = re.compile(r"\d{5}(?:\d\d|2[AB])\d{6}\d\d")
_OID = re.compile(r"[0-2](\.\d+)+")


# --------------------------------------------------------------------------------------------- the identifier


def is_oid(text: str) -> bool:
    return _OID.fullmatch(text) is not None


def authority_of(identifier: Identifier) -> str:
    """The OID of the assigning authority; an OID that stands in HD-1 counts (hl7-input §5.5)."""
    return identifier.authority or (identifier.namespace if is_oid(identifier.namespace) else "")


def is_ins(identifier: Identifier) -> bool:
    """CX-5 = INS and one of the INS OIDs; an identifier of a CDA, which has no type, by its OID alone.

    A CX whose type is absent is not an INS: use this for CDA identifiers, or for PID-3 with CX-5 filled in.
    """
    return authority_of(identifier) in OIDS and identifier.kind in (INS_KIND, "")


def is_pid_ins(identifier: Identifier) -> bool:
    """As `is_ins` for a repetition of PID-3: the type must be there."""
    return identifier.kind == INS_KIND and authority_of(identifier) in OIDS


def preferred_ins(identifiers: Iterable[Identifier]) -> Identifier | None:
    """The INS of a patient who has several: the NIR before the NIA (PAM-FR §6.6.1); None when there is none."""
    found = [identifier for identifier in identifiers if is_ins(identifier)]
    order = list(oids.INS_OIDS)
    return min(found, key=lambda identifier: order.index(authority_of(identifier)), default=None)


def is_well_formed(matricule: str) -> bool:
    """15 characters, the key included; Corsica's departments are 2A and 2B."""
    return _MATRICULE.fullmatch(matricule) is not None


def key_of(number: str) -> str:
    """The key of 13 characters: 97 − (number mod 97), with 2A→19 and 2B→18. Raises ValueError on anything else."""
    if len(number) != 13:
        raise ValueError("a matricule has 13 characters before its key")
    digits = number[:5] + number[5:7].replace("2A", "19").replace("2B", "18") + number[7:]
    return f"{97 - int(digits) % 97:02d}"


def has_valid_key(matricule: str) -> bool:
    return is_well_formed(matricule) and key_of(matricule[:13]) == matricule[13:]


def environment_fault(identifier: Identifier, environment: Environment) -> str:
    """Why this INS may not be used here (D9), or "": a test INS in production, a real one in qualification."""
    issued = OIDS.get(authority_of(identifier))
    if issued is None or issued.environment == environment:
        return ""
    return N_("INS de test en production") if environment == "production" else N_("INS réelle hors production")


# ------------------------------------------------------------------------------------------------- its status

#: PID-32 (PAM-FR §6.6.15, table 0445): states, and attributes that go with one.
STATES: Final = frozenset(
    {
        *("VIDE", "PROV", "VALI", "DOUB", "DESA", "DPOT", "DOUA", "COLP", "COLV", "FILI"),
        *("CACH", "ANOM", "IDVER", "RECD", "IDRA", "USUR", "HOMD", "INVA"),
    }
)
ATTRIBUTES: Final = frozenset({"HOMA", "FICT", "DOUT"})

#: What makes an identity unqualified even beside VALI: fictitious, doubtful, usurped, invalid, or two states at once.
DISQUALIFYING: Final[Mapping[str, str]] = {
    "FICT": "identité fictive",
    "DOUT": "identité douteuse",
    "USUR": "identité usurpée",
    "INVA": "identité invalide",
    "PROV": "statuts contradictoires",
    "VIDE": "statuts contradictoires",
}


@dataclass(frozen=True, slots=True)
class Status:
    """What PID-32 and PID-31 say. `reason`: why the identity is not validated, "" when it is.

    validated is not yet qualified: that takes an INS as well (`qualified`).
    """

    codes: tuple[str, ...]
    validated: bool
    reason: str = ""
    unknown: tuple[str, ...] = ()


def status(reliability: Iterable[str], fictitious: str = "") -> Status:
    """Read PID-32 (all its repetitions) and PID-31 (`Y` when the identity is fictitious)."""
    codes = tuple(code for text in reliability if (code := text.strip().upper()))
    unknown = tuple(code for code in codes if code not in STATES and code not in ATTRIBUTES)
    reason = _unvalidated(codes, fictitious)
    return Status(codes, not reason, reason, unknown)


def _unvalidated(codes: Sequence[str], fictitious: str) -> str:
    if not codes:
        return "statut de l'identité absent"
    if "VALI" not in codes:
        return "identité non validée"
    if fictitious.strip().upper() == "Y":
        return DISQUALIFYING["FICT"]
    return next((reason for code, reason in DISQUALIFYING.items() if code in codes), "")


def leaves_unqualified(written: Identifier | None, qualified: Identifier | None) -> bool:
    """Whether a document would leave with an INS that the message does not qualify (R46, D2).

    written: the INS in the document;  qualified: the one of the message, validated, there and with the right key
    """
    return written is not None and qualified is None


# ------------------------------------------------------------------------------------------ the same patient?


class Match(StrEnum):
    """What the identifiers of the message and of the document say of each other (R41, D3)."""

    SAME_INS = "same_ins"
    COMMON_ID = "common_id"
    CONFLICT = "conflict"
    UNDECIDED = "undecided"
    """No identifier that both worlds know: the traits (R42) decide alone, with a warning."""


def same_patient_ids(
    pid_identifiers: Iterable[Identifier], cda_identifiers: Iterable[Identifier], autorites: Mapping[str, str]
) -> Match:
    """Compare identifiers as received, before anything is removed (R41, D3).

    `autorites` gives the OID of an HL7 assigning authority, written whole (`CHU-X&000897406&N`) or by its first
    part. Both sides with an INS: one must be equal in matricule and OID. Else an equal identifier of any common
    authority; different ones of a common authority are a conflict.
    """
    pid, cda = tuple(pid_identifiers), tuple(cda_identifiers)
    pid_ins = {_pair(one) for one in pid if is_pid_ins(one)}
    cda_ins = {_pair(one) for one in cda if is_ins(one)}
    if pid_ins and cda_ins:
        return Match.SAME_INS if pid_ins & cda_ins else Match.CONFLICT
    local = {
        (oid, one.value)
        for one in pid
        if one.kind not in NOT_A_PATIENT and one.kind != INS_KIND and (oid := resolved(one, autorites))
    }
    theirs = {_pair(one) for one in cda if not is_ins(one) and one.value}
    if local & theirs:
        return Match.COMMON_ID
    common = {oid for oid, _ in local} & {oid for oid, _ in theirs}
    return Match.CONFLICT if common else Match.UNDECIDED


def resolved(identifier: Identifier, autorites: Mapping[str, str]) -> str:
    """The OID of an identifier's authority: its own, or the one the feed's table gives; "" when unknown."""
    oid = authority_of(identifier)
    if is_oid(oid) or not identifier.namespace:
        return oid if is_oid(oid) else ""
    whole = identifier.namespace
    if whole in autorites:
        return autorites[whole]
    first = whole.partition("&")[0]
    found = {
        oid
        for written, oid in autorites.items()
        if written.partition("&")[0] == first and ("&" not in whole or "&" not in written)
    }
    return found.pop() if len(found) == 1 else ""


def _pair(identifier: Identifier) -> tuple[str, str]:
    return authority_of(identifier), identifier.value


# --------------------------------------------------------------------------------------------------- the traits


#: Hyphens and apostrophes in every form that keyboards and word processors give: as blanks, in a name.
_JOINTS: Final = re.compile("[-'`\u00ad\u00b4\u02b9\u02bc\u2010-\u2015\u2018\u2019\u201b\u2032\u2212\ufe63\uff0d]")


def normal(text: str) -> str:
    """A name as it is compared (hl7-input §5.3): upper case, no accents, ligatures opened, `-` and `'` as blanks."""
    if text.isascii():
        return " ".join(text.upper().replace("-", " ").replace("'", " ").replace("`", " ").split())
    opened = text.upper().replace("Œ", "OE").replace("Æ", "AE")
    plain = "".join(c for c in unicodedata.normalize("NFD", opened) if not unicodedata.combining(c))
    return " ".join(_JOINTS.sub(" ", plain).split())


def same_traits(pid: Patient, cda: Patient) -> list[str]:
    """The traits that both sides have and that differ, by the name of their field, in a fixed order (R42).

    birth_family, birth_date, sex, given (the first given name: it tells siblings apart, decisions D10), birthplace.
    The lists of given names are not among them: see `same_given_names`.
    """
    return [name for name, same in _compared(pid, cda) if not same]


def same_given_names(pid: Patient, cda: Patient) -> bool:
    """Whether the lists of given names hold the same names, in any order; True unless both are there (D10)."""
    ours, theirs = _names(pid.given_names), _names(cda.given_names)
    return not ours or not theirs or set(ours) == set(theirs)


def _compared(pid: Patient, cda: Patient) -> list[tuple[str, bool]]:
    """(trait, whether it is the same) for each trait present on both sides."""
    found: list[tuple[str, bool]] = []
    if pid.birth_family and cda.birth_family:
        found.append(("birth_family", normal(pid.birth_family) == normal(cda.birth_family)))
    elif _families(pid) and _families(cda):
        found.append(("birth_family", not _families(pid).isdisjoint(_families(cda))))
    if pid.birth_date and cda.birth_date:
        length = min(len(pid.birth_date), len(cda.birth_date), 8)
        found.append(("birth_date", pid.birth_date[:length] == cda.birth_date[:length]))
    if pid.sex in _SEXES and cda.sex in _SEXES:
        found.append(("sex", pid.sex == cda.sex))
    if (pid.given or pid.given_names) and (cda.given or cda.given_names):
        found.append(("given", _same_given(pid, cda)))
    elif _givens(pid) and _givens(cda):
        found.append(("given", _names_one(pid, cda) or _names_one(cda, pid)))
    if pid.birthplace and cda.birthplace:
        found.append(("birthplace", pid.birthplace.upper() == cda.birthplace.upper()))
    return found


def _families(one: Patient) -> set[str]:
    """Every family name, of birth or used: where one side has no name of birth, one in common is asked for (D10)."""
    return {normal(name) for name in (one.birth_family, one.used_family) if name}


def _givens(one: Patient) -> set[str]:
    return {normal(name) for name in (one.given, one.used_given, one.given_names) if name}


def _names_one(one: Patient, other: Patient) -> bool:
    """Whether the used given name of `one` is among the given names of `other` (D10)."""
    used = _names(one.used_given)
    listed = _names(f"{other.given} {other.given_names}")
    return bool(used) and (used == _names(other.used_given) or set(used) <= set(listed))


#: The sexes that can be compared: `U`, `UN`, `O` say that it is not known.
_SEXES: Final = frozenset({"M", "F"})


def _same_given(pid: Patient, cda: Patient) -> bool:
    """Whether the first given name is the same (D10).

    Where one side writes a list only, nobody can see where a compound first name ends (`JEAN PAUL MARIE`): then
    the other side's first name must be how the list begins.
    """
    ours, theirs = _names(pid.given), _names(cda.given)
    if cda.given_list:
        return _begins(_names(cda.given_list), ours or _names(pid.given_names))
    if not ours:
        return _begins(_names(pid.given_names), theirs)
    return ours == theirs


def _begins(names: list[str], first: list[str]) -> bool:
    return names[: len(first)] == first


def _names(text: str) -> list[str]:
    return normal(text.replace(",", " ")).split()


def is_complete(patient: Patient) -> bool:
    """All the traits that go with an INS are there (R44, annexe INS)."""
    return all(
        (
            patient.birth_family,
            patient.given,
            patient.given_names,
            len(patient.birth_date) >= 8,
            patient.sex,
            patient.birthplace,
        )
    )
