"""`enrich`: what the register says of the patient now, because it may have changed since the message (D1, D2, D8).

Of the patient it only takes away. Opposed to the DMP: the DMP leg is not tried and the sender is told; MSSanté goes
on. INS withdrawn, downgraded or replaced: no INS leaves by any road.

It adds one thing: the profession of the sender, from the directory, for the VIHF and the XDS author (dmp §2.2, §3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from router.cisis import ins
from router.directory.professions import Professions
from router.exchange import Decision, Exchange, Pseudonyms
from router.language import N_, filled
from router.register.patient import RegisteredPatient, ins_pseudonym, ipp_pseudonym
from router.register.store import Register
from router.request import Action, Identifier, Patient, Recipient, RecipientKind, TransmissionRequest
from router.steps.step_type import StepType
from router.strict import Strict

STEP: Final = "enrich"

#: Codes shown in `explain` and told to the sender in the Z01.
OPPOSITION: Final = "OPPOSITION"
NOT_QUALIFIED: Final = "R45"
INS_IN_DOCUMENT: Final = "R46"

#: SMTPERRORCODE of the Z02 `N`: the patient's address is his INS; a document that holds it can't be sent at all.
BAD_ADDRESS: Final = "510"
NOT_SENT: Final = "554"

_OPPOSED: Final = N_("patient opposé à l'alimentation de son DMP (registre)")
_HOLDS_INS: Final = N_("le document contient l'INS d'une identité qui n'est plus qualifiée (registre)")


class EnrichStep(Strict):
    """`enrich: {patient: register}`: look the patient up again in what the ADT feeds have said."""

    patient: Literal["register"] = Field("register", description="Where the patient is looked up.")
    sender: Literal["annuaire", "document"] = Field(
        "annuaire",
        description="Where the profession and specialty of the sender are taken from, for the VIHF and the XDS author: "
        "the directory before the document, or the document alone.",
    )


class Enrich:
    """The step; `narrowed` is also for a sink that asks again at the moment of sending (D2).

    Raises `Unavailable` when the register's database is away: the batch, or the delivery, waits.
    """

    def __init__(self, register: Register, professions: Professions | None = None) -> None:
        """professions: what the directory knows of senders; None: the document alone tells"""
        self._register = register
        self._professions = professions

    def __call__(self, exchange: Exchange) -> Exchange:
        if exchange.request is None:
            return exchange
        request, decisions = self.narrowed(exchange.request)
        if self._professions is not None:
            request, reason = self._professions.completed(request)
            decisions = (*decisions, Decision(STEP, reason)) if reason else decisions
        return exchange.with_(request=request, decisions=(*exchange.decisions, *decisions))

    def narrowed(self, request: TransmissionRequest) -> tuple[TransmissionRequest, tuple[Decision, ...]]:
        """The request without what the register now forbids, and why."""
        ipps, numbers = _names(request, self._register.pseudonyms)
        found = self._register.find_all([*ipps, *numbers])
        if not found:
            return request, (Decision(STEP, "patient inconnu du registre"),)
        decisions: list[Decision] = []
        if any(patient.opposed for patient in found.values()):
            request = _opposed(request, decisions)
        authority = _authority(ipps, numbers, found)
        if authority is not None and (reason := _withdrawn(request, authority, numbers)):
            request = _unqualified(request, reason, decisions)
        return request, tuple(decisions)


def _names(request: TransmissionRequest, pseudonyms: Pseudonyms) -> tuple[list[str], list[str]]:
    """Pseudonyms of the IPPs, and of the INS, that message and documents name; the message's first."""
    patients: list[Patient] = [request.patient, *(document.patient for document in request.documents)]
    ipps = [ipp_pseudonym(pseudonyms, patient.ipp) for patient in patients if patient.ipp]
    numbers = [ins_pseudonym(pseudonyms, patient.ins) for patient in patients if patient.ins]
    return list(dict.fromkeys(ipps)), list(dict.fromkeys(numbers))


def _authority(ipps: list[str], numbers: list[str], found: Mapping[str, RegisteredPatient]) -> RegisteredPatient | None:
    """Who says whether the INS is qualified: the file of the IPP when it says anything, else that of the INS."""
    by_ipp = (found[name] for name in ipps if name in found)
    by_ins = (found[name] for name in numbers if name in found)
    return next((p for p in by_ipp if p.qualified is not None), next(by_ins, None))


def _opposed(request: TransmissionRequest, decisions: list[Decision]) -> TransmissionRequest:
    if not request.dmp:
        return request
    if request.action is Action.DELETE:  # D1: a deletion is never blocked by an opposition
        decisions.append(
            Decision(STEP, filled("{text} : la suppression est tentée quand même", text=_OPPOSED), OPPOSITION)
        )
        return request
    return _without_dmp(request, OPPOSITION, _OPPOSED, decisions)


def _unqualified(request: TransmissionRequest, reason: str, decisions: list[Decision]) -> TransmissionRequest:
    decisions.append(Decision(STEP, filled("{reason} : aucune INS ne part", reason=reason), NOT_QUALIFIED))
    if request.dmp:
        by_hand = filled("{reason} : suppression impossible ici, utiliser `segur-router withdraw`", reason=reason)
        told = by_hand if request.action is Action.DELETE else reason
        request = _without_dmp(request, NOT_QUALIFIED, told, decisions)
    held = any(document.patient.ins for document in request.documents)
    if held and request.recipients:
        decisions.append(Decision(STEP, _HOLDS_INS, INS_IN_DOCUMENT))
    recipients = tuple(_refused(recipient, reason, held=held) for recipient in request.recipients)
    return request.model_copy(update={"patient": _without_ins(request.patient), "recipients": recipients})


def _withdrawn(request: TransmissionRequest, patient: RegisteredPatient, numbers: list[str]) -> str:
    """Why the INS of the message no longer holds, or ""."""
    if request.patient.ins is None or not numbers:
        return ""
    if patient.qualified is False or (patient.retired and patient.ins not in numbers):
        return N_("INS retirée ou identité déqualifiée depuis (registre)")
    if patient.ins and patient.ins != numbers[0]:
        return N_("INS différente de celle du registre")
    return ""


def _without_dmp(
    request: TransmissionRequest, code: str, reason: str, decisions: list[Decision]
) -> TransmissionRequest:
    """The DMP leg is not tried; `request.dmp` stays, so that the refusal is told to the sender (D5)."""
    decisions.append(Decision(STEP, filled("DMP non tenté : {reason}", reason=reason), code))
    if request.dmp_inadmissible is not None:
        return request
    return request.model_copy(update={"dmp_inadmissible": (code, reason)})


def _without_ins(patient: Patient) -> Patient:
    kept: tuple[Identifier, ...] = tuple(one for one in patient.identifiers if not ins.is_ins(one))
    return patient.model_copy(update={"ins": None, "identifiers": kept})


def _refused(recipient: Recipient, reason: str, *, held: bool) -> Recipient:
    if recipient.refusal is not None:
        return recipient
    if recipient.kind is RecipientKind.PATIENT:
        return recipient.model_copy(update={"refusal": (BAD_ADDRESS, reason)})
    return recipient.model_copy(update={"refusal": (NOT_SENT, _HOLDS_INS)}) if held else recipient


ENRICH = StepType(
    name="enrich",
    model=EnrichStep,
    description="Add what the register says of the patient.",
    build=lambda config, tools: Enrich(
        tools.register, tools.directory.professions() if config.sender == "annuaire" else None
    ),
)
