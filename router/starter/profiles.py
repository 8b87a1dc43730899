"""What each profile of `segur-router init` holds: hospitals, feeds, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from router.simulators.sender.people import HOPITAL_A, HOPITAL_B, Structure

Kind = Literal["documents", "adt", "relay"]


@dataclass(frozen=True, slots=True)
class Hospital:
    """A fictitious hospital of a site. `instance` names its sinks: `dmp.<instance>`, `mssante.<instance>`."""

    structure: Structure
    instance: str

    @property
    def domain(self) -> str:
        return f"{self.instance}.test.mssante.fr"

    @property
    def mailbox(self) -> str:
        return f"pfi@{self.domain}"

    @property
    def source_oid(self) -> str:
        """Of the system that submits: the OID of its IPP with another last number."""
        return f"{self.structure.ipp_oid}0"

    @property
    def authority(self) -> str:
        """Its assigning authority, as PID-3.4 has it."""
        return f"{self.structure.ipp_namespace}&{self.structure.ipp_oid}&ISO"


A: Final = Hospital(HOPITAL_A, "hopital-a")
B: Final = Hospital(HOPITAL_B, "hopital-b")


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed and its MLLP port.

    pipelines: the name under which the shipped pipelines read it. reply: instance of the hl7 sink that takes answers
    back. Both are the feed's own name by default.
    """

    name: str
    port: int
    kind: Kind
    hospitals: tuple[Hospital, ...] = ()
    pipelines: str = ""
    http: bool = False
    reply: str = ""

    @property
    def shipped(self) -> str:
        return self.pipelines or self.name


@dataclass(frozen=True, slots=True)
class Profile:
    """A site. `endpoints`: instance of an hl7 sink -> its port and who it is."""

    name: str
    hospitals: tuple[Hospital, ...]
    feeds: tuple[Feed, ...]
    endpoints: Mapping[str, tuple[int, str]]
    http: int | None = None
    admin: int = 9464
    dmp: int = 9443
    smtp: int = 9587
    imap: int = 9143
    certificates: Mapping[str, str] = field(init=False)
    """FINESS -> name, of the hospitals that need certificates."""

    def __post_init__(self) -> None:
        names = {one.structure.finess: one.structure.name for one in self.hospitals}
        object.__setattr__(self, "certificates", names)


_SIL: Final = (2675, "le laboratoire reçoit ses réponses")
_RIS: Final = (2676, "la radiologie reçoit ses réponses")
_DPI: Final = (2679, "le dossier patient")

PROFILES: Final[Mapping[str, Profile]] = {
    one.name: one
    for one in (
        Profile(
            "minimal",
            (A,),
            (
                Feed("sil", 2575, "documents", (A,)),
                Feed("gam", 2577, "adt", (A,)),
                Feed("labo-relais", 2578, "relay"),
            ),
            {"sil": _SIL, "dpi": _DPI},
        ),
        Profile(
            "hopital",
            (A,),
            (
                Feed("sil", 2575, "documents", (A,), http=True),
                Feed("ris", 2576, "documents", (A,)),
                Feed("gam", 2577, "adt", (A,)),
                Feed("labo-relais", 2578, "relay"),
            ),
            {"sil": _SIL, "ris": _RIS, "dpi": _DPI},
            http=8080,
        ),
        Profile(
            "ght",
            (A, B),
            (
                Feed("sil", 2575, "documents", (A, B), http=True),
                Feed("ris", 2576, "documents", (A, B)),
                Feed("gam-a", 2577, "adt", (A,), "gam"),
                Feed("gam-b", 2587, "adt", (B,), "gam"),
                Feed("labo-relais", 2578, "relay"),
            ),
            {"sil": _SIL, "ris": _RIS, "dpi": _DPI},
            http=8080,
        ),
    )
}
BUSES: Final = ("sqlite", "kafka")
