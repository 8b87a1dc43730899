"""Rules R40–R48: is this document this patient's, and may his INS leave (decisions D2, D3, D9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from router.cda.document import Document
from router.cisis import ins as national
from router.cisis.findings import Findings
from router.cisis.identity import Identity
from router.cisis.rule import Severity
from router.cisis.settings import ProfileRules
from router.hl7.segment import Segment
from router.request import Patient

#: Traits by the name of their field, as an operator calls them.
TRAITS: Final = {
    "birth_family": "nom de naissance",
    "birth_date": "date de naissance",
    "sex": "sexe",
    "given": "premier prénom",
    "given_names": "prénoms",
    "birthplace": "lieu de naissance",
}
#: The field of PID that holds each trait that is compared.
FIELDS: Final = {"birth_family": 5, "given": 5, "birth_date": 7, "sex": 8, "birthplace": 11}
#: Those that go with an INS (R44, annexe INS).
_WITH_INS: Final = ("birth_family", "given", "given_names", "birth_date", "sex", "birthplace")


def check_pid(pid: Segment, findings: Findings) -> None:
    """R40; and the absent status of R46 (E29)."""
    if not any(pid.texts("3")):
        findings.add("R40", "PID-3")
    if not any(one.text(1) for one in pid.repetitions(5)):
        findings.add("R40", "PID-5")
    if not any(pid.texts("32")):
        findings.add("R46", "status")


def check_same_patient(
    identity: Identity, documents: Sequence[Document], rules: ProfileRules, findings: Findings
) -> None:
    """R41 and R42, for every document. Nothing relaxes them (D3)."""
    for document in documents:
        if document.header.patients > 1 and findings.broke("R39"):
            continue  # which of them should be this one?
        theirs = document.header.patient
        match = national.same_patient_ids(identity.received.identifiers, theirs.identifiers, rules.autorites)
        if match is national.Match.CONFLICT:
            both_ins = identity.written is not None and theirs.ins is not None
            findings.add("R41", "" if both_ins else "none")
        elif match is national.Match.UNDECIDED and identity.received.identifiers:
            findings.add("R41", "no-table")
        differing = national.same_traits(identity.received, theirs)
        for field in dict.fromkeys(FIELDS[name] for name in differing):
            names = ", ".join(TRAITS[name] for name in differing if FIELDS[name] == field)
            findings.add("R42", field=field, what=names)
        if not national.same_given_names(identity.received, theirs):
            findings.add("R42", "lists")


def check_ins(
    identity: Identity,
    documents: Sequence[tuple[Document, int]],
    rules: ProfileRules,
    findings: Findings,
    *,
    dmp: bool,
) -> None:
    """R43 to R48. `documents`: each with the occurrence of its OBX."""
    _check_number(identity, rules, findings, dmp=dmp)
    # Without PID-3 (R40), or with a wrong key (R47), the INS of the message can't be the valid one: told once.
    nothing_to_compare = identity.status.validated and findings.broke("R40", "R47") and identity.ins is None
    for document, n in documents:
        if not nothing_to_compare and national.leaves_unqualified(document.header.patient.ins, identity.ins):
            findings.add("R46", "ins" if identity.status.validated else "", n=n)
    if not dmp:
        return
    if not identity.status.validated:
        findings.add_dmp("R45")
    elif identity.written is None and (identity.received.identifiers or findings.deletion):
        findings.add_dmp("R45", "ins")
    for document, n in documents:
        theirs = document.header.patient
        if document.header.patients > 1 and findings.broke("R39"):
            continue
        if identity.ins is not None and theirs.ins is None:
            findings.add_dmp("R43", n=n)
        lacking = missing_traits(theirs)
        if theirs.ins is not None and lacking:
            findings.add_dmp("R44", n=n, what=", ".join(lacking))


def _check_number(identity: Identity, rules: ProfileRules, findings: Findings, *, dmp: bool) -> None:
    """R47, R48: the number itself. A wrong one of an identity that isn't validated is ignored with it."""
    if identity.written is None:
        return
    if identity.status.validated and identity.wrong_key:
        findings.add("R47", "" if dmp else "warn", n=identity.written_at)
    if national.environment_fault(identity.written, rules.environment):
        production = rules.environment == "production"
        findings.add("R48", "" if production else "real", severity=Severity.ERROR if production else Severity.WARN)


def missing_traits(patient: Patient) -> list[str]:
    """The traits that an INS needs beside it and that are not there, in French."""
    return [
        TRAITS[name]
        for name in _WITH_INS
        if not getattr(patient, name) or (name == "birth_date" and len(patient.birth_date) < 8)
    ]
