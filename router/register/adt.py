"""Reading the ADT messages of PAM-FR 2.11 that the register follows (decisions D8; hl7-input §5).

A message that breaks a rule is refused whole: `AdtChange.faults` holds the ERR segments of its AE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from router.cisis import ins
from router.hl7.ack import Err
from router.hl7.message import Message
from router.hl7.segment import Repetition, Segment
from router.language import N_, filled
from router.request import Identifier


class Event(NamedTuple):
    """What an ADT event does to the register. `prior`: the message names a former identity in MRG."""

    meaning: str
    prior: str = ""


#: MSH-9.2 of PAM-FR (D8). `prior`: "merge" (one patient absorbs another), "move" (a file changes its patient),
#: "identifiers" (the identifiers of one patient change).
EVENTS: Final[dict[str, Event]] = {
    "A01": Event("admission"),
    "A02": Event("mutation"),
    "A03": Event("sortie"),
    "A04": Event("consultation externe"),
    "A05": Event("préadmission"),
    "A08": Event("mise à jour (toléré)"),
    "A11": Event("annulation d'admission"),
    "A12": Event("annulation de mutation"),
    "A13": Event("annulation de sortie"),
    "A14": Event("hospitalisation prévue"),
    "A28": Event("création de patient"),
    "A31": Event("mise à jour de l'identité"),
    "A38": Event("annulation de préadmission"),
    "A40": Event("fusion de patients", "merge"),
    "A44": Event("déplacement de dossier", "move"),
    "A47": Event("changement d'identifiants", "identifiers"),
    "Z99": Event("mise à jour de mouvement"),
}

#: ZFA-1 state of the DMP, ZFA-9 opposition to feeding it, ZFA-11 consent to consulting it (PAM-FR §6.14).
DMP_STATES: Final = frozenset({"ACTIF", "FERME", "INEXISTANT"})
OPPOSITIONS: Final = frozenset({"IO", "INO", "NA"})
CONSENTS: Final = frozenset({"IC", "INC", "NA"})

#: What ZFA-9 = IO means: informed, and opposed.
OPPOSED: Final = "IO"

_VERSION: Final = "2.5"
_MOST_IDENTIFIERS: Final = 1000
"""More identifiers than this in the pairs of one message are no merge: each costs statements of one transaction."""
_UNIT, _CLASS, _TIME = 80, 3, 32
"""Characters that are kept of a unit, of a class of patients, of a time."""
_NO_TABLE: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Identities:
    """The identifiers of one patient: his IPPs, and his INS as written (qualified or not)."""

    ipps: tuple[Identifier, ...] = field(default=(), repr=False)
    ins: tuple[Identifier, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.ipps or self.ins)


@dataclass(frozen=True, slots=True)
class Prior:
    """One PID with its MRG: the identity that stays and the one that it replaces."""

    stays: Identities
    former: Identities
    status: ins.Status | None = None
    """Of the PID of this pair."""

    @property
    def parts(self) -> tuple[tuple[Identifier, ...], ...]:
        return self.stays.ipps, self.stays.ins, self.former.ipps, self.former.ins


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Where the patient is, as PV1 says. Times are TS as received.

    visit, authority: PV1-19;  unit: PV1-3.1;  kind: PV1-2;  admitted, discharged: PV1-44, PV1-45
    at: of the movement itself: ZBE-2, else EVN-6, EVN-2, MSH-7
    """

    visit: str = field(default="", repr=False)
    authority: str = ""
    unit: str = ""
    kind: str = ""
    admitted: str = ""
    discharged: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtChange:
    """What one ADT message says. Identifiers are in clear here and nowhere in the register.

    kind:       "state", "merge", "move" or "identifiers" (`EVENTS`)
    status:     PID-32 and PID-31 read (`ins.Status`); None when the message holds no PID-32
    opposition: ZFA-9, `consent`: ZFA-11, `dmp`: ZFA-1; "" when the message says nothing of it
    recorded:   EVN-2, else MSH-7 (TS)
    priors:     one per PID + MRG of an A40, A44 or A47
    """

    event: str
    kind: str = "state"
    control_id: str = ""
    recorded: str = ""
    patient: Identities = Identities()
    status: ins.Status | None = None
    opposition: str = ""
    opposition_at: str = ""
    consent: str = ""
    consent_at: str = ""
    dmp: str = ""
    priors: tuple[Prior, ...] = ()
    movement: Movement | None = None
    faults: tuple[Err, ...] = ()
    warnings: tuple[str, ...] = ()


def read(message: Message, autorites: Mapping[str, str] | None = None) -> AdtChange:
    """Read one ADT message. Never raises: whoever gets `faults` answers AE and stores nothing.

    `autorites`: HL7 assigning authority -> OID, as on a documents feed (D3). An IPP whose authority it names is
    known by both, so that it is found whether or not the documents feed has such a table.
    """
    table = autorites or {}
    event = message.event
    known = EVENTS.get(event)
    faults = list(_envelope_faults(message, known))
    priors = tuple(_priors(message, table)) if known and known.prior else ()
    if known:
        faults += _patient_faults(message, known, priors)
        faults += _zfa_faults(message)
    pid = next(iter(message.segments("PID")), None)
    what = _status(pid)
    return AdtChange(
        event=event,
        kind=(known.prior if known else "") or "state",
        control_id=message.control_id,
        recorded=message.text("EVN-2") or message.text("MSH-7"),
        patient=_identities(pid, 3, table) if pid is not None else Identities(),
        status=what,
        opposition=_coded(message, "ZFA-9", OPPOSITIONS),
        opposition_at=message.text("ZFA-10"),
        consent=_coded(message, "ZFA-11", CONSENTS),
        consent_at=message.text("ZFA-12"),
        dmp=_coded(message, "ZFA-1", DMP_STATES),
        priors=priors,
        movement=_movement(message),
        faults=tuple(faults),
        warnings=tuple(_warnings(event, what)),
    )


# ---------------------------------------------------------------------------------------------- what is wrong


def _envelope_faults(message: Message, known: Event | None) -> Iterator[Err]:
    if message.code != "ADT":
        yield Err("200", "MSH^1^9^1^1", text="type de message non pris en charge par un flux ADT")
    elif known is None:
        yield Err("201", "MSH^1^9^1^2", text="événement ADT non pris en charge")
    if not message.version.startswith(_VERSION):  # VID.1 only: `2.5^FRA^2.11`
        yield Err("203", "MSH^1^12", text="version HL7 non prise en charge par un flux ADT")
    if not message.control_id:
        yield Err("101", "MSH^1^10", text="identifiant du message absent")


def _patient_faults(message: Message, known: Event, priors: Sequence[Prior]) -> Iterator[Err]:
    pids = message.segments("PID")
    if not pids:
        yield Err("100", "PID^1", text="segment PID absent")
        return
    if known.prior and not message.segments("MRG"):
        yield Err("100", "MRG^1", text="segment MRG absent")
        return
    if len(pids) > 1 and known.prior != "merge":
        yield Err("198", "PID^2", text="un seul patient est attendu")
    if sum(map(len, (part for prior in priors for part in prior.parts))) > _MOST_IDENTIFIERS:
        text = filled("plus de {limit} identifiants dans un même message", limit=_MOST_IDENTIFIERS)
        yield Err("198", "MRG^1^1", text=text)
    for n, prior in enumerate(priors, start=1):
        if not prior.former:
            yield Err("101", f"MRG^{n}^1", text="identité antérieure absente")
    for n, pid in enumerate(pids, start=1):
        if not _identities(pid, 3) and known.prior != "identifiers":
            yield Err("101", f"PID^{n}^3", text="identifiant du patient absent")
    for n, pid in enumerate(pids, start=1):
        for identifier in _identities(pid, 3).ins:
            if not ins.is_well_formed(identifier.value):
                yield Err("102", f"PID^{n}^3", text="matricule INS mal formé")


def _zfa_faults(message: Message) -> Iterator[Err]:
    tables = (
        (1, DMP_STATES, N_("état du DMP")),
        (9, OPPOSITIONS, N_("opposition")),
        (11, CONSENTS, N_("consentement")),
    )
    for number, table, what in tables:
        value = message.text(f"ZFA-{number}").upper()
        if value and value not in table:
            yield Err("103", f"ZFA^1^{number}", text=filled("valeur inconnue : {what}", what=what))


def _warnings(event: str, what: ins.Status | None) -> Iterator[str]:
    if event == "A08":
        yield N_("A08 n'est pas un événement de PAM-FR : traité comme A31")
    if what is None:
        yield N_("PID-32 absent : le statut de l'identité connu est conservé")
    elif what.unknown:
        yield N_("PID-32 contient un code inconnu")


# --------------------------------------------------------------------------------------------------- reading


def _status(pid: Segment | None) -> ins.Status | None:
    codes = [code for code in pid.texts("32") if code] if pid is not None else []
    fictitious = pid.text("31") if pid is not None else ""
    return ins.status(codes, fictitious) if codes or fictitious.upper() == "Y" else None


def _movement(message: Message) -> Movement | None:
    """None without a PV1."""
    if not message.segments("PV1"):
        return None
    instants = (message.text(path) for path in ("ZBE-2", "EVN-6", "EVN-2", "MSH-7"))
    return Movement(
        visit=message.text("PV1-19.1"),
        authority=message.text("PV1-19.4.2") or message.text("PV1-19.4"),
        unit=message.text("PV1-3.1")[:_UNIT],
        kind=message.text("PV1-2")[:_CLASS],
        admitted=message.text("PV1-44")[:_TIME],
        discharged=message.text("PV1-45")[:_TIME],
        at=next(filter(None, instants), "")[:_TIME],
    )


def _coded(message: Message, path: str, table: frozenset[str]) -> str:
    value = message.text(path).upper()
    return value if value in table else ""


def _priors(message: Message, autorites: Mapping[str, str]) -> Iterator[Prior]:
    """Each MRG with the PID before it; an A40 may hold several pairs."""
    pid: Segment | None = None
    for segment in message.segments():
        if segment.name == "PID":
            pid = segment
        elif segment.name == "MRG" and pid is not None:
            yield Prior(_identities(pid, 3, autorites), _identities(segment, 1, autorites), _status(pid))


def _identities(segment: Segment, number: int, autorites: Mapping[str, str] = _NO_TABLE) -> Identities:
    found = [identifier for one in segment.repetitions(number) for identifier in _identifiers(one, autorites)]
    return Identities(
        ipps=tuple(i for i in found if i.value and i.kind in ("PI", "") and not ins.is_ins(i)),
        ins=tuple(i for i in found if i.value and ins.is_pid_ins(i)),
    )


def _identifiers(cx: Repetition, autorites: Mapping[str, str]) -> Iterator[Identifier]:
    """A CX by the OID of its authority and by its name; HD-2 is an OID or nothing (`CHU-X&000897406&N`)."""
    name, number = cx.text(4, 1), cx.text(4, 2)
    value, kind = cx.text(1), cx.text(5).upper()
    if ins.is_oid(number) or ins.is_oid(name):
        yield Identifier(value=value, authority=number if ins.is_oid(number) else name, namespace=name, kind=kind)
        return
    whole = "&".join((name, number, cx.text(4, 3))).rstrip("&")
    local = Identifier(value=value, namespace=whole, kind=kind)
    if oid := ins.resolved(local, autorites):
        yield Identifier(value=value, authority=oid, namespace=name, kind=kind)
    yield Identifier(value=value, namespace=name, kind=kind)
