"""The last look before a mail leaves: what was right at intake may no longer be (promise 6, decisions D2, D5, D6).

Each rule protects somebody; none can be relaxed by a pipeline. All raise `Refused` with the code of the Z02.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from router.cisis.addresses import clean, parts
from router.cisis.age import adult_at
from router.cisis.ins import environment_fault, leaves_unqualified
from router.errors import Refused
from router.payload import NOTICE, DocumentOrder
from router.request import Action, Recipient, RecipientKind, TransmissionRequest
from router.sinks.mssante.naming import act_time
from router.structures import Environment


def to_patient(recipient: Recipient, patient_domains: Collection[str]) -> bool:
    """Whether this mail goes to a patient's mailbox, by its address or by the sender's word."""
    return recipient.kind is RecipientKind.PATIENT or parts(recipient.address)[1] in patient_domains


def check(
    order: DocumentOrder,
    recipient: Recipient,
    *,
    environment: Environment,
    patient_domains: Collection[str],
    today: date,
) -> None:
    """Every rule but the liste blanche. Raises `Refused`."""
    request = order.request
    if recipient.refusal is not None:
        code, reason = recipient.refusal
        raise Refused(f"MSS-{code}", "RCT", reason)
    if not recipient.address or clean(recipient.address) != recipient.address:
        raise Refused("MSS-510", "RCT", "adresse absente ou mal formée")
    patient = to_patient(recipient, patient_domains)
    if order.options.get(NOTICE):
        _notice(patient)
        return
    if not (request.mss_patient if patient else request.mss_professionals):
        raise Refused("MSS-554", "RCT", "destination non demandée par l'émetteur")
    if several_patients(request) and request.action is not Action.DELETE:
        raise Refused("MSS-554", "R39", "le document nomme plusieurs patients")
    _identity(request, environment)
    if patient:
        _patient(request, recipient, patient_domains, today)


def _notice(patient: bool) -> None:
    """A notice carries no document, no INS and no name. It never goes to a patient: his address is made of an INS,
    and a wrong INS may be why the document is deleted (decisions D19)."""
    if patient:
        raise Refused("MSS-554", "RCT", "un avis n'est pas envoyé à un patient que l'émetteur n'a pas nommé")


def _identity(request: TransmissionRequest, environment: Environment) -> None:
    """An INS that is not qualified leaves by no road (D2); a test INS never leaves production (D9)."""
    written = [document.patient.ins for document in request.documents if document.patient.ins is not None]
    ins = request.patient.ins
    if any(leaves_unqualified(one, ins) for one in written):
        raise Refused("MSS-554", "R46", "le document porte une INS alors que l'identité n'est pas qualifiée")
    for identifier in (*written, *([ins] if ins else [])):
        if reason := environment_fault(identifier, environment):
            raise Refused("MSS-554", "INS", reason)


def _patient(request: TransmissionRequest, recipient: Recipient, patient_domains: Collection[str], today: date) -> None:
    local, domain = parts(recipient.address)
    if request.patient.ins is None:
        raise Refused("MSS-510", "PID-32", "INS non qualifiée : pas d'envoi au patient")
    if domain not in patient_domains or local.upper() != request.patient.ins.value.upper():
        raise Refused("MSS-510", "R86", "l'adresse patient n'est pas construite sur l'INS du patient")
    if request.action is Action.DELETE:
        return  # masks never hold back a deletion (D1): its notice says nothing of the document
    if request.masks.invisible_patient:
        raise Refused("MSS-550", "R87", "document invisible au patient")
    if hidden(request, today):
        raise Refused("MSS-550", "D6", "patient mineur ou d'âge inconnu : ses représentants lisent cette boîte")


def several_patients(request: TransmissionRequest) -> bool:
    """Whether a document names several patients (R39): it leaves by no road, not even attached to its deletion."""
    return any(document.patients > 1 for document in request.documents)


def hidden(request: TransmissionRequest, today: date) -> bool:
    """Whether the document may not be shown in the patient's mailbox: masked to him, or to those who read it (D6)."""
    to_representatives = request.masks.invisible_rep_legaux or request.masks.connexion_secrete
    return request.masks.invisible_patient or (to_representatives and not _adult(request, today))


def _adult(request: TransmissionRequest, today: date) -> bool:
    """Of age at the date of every document's act by every birth date we hold; an unknown age is a minor's (D6)."""
    born = {request.patient.birth_date, *(document.patient.birth_date for document in request.documents)} - {""}
    return adult_at(born, map(act_time, request.documents), today)
