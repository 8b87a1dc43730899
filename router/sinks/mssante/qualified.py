"""X-MSS-INS: what the transmitted documents themselves say of the patient (decisions D13; mssante §1.1, ECO.2.4.2)."""

from __future__ import annotations

from router.cisis.ins import is_complete
from router.request import Patient, TransmissionRequest


def documents_hold_ins(request: TransmissionRequest) -> bool:
    """Whether `O` is true: PID-32 VALI, and every document holds the patient's INS, its OID and all the traits.

    A receiver takes the identity of the document on the strength of that letter, without looking it up.
    """
    return bool(request.documents) and all(_holds(document.patient, request.patient) for document in request.documents)


def _holds(written: Patient, qualified: Patient) -> bool:
    ours, theirs = qualified.ins, written.ins
    if ours is None or theirs is None or not is_complete(written):
        return False
    return (theirs.value.upper(), theirs.authority) == (ours.value.upper(), ours.authority)
