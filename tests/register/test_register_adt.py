"""Reading the ADT messages of PAM-FR (D8, E29, E37)."""

from __future__ import annotations

import pytest

from router.hl7.message import Message
from router.register import read
from router.register.adt import EVENTS
from tests.examples import example
from tests.register.register_samples import INS_1, TEST_OID, adt, ins, ipp, zfa


def faults(data: bytes) -> list[tuple[str, str]]:
    """(ERR-3, ERR-2) of each fault."""
    return [(fault.code, fault.location) for fault in read(Message.parse(data)).faults]


@pytest.mark.parametrize("event", [name for name, what in EVENTS.items() if not what.prior])
def test_d8_every_event_of_the_profile_is_read(event: str) -> None:
    """D8: every event, ZFA included, gives status, opposition, consent and the state of the DMP."""
    found = read(Message.parse(adt(event, ipp("000003"), ins(INS_1), zfa=zfa("IO", consent="INC"))))
    assert found.faults == ()
    assert (found.event, found.kind, found.recorded) == (event, "state", "20260105101500")
    assert [one.value for one in found.patient.ipps] == ["000003"]
    assert [(one.value, one.authority) for one in found.patient.ins] == [(INS_1, TEST_OID)]
    assert found.status is not None and found.status.validated
    assert (found.opposition, found.consent, found.dmp) == ("IO", "INC", "ACTIF")
    assert found.opposition_at == "20260105"


def test_d8_a_local_authority_is_kept_by_its_name() -> None:
    """An authority that is no OID is known by HD-1, as everywhere else."""
    [found] = read(Message.parse(adt("A31", ipp("000003")))).patient.ipps
    assert (found.authority, found.namespace, found.kind) == ("", "CHU-X", "PI")


def test_d3_an_authority_of_the_table_is_known_by_its_oid_too() -> None:
    """D3: with the feed's table an IPP is found by OID and by name."""
    found = read(Message.parse(adt("A31", ipp("3"))), {"CHU-X&000897406&N": "1.2.250.1.999.9"}).patient.ipps
    assert [(one.authority, one.namespace, one.value) for one in found] == [
        ("1.2.250.1.999.9", "CHU-X", "3"),
        ("", "CHU-X", "3"),
    ]


def test_e30_the_billing_nir_is_neither_ipp_nor_ins() -> None:
    """E30: a CX typed NH identifies nobody in the register."""
    found = read(Message.parse(adt("A31", ipp("3"), f"{INS_1}^^^&1.2.250.1.213.1.4.8&ISO^NH"))).patient
    assert [one.value for one in found.ipps] == ["3"]
    assert found.ins == ()


@pytest.mark.parametrize(
    ("status", "fictitious", "validated"),
    [
        ("VALI", "N", True),
        ("PROV", "N", False),
        ("VALI~FICT", "N", False),
        ("VALI", "Y", False),
        ("VALI~HOMA", "", True),
    ],
)
def test_e29_the_status_is_read_with_its_attributes(status: str, fictitious: str, validated: bool) -> None:
    """E29: PID-32 with its attributes and PID-31 say whether the identity is validated."""
    found = read(Message.parse(adt("A31", ipp("3"), status=status, fictitious=fictitious)))
    assert found.status is not None and found.status.validated is validated


def test_e29_an_absent_status_says_nothing_and_is_warned_of() -> None:
    """E29: without PID-32 what is known stays, with a warning."""
    found = read(Message.parse(adt("A03", ipp("3"), status="", fictitious="")))
    assert found.status is None
    assert any("PID-32" in warning for warning in found.warnings)


def test_d8_a08_is_tolerated() -> None:
    """D8: A08 is not of PAM-FR; it is read as an update, with a warning."""
    found = read(Message.parse(adt("A08", ipp("3"))))
    assert found.faults == ()
    assert any("A08" in warning for warning in found.warnings)


def test_d8_an_a40_with_several_pairs_merges_each() -> None:
    """D8: each MRG belongs to the PID before it."""
    second = f"PID|1||{ipp('C')}||X\rMRG|{ipp('D')}"
    found = read(Message.parse(adt("A40", ipp("A"), mrg=ipp("B"), extra=second)))
    assert found.faults == ()
    pairs = [(prior.stays.ipps[0].value, prior.former.ipps[0].value) for prior in found.priors]
    assert (found.kind, pairs) == ("merge", [("A", "B"), ("C", "D")])


def test_d8_an_a44_names_the_patient_who_loses_the_file() -> None:
    """D8: MRG-1 of an A44 is the patient the file is taken from."""
    found = read(Message.parse(adt("A44", ipp("A"), mrg=ipp("B"))))
    assert (found.kind, found.priors[0].former.ipps[0].value) == ("move", "B")


def test_d8_an_a47_with_an_empty_pid_3_withdraws_the_ins() -> None:
    """D8: PID-3 may be empty in an A47 alone, and then MRG-1 is withdrawn."""
    found = read(Message.parse(adt("A47", mrg=ins(INS_1))))
    assert found.faults == ()
    assert found.kind == "identifiers" and found.priors[0].former.ins and not found.priors[0].stays.ins
    replaced = read(Message.parse(adt("A47", ins(INS_1), mrg=ins("277076322082910"))))
    assert replaced.priors[0].stays.ins


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (adt("A09", ipp("3")), [("201", "MSH^1^9^1^2")]),
        (adt("A01", ipp("3"), version="2.3"), [("203", "MSH^1^12")]),
        (adt("A01"), [("101", "PID^1^3")]),
        (adt("A01", f"{INS_1}^^^&1.2.250.1.213.1.4.8&ISO^NH"), [("101", "PID^1^3")]),
        (adt("A40", ipp("3")), [("100", "MRG^1")]),
        (adt("A44", ipp("3"), mrg=""), [("101", "MRG^1^1")]),
        (adt("A47", mrg=""), [("101", "MRG^1^1")]),
        (adt("A01", ipp("3"), zfa=zfa("OUI")), [("103", "ZFA^1^9")]),
        (adt("A01", ipp("3"), zfa=zfa(dmp="OUVERT")), [("103", "ZFA^1^1")]),
        (adt("A01", ipp("3"), zfa=zfa(consent="X")), [("103", "ZFA^1^11")]),
        (adt("A01", ipp("3"), ins("12345")), [("102", "PID^1^3")]),
        (adt("A01", ipp("3"), extra=f"PID|2||{ipp('4')}"), [("198", "PID^2")]),
    ],
)
def test_d8_what_is_wrong_is_told_field_by_field(data: bytes, expected: list[tuple[str, str]]) -> None:
    """D8: each fault has its ERR-3 and ERR-2; the texts hold no value."""
    assert faults(data) == expected
    assert all(INS_1 not in fault.text for fault in read(Message.parse(data)).faults)


def test_d8_every_fault_is_told_at_once() -> None:
    """D8: several faults of one message are reported together."""
    data = adt("A02", ipp("3"), version="2.3").replace(b"ADT^A02", b"ORU^A02")
    assert faults(data) == [("200", "MSH^1^9^1^1"), ("203", "MSH^1^12")]


def test_d8_a_message_without_pid_is_refused() -> None:
    """D8: an ADT without PID speaks of nobody."""
    data = b"\r".join(line for line in adt("A01", ipp("3")).split(b"\r") if not line.startswith(b"PID"))
    assert faults(data) == [("100", "PID^1")]


def test_a_change_prints_no_identity() -> None:
    """The repr of a change shows no identifier."""
    found = read(Message.parse(adt("A40", ipp("SECRET-A"), ins(INS_1), mrg=ipp("SECRET-B"))))
    assert "SECRET" not in repr(found) and INS_1 not in repr(found)


@pytest.mark.parametrize(
    ("name", "opposition", "consent"),
    [
        ("ConsentementConsultation_NonOppositionAlimentation.er7", "INO", "IC"),
        ("NonConsentementConsultation_NonOppositionAlimentation.er7", "INO", "INC"),
        ("NonConsentementConsultation_OppositionAlimentation.er7", "IO", "INC"),
        ("NonRecueillieConsentementConsultation_NonOppositionAlimentation.er7", "INO", "NA"),
        ("NonRecueillieConsentementConsultation_NonRecueillieOppositionAlimentation.er7", "NA", "NA"),
        ("a01-admission.hl7", "INO", "IC"),
        ("a03-sortie.hl7", "", ""),
    ],
)
def test_d8_the_national_examples_are_read(name: str, opposition: str, consent: str) -> None:
    """D8: the official ADT messages (MSH-12 `2.5^FRA^2.11`) are accepted and understood."""
    found = read(Message.parse(example(f"adt/{name}")))
    assert found.faults == ()
    assert (found.opposition, found.consent) == (opposition, consent)
    assert found.status is not None and found.status.validated
    assert [one.value for one in found.patient.ins] == [INS_1]
    assert [one.value for one in found.patient.ipps] == ["000003"]
