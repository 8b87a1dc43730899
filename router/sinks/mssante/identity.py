"""X-MSS-INS: what stands in the documents that travel (decisions D13, mssante §1.1)."""

from __future__ import annotations

from router.request import Patient, TransmissionRequest


def says_ins(request: TransmissionRequest) -> bool:
    """Whether `X-MSS-INS: O` is true: the identity is qualified, every document holds the INS and all its traits."""
    ins = request.patient.ins
    return ins is not None and all(_complete(document.patient, ins.value) for document in request.documents)


def _complete(patient: Patient, value: str) -> bool:
    """Matricule and OID of the qualified INS, birth name, first given name, date of birth, sex."""
    traits = (patient.birth_family, patient.given, patient.birth_date, patient.sex)
    ins = patient.ins
    return ins is not None and ins.value.upper() == value.upper() and bool(ins.authority) and all(traits)
