"""Who is in the simulated annuaire: people, organisations, and where their mailboxes stand (mssante §5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.simulators.sender.people import HOPITAL_A, HOPITAL_B


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox. `demat`: takes documents without paper; None: not said."""

    address: str
    type: str = "PER"
    rank: int | None = None
    red_listed: bool = False
    demat: bool | None = None
    service: str = ""


@dataclass(frozen=True, slots=True)
class Practice:
    """A place of practice of a person: FINESS, and the mailboxes he has there."""

    finess: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A professional by RPPS; `skills`: savoir-faire, code and label (TRE_R38)."""

    rpps: str
    profession: tuple[str, str] = ("10", "Médecin")
    skills: tuple[tuple[str, str], ...] = (("SM26", "Qualifié en Médecine Générale (SM)"),)
    boxes: tuple[Box, ...] = ()
    practices: tuple[Practice, ...] = ()
    active: bool = True

    def __repr__(self) -> str:
        return "<Person>"


@dataclass(frozen=True, slots=True)
class Organisation:
    """A structure by FINESS."""

    finess: str
    name: str
    boxes: tuple[Box, ...] = ()


#: The people of the demo and of the tutorial; the first one is in every sample of `directory find`.
KNOWN_RPPS: Final = "10000000001"
ORGANISATIONS: Final = (
    Organisation(HOPITAL_A.finess, HOPITAL_A.name.upper(), (Box("urgences@hopital-a.test.mssante.fr", "ORG"),)),
    Organisation(HOPITAL_B.finess, HOPITAL_B.name.upper()),
)
PEOPLE: Final = (
    Person(KNOWN_RPPS, boxes=(Box("dr.marie.kervella@medecin.test.mssante.fr", rank=1, demat=True),)),
    Person(
        "10000000019",
        skills=(("SM44", "Radio-diagnostic (SM)"),),
        practices=(
            Practice(HOPITAL_A.finess, (Box("dr.leo.watrin@hopital-a.test.mssante.fr"),)),
            Practice(HOPITAL_B.finess, (Box("dr.leo.watrin@hopital-b.test.mssante.fr"),)),
        ),
    ),
    Person("10000000027", boxes=(Box("dr.ruth.yvon@messagerie-ordinaire.fr"),)),
)
