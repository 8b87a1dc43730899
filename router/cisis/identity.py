"""Who the patient is: PID as received, and what of it may travel (hl7-input §5; decisions D2, D3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.cda.oids import INS_C_OIDS, INS_OIDS
from router.cisis import ins as national
from router.hl7.segment import Repetition, Segment
from router.request import DocumentHeader, Identifier, Patient

#: CX-5 of the hospital's own patient number.
IPP: Final = "PI"
#: Billing number: the same digits as the INS, so it doesn't travel either.
BILLING: Final = "NH"
_BIRTHPLACE: Final = "BDL"


@dataclass(frozen=True, slots=True)
class Identity:
    """The patient of a message.

    received:  every identifier and trait as received: for comparisons only, it never travels
    status:    what PID-32 and PID-31 say
    written:   the INS as written, qualified or not
    ins:       the qualified INS: validated, well-formed, key right; else None
    effective: what may travel
    written_at: the repetition of PID-3 that holds `written`
    """

    received: Patient
    status: national.Status
    written: Identifier | None
    ins: Identifier | None
    effective: Patient
    written_at: int = 1

    @property
    def wrong_key(self) -> bool:
        """An INS is there, and isn't one: malformed, or its key is wrong."""
        return self.written is not None and not national.has_valid_key(self.written.value)


def of_message(pid: Segment | None, autorites: Mapping[str, str]) -> Identity:
    """The identity that PID gives; an empty one without PID (R20 says so)."""
    if pid is None:
        return _identity(Patient(), national.status(()), autorites)
    received = Patient(
        identifiers=tuple(_identifiers(pid)),
        status=tuple(pid.texts("32")),
        birth_date=pid.text("7"),
        sex=pid.text("8").upper(),
        birthplace=pid.text(f"11[{_BIRTHPLACE}].9"),
        **_names(pid),
    )
    found = _identity(received, national.status(received.status, pid.text("31")), autorites)
    return replace(found, written_at=_written_at(pid, found.written)) if found.wrong_key else found


def _written_at(pid: Segment, written: Identifier | None) -> int:
    """Asked for a wrong key only, whose place is told (R47)."""
    same = (
        one.number
        for one in pid.repetitions(3)
        if written is not None and (one.text(1), one.text(5).upper()) == (written.value, written.kind)
    )
    return next(same, 1)


def of_document(header: DocumentHeader, status: str) -> Identity:
    """The identity of a raw CDA, which has no PID: `status` is what stands for PID-32 (D2)."""
    received = header.patient.model_copy(update={"status": tuple(filter(None, (status,)))})
    return _identity(received, national.status(received.status), {}, national.is_ins)


def _identity(
    received: Patient,
    status: national.Status,
    autorites: Mapping[str, str],
    is_ins: Callable[[Identifier], bool] = national.is_pid_ins,
) -> Identity:
    written = national.preferred_ins(one for one in received.identifiers if is_ins(one))
    valid = status.validated and written is not None and national.has_valid_key(written.value)
    ins = written.model_copy(update={"authority": national.authority_of(written)}) if written and valid else None
    local = tuple(_resolved(one, autorites) for one in received.identifiers if _may_travel(one))
    effective = received.model_copy(
        update={
            "ins": ins,
            "ipp": _ipp(local),
            "identifiers": ((ins,) if ins else ()) + local,
        }
    )
    return Identity(received, status, written, ins, effective)


def _may_travel(identifier: Identifier) -> bool:
    """Local numbers only: no INS in any disguise, no INS-C, no billing number."""
    authority = national.authority_of(identifier)
    national_number = authority in INS_OIDS or authority in INS_C_OIDS
    return bool(identifier.value) and not national_number and identifier.kind not in (national.INS_KIND, BILLING)


def _resolved(identifier: Identifier, autorites: Mapping[str, str]) -> Identifier:
    """The identifier with the OID of its authority where it is known, and HD-1 alone as its namespace."""
    return identifier.model_copy(
        update={
            "authority": national.resolved(identifier, autorites),
            "namespace": identifier.namespace.partition("&")[0],
        }
    )


def _ipp(local: Iterable[Identifier]) -> Identifier | None:
    """The hospital's number: typed PI, with an OID rather than without; in a CDA (no types) the first one."""
    candidates = [one for one in local if one.kind in (IPP, "")]
    return min(candidates, key=lambda one: not one.authority, default=None)


def _identifiers(pid: Segment) -> Iterable[Identifier]:
    for one in pid.repetitions(3):
        if value := one.text(1):
            authority, namespace = _authority(one)
            yield Identifier(value=value, authority=authority, namespace=namespace, kind=one.text(5).upper())


def _authority(one: Repetition) -> tuple[str, str]:
    """(OID, namespace): HD as `name&number&type` when it holds no OID, so that `autorites` can name it whole."""
    name, number, kind = one.text(4, 1), one.text(4, 2), one.text(4, 3)
    if national.is_oid(number):
        return number, name
    if national.is_oid(name):
        return name, ""
    return "", "&".join((name, number, kind)).rstrip("&")


def _names(pid: Segment) -> dict[str, str]:
    """Birth name and given names of the repetition typed L, else of the first; the used name of D or S."""
    names = pid.repetitions(5)
    if not names:
        return {}
    birth = next((one for one in names if one.text(7).upper() == "L"), names[0])
    used = next((one for one in names if one.text(7).upper() in ("D", "S", "M")), None)
    return {
        "birth_family": birth.text(1),
        "used_family": used.text(1) if used else "",
        "given": birth.text(2),
        "used_given": used.text(2) if used else "",
        "given_names": birth.text(3),
    }
