"""Inputs that were once answered wrongly are answered rightly."""

from __future__ import annotations

from tests.cases import case
from tests.cisis.messages import Codes, check, told

CODES = Codes(JDV_J07={"11502-2", "18748-4"}, JDV_J66={"11502-2", "18748-4"})


def test_R42_the_document_of_a_sister_is_refused() -> None:
    """R42: PID-5.2 differs from the CDA's first given name of birth, the lists are the same."""
    verdict = check(case("34-first-given-differs-same-list.hl7"), CODES)
    assert told(verdict) == [("R42", "207", "PID^1^5", "904")]


def test_R38_a_date_that_is_no_ts_is_refused() -> None:
    """R38: AE 207/906 at the document, before any sink could fail on it."""
    verdict = check(case("20-4-effective.hl7"), CODES)
    assert told(verdict) == [("R38", "207", "OBX^1^5^1^5", "906")]
