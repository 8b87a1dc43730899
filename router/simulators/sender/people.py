"""Fictitious patients, professionals and structures, drawn from a seeded generator."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import Final

INS_NIR: Final = "1.2.250.1.213.1.4.8"
INS_TEST: Final = "1.2.250.1.213.1.4.10"
"""OID of the INS-NIR of tests (hl7-input §5.1)."""

PS_OID: Final = "1.2.250.1.71.4.2.1"
STRUCTURE_OID: Final = "1.2.250.1.71.4.2.2"
PATIENT_DOMAIN: Final = "patient.mssante.fr"
DOCTOR_DOMAIN: Final = "medecin.test.mssante.fr"
HOSPITAL_DOMAIN: Final = "hopital-b.test.mssante.fr"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FAMILIES: Final = _words(
    "ARNAUD BÉRANGER CHAUVEL DELORME ÉTIENNE FAUCHER GRIMAUD HÉBRARD IZAMBERT JOUANNET KERVELLA LE-GUEN MARÉCHAL "
    "NUÑEZ OLLIVIER PAT-DEUX PAT-TROIS QUÉMENER ROSSIGNOL SAINT-CLAIR THÉVENIN URVOY VIALLE WATRIN YVON ZELLER "
    "D'ALMEIDA DE-LA-TOUR LEFÈVRE MOREL-BRUN PÉRIGNON RENAUDIN TEISSIER"
)
_GIVEN_F: Final = _words(
    "ALICE BÉRÉNICE CLÉMENCE DOMINIQUE ÉLODIE FRANÇOISE GAËLLE HÉLÈNE INÈS JEANNE LOUISE MARIE-ANGE NOÉMIE ODILE RUTH"
)
_GIVEN_M: Final = _words(
    "ADAM BENOÎT CÉDRIC DOMINIQUE ÉTIENNE FRANÇOIS GAËTAN HERVÉ JEAN-PAUL JULIEN LÉO MATTÉO NOËL OLIVIER RÉMI THÉO"
)
#: INSEE code (COG) and name of some communes; 2A004 has a letter, 99350 is a country.
_PLACES: Final = (
    ("63220", "MAZOIRES"),
    ("75107", "PARIS"),
    ("2A004", "AJACCIO"),
    ("2B033", "BASTIA"),
    ("35238", "RENNES"),
    ("69123", "LYON"),
    ("13055", "MARSEILLE"),
    ("97105", "BASSE-TERRE"),
    ("99350", "MAROC"),
    ("80001", "ABBEVILLE"),
)
_CITIES: Final = (("75007", "PARIS"), ("35000", "RENNES"), ("69003", "LYON"), ("80100", "ABBEVILLE"))
#: JDV_J01 author specialties: code, label (code system 1.2.250.1.213.1.1.4.5).
SPECIALTIES: Final = {
    "biology": ("G15_10/SM03", "Médecin - Biologie médicale (SM)"),
    "imaging": ("G15_10/SM44", "Médecin - Radio-diagnostic (SM)"),
    "letter": ("G15_10/SM26", "Médecin - Qualifié en Médecine Générale (SM)"),
}


def ins_key(matricule: str) -> str:
    """The two digits that end a matricule of 13 characters (hl7-input §5.1; Corsica: 2A→19, 2B→18)."""
    return f"{97 - int(matricule.upper().replace('2A', '19').replace('2B', '18')) % 97:02d}"


def luhn(digits: str) -> str:
    """The check digit that RPPS and FINESS numbers end with."""
    total = 0
    for rank, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if rank % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


@dataclass(frozen=True, slots=True)
class Structure:
    """A hospital or laboratory. `finess`: 9 characters; `ipp_*`: the authority that issues its IPP."""

    finess: str
    name: str
    ipp_namespace: str = "HOPITAL-A"
    ipp_oid: str = "1.2.250.1.213.1.4.99.1"
    facility: tuple[str, str] = ("SA01", "Etablissement public de santé")
    phone: str = "0144000000"

    @property
    def id_nat(self) -> str:
        """Struct_IdNat: `1` + FINESS."""
        return f"1{self.finess}"


HOPITAL_A: Final = Structure("75010012" + luhn("75010012"), "Hopital A")
HOPITAL_B: Final = Structure("69012345" + luhn("69012345"), "Hopital B", "HOPITAL-B", "1.2.250.1.213.1.4.99.2")


@dataclass(frozen=True, slots=True)
class Professional:
    """A person by IDNPS (12 digits: `8` + RPPS). `address` is a mailbox of the espace de confiance."""

    id: str
    family: str
    given: str
    specialty: tuple[str, str]
    address: str

    def __repr__(self) -> str:
        return "<Professional>"


@dataclass(frozen=True, slots=True)
class Patient:
    """A fictitious person; `ins` is None for somebody without one (AME). Dates are `YYYYMMDD`."""

    ipp: str
    birth_family: str
    used_family: str
    given: str
    given_names: str
    birth_date: str
    sex: str
    birthplace: tuple[str, str]
    city: tuple[str, str]
    ins: str | None
    ins_oid: str = INS_TEST
    ipp_namespace: str = HOPITAL_A.ipp_namespace
    ipp_oid: str = HOPITAL_A.ipp_oid

    def __repr__(self) -> str:
        return "<Patient>"

    @property
    def address(self) -> str:
        """The MES mailbox of the INS; "" without one."""
        return f"{self.ins}@{PATIENT_DOMAIN}" if self.ins else ""


class Population:
    """Draws people that differ from each other, always the same for one seed."""

    def __init__(self, rng: random.Random, base: dt.datetime) -> None:
        self._rng = rng
        self._base = base
        self._matricules: set[str] = set()
        self._count = 0

    def patient(
        self,
        *,
        ins: bool = True,
        age: int | None = None,
        structure: Structure = HOPITAL_A,
        family: str = "",
        given: str = "",
        sex: str = "",
    ) -> Patient:
        """A new patient, between 20 and 90 unless `age` is told; `ins=False` makes one without INS."""
        rng = self._rng
        self._count += 1
        sex = sex or rng.choice("MF")
        given = given or rng.choice(_GIVEN_F if sex == "F" else _GIVEN_M)
        family = family or rng.choice(_FAMILIES)
        years = age if age is not None else rng.randint(20, 90)
        born = self._base.date() - dt.timedelta(days=int(years * 365.25) + rng.randint(5, 300))
        matricule, place = self._birth(sex, born)
        second = rng.choice(_GIVEN_F if sex == "F" else _GIVEN_M)
        return Patient(
            ipp=f"{rng.randint(10, 99)}{self._count:08d}",
            birth_family=family,
            used_family=rng.choice((family, rng.choice(_FAMILIES))),
            given=given,
            given_names=f"{given} {second}" if second != given else given,
            birth_date=f"{born:%Y%m%d}",
            sex=sex,
            birthplace=place,
            city=rng.choice(_CITIES),
            ins=matricule if ins else None,
            ipp_namespace=structure.ipp_namespace,
            ipp_oid=structure.ipp_oid,
        )

    def professional(self, specialty: str = "letter", *, domain: str = DOCTOR_DOMAIN) -> Professional:
        """A new doctor, with a mailbox `given.family.<number>@domain`."""
        rng = self._rng
        self._count += 1
        family, given = rng.choice(_FAMILIES), rng.choice(_GIVEN_F + _GIVEN_M)
        rpps = f"101{self._count:07d}"
        local = f"dr.{_ascii(given)}.{_ascii(family)}{self._count}"
        return Professional(f"8{rpps}{luhn(rpps)}", family, given.title(), SPECIALTIES[specialty], f"{local}@{domain}")

    def _birth(self, sex: str, born: dt.date) -> tuple[str, tuple[str, str]]:
        """A matricule not yet given and the birthplace that is part of it."""
        while True:
            place = self._rng.choice(_PLACES)
            body = f"{1 if sex == 'M' else 2}{born:%y%m}{place[0]}{self._rng.randint(1, 999):03d}"
            if body not in self._matricules:
                self._matricules.add(body)
                return body + ins_key(body), place


def _ascii(text: str) -> str:
    table = str.maketrans("ÀÂÄÇÉÈÊËÎÏÑÔÖÙÛÜ", "AAACEEEEIINOOUUU")
    return "".join(c for c in text.upper().translate(table) if c.isalnum()).lower()
