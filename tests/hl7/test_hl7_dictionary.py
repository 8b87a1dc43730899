"""The dictionary: what HL7 itself says of segments, types and tables, compiled from hl7apy."""

from __future__ import annotations

import pytest

from router.hl7.dictionary import check, dictionary
from router.hl7.message import Message
from tests.examples import example


def test_fields_of_a_segment() -> None:
    """PID-3 is a required, repeatable CX; an unknown segment has no fields."""
    rule = dictionary("2.5").fields("PID")[2]
    assert (rule.number, rule.datatype, rule.required, rule.repeatable) == (3, "CX", True, True)
    assert dictionary("2.5").fields("PRT") == () == dictionary("2.6").fields("ZFA")


def test_structures_and_tables() -> None:
    """The two structures of the volet, and a table."""
    oru, mdm = dictionary("2.5").structure("ORU_R01"), dictionary("2.6").structure("MDM_T02")
    assert oru.required == ("MSH", "OBR") and "PID" in oru.known
    assert mdm.required == ("MSH", "EVN", "PID", "PV1", "TXA", "OBX")
    assert dictionary("2.5").table(103) == {"D", "P", "T"}


def test_unknown_versions_and_structures() -> None:
    """What HL7 never published is a LookupError."""
    with pytest.raises(LookupError):
        dictionary("9.9")
    with pytest.raises(LookupError):
        dictionary("2.5").structure("ZAM_Z01")


def test_check_finds_missing_and_malformed() -> None:
    """A missing segment, a missing field and a date that is none are told with their place."""
    data = b"MSH|^~\\&|A|B|C|D|hier||ORU^R01^ORU_R01|1|P|2.5\rPID|||1||||12/03/1970\r"
    faults = {(fault.code, fault.location) for fault in check(Message.parse(data), "2.5", "ORU_R01")}
    assert {("100", "OBR"), ("102", "MSH^1^7^1^1"), ("101", "PID^1^5"), ("102", "PID^1^7^1^1")} == faults


def test_check_tolerates_the_national_examples() -> None:
    """PRT and extra components are never wrong; dates of the official example are well-formed."""
    faults = check(Message.parse(example("mdm-init-n1.hl7")), "2.6", "MDM_T02")
    assert not [fault for fault in faults if fault.code in ("100", "102")]
