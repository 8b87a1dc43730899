"""Inputs that were once answered wrongly are answered rightly."""

from __future__ import annotations

from typing import Any

import pytest

from router.cisis import profile
from router.cisis.settings import ProfileRules
from tests.cases import case
from tests.cisis.messages import DOCTOR, Codes, cda, check, deletion, oru, told, warned

CODES = Codes(JDV_J07={"11502-2", "18748-4"}, JDV_J66={"11502-2", "18748-4"})


def test_R42_the_document_of_a_sister_is_refused() -> None:
    """R42: PID-5.2 differs from the CDA's first given name of birth, the lists are the same."""
    verdict = check(case("34-first-given-differs-same-list.hl7"), CODES)
    assert told(verdict) == [("R42", "207", "PID^1^5", "904")]


def test_R38_a_date_that_is_no_ts_is_refused() -> None:
    """R38: AE 207/906 at the document, before any sink could fail on it."""
    verdict = check(case("20-4-effective.hl7"), CODES)
    assert told(verdict) == [("R38", "207", "OBX^1^5^1^5", "906")]


SECOND = (
    b'<recordTarget><patientRole><id root="1.2.250.1.213.1.4.10" extension="177022A03220829"/>'
    b"<patient><name><family>AUTRE</family></name></patient></patientRole></recordTarget><author>"
)


def two_patients(**changes: Any) -> bytes:
    """A CDA with a second recordTarget: another patient."""
    return cda(**changes).replace(b"<author>", SECOND, 1)


def test_R39_a_document_is_one_patients() -> None:
    """R39: a second recordTarget is AE 207/906 at its OBX; a deletion is only warned."""
    verdict = check(oru(two_patients()))
    assert told(verdict) == [("R39", "207", "OBX^1^5^1^5", "906")]
    assert "plusieurs patients" in verdict.faults[0].text
    second = oru(cda(level=1), two_patients(level=3, uid="1.2.250.1.999.7.82"))
    assert told(check(second)) == [("R39", "207", "OBX^2^5^1^5", "906")]
    gone = check(deletion(two_patients(code="18748-4")))
    assert gone.ack_code == "AA" and "R39" in warned(gone)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            b"</patientRole></recordTarget>",
            b"</patientRole><patientRole><id root='1.2.3'/></patientRole></recordTarget>",
        ),
        (b"</patient></patientRole>", b"</patient><patient><name/></patient></patientRole>"),
    ],
    ids=["role", "patient"],
)
def test_R39_a_patient_hides_nowhere_in_a_record_target(old: bytes, new: bytes) -> None:
    """R39: a second patientRole, or a second patient in the role, is a second patient."""
    assert ("R39", "207", "OBX^1^5^1^5", "906") in told(check(oru(cda().replace(old, new))))


def test_R39_a_raw_document_is_one_patients_too() -> None:
    """R39: AE 207/906 at the document."""
    asked = {"request-id": "r1", "mssante-ps": DOCTOR, "ins-status": "VALI"}
    verdict = profile.check_cda(two_patients(), asked, ProfileRules(environment="qualification"), CODES)
    assert told(verdict) == [("R39", "207", "CDA", "906")]


def test_R01_a_line_feed_in_a_note_is_told_as_such() -> None:
    """R01: AE 100 that names the segment and the line feed; nobody speaks of base64."""
    verdict = check(case("31-lf-in-nte.hl7"), CODES)
    assert told(verdict) == [("R01", "100", "NTE^1", "")]
    assert "LF" in verdict.faults[0].text and "base64" not in verdict.faults[0].text


def test_R01_a_nul_is_in_no_text_that_leaves() -> None:
    """R01: the recipient's name has none, and a warning says so."""
    verdict = check(case("02-hex-nul.hl7"), CODES)
    assert verdict.ack_code == "AA" and verdict.request is not None
    assert "R01" in warned(verdict)
    assert "\\u0000" not in verdict.request.model_dump_json()
    assert [one.person.family for one in verdict.request.recipients if one.person] == ["DURAND"]


def test_R34_line_ends_of_three_digits_are_blanks() -> None:
    """R34: `\\X00D\\` and `\\X00A\\` inside the base64; the document is the one that was sent clean."""
    verdict = check(case("17-base64-X00D.hl7"), CODES)
    assert verdict.ack_code == "AA"
    assert verdict.documents[0].raw.rstrip().endswith(b"</ClinicalDocument>")


def test_R35_a_document_in_utf_16_is_named_as_such() -> None:
    """R35: AE 207/906 whose sentence says UTF-16."""
    verdict = check(case("23-cda-utf16.hl7"), CODES)
    assert told(verdict) == [("R35", "207", "OBX^1^5^1^5", "906")] and "UTF-16" in verdict.faults[0].text
