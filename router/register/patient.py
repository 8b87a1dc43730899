"""What the register answers: a patient without any identity in clear."""

from __future__ import annotations

from dataclasses import dataclass

from router.exchange import Pseudonyms
from router.register.adt import OPPOSED
from router.request import Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPatient:
    """One patient as the ADT feeds last described him.

    id:        pseudonym of the first identifier he was known by
    ins:       pseudonym of his current INS, "" when he has none or it was withdrawn
    qualified: True: INS validated; False: not, or withdrawn; None: no feed has said
    status:    PID-32 codes as last received
    opposition, consent, dmp: ZFA-9, ZFA-11, ZFA-1 as last *stated*, with their dates (TS)
    merged:    the identifier that was asked for belongs to a patient who was merged into this one
    retired:   the identifier that was asked for no longer names this patient
    """

    id: str
    ins: str = ""
    qualified: bool | None = None
    status: tuple[str, ...] = ()
    opposition: str = ""
    opposition_at: str = ""
    consent: str = ""
    consent_at: str = ""
    dmp: str = ""
    last_event: str = ""
    recorded: str = ""
    since: float = 0.0
    updated: float = 0.0
    merged: bool = False
    retired: bool = False

    @property
    def opposed(self) -> bool:
        """Whether he refuses that his DMP be fed (ZFA-9 = IO)."""
        return self.opposition == OPPOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEntry:
    """A document that has left under an identity which changed since: somebody must look at it (D8).

    kind: event that changed the identity (`A40`…); closed: Unix time at which somebody dealt with it, 0 before.
    structure: FINESS of the document's sender, "" for none; None where nobody has looked it up yet
    """

    id: str
    event_id: str
    kind: str
    delivery_id: str
    document: str
    sink: str
    left: float
    opened: float
    closed: float = 0.0
    closed_by: str = ""
    outcome: str = ""
    structure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An identity changed after documents had left under it: `count` entries stand in the work-list."""

    event_id: str
    kind: str
    count: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What `Register.apply` did. `new`: False for an event applied before; `stale`: overtaken by a later one."""

    new: bool
    stale: bool = False
    alert: Alert | None = None


def ipp_pseudonym(pseudonyms: Pseudonyms, identifier: Identifier) -> str:
    """As everywhere (`JournalEntry.patients`): authority's OID, else HD-1 as received."""
    return pseudonyms.of("ipp", identifier.authority or identifier.namespace, identifier.value)


def ins_pseudonym(pseudonyms: Pseudonyms, identifier: Identifier) -> str:
    return pseudonyms.of("ins", identifier.value)
