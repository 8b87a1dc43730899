"""Hostile input costs what its size costs: nothing in the intake is quadratic, nothing is cut into millions of pieces.

What is quadratic doesn't end within a test's time-out here; memory is measured as Python's own allocations, in
times the message's size (the message itself not included).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from router.cisis.findings import Verdict
from router.hl7.ack import MAX_ERRORS
from tests.cisis.messages import RCT_PATIENT, SB, asked, cda, check, edit, oru

PIECES = 2_000_000
LINES = 99_000


def measured(data: bytes) -> tuple[Verdict, float]:
    """The verdict, and the peak of what reading and checking allocated, in sizes of the message."""
    tracemalloc.start()
    try:
        verdict = check(data)
        return verdict, tracemalloc.get_traced_memory()[1] / len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("separator", ["|", "^", "~", "&", "A~", "\\E\\"])
@pytest.mark.parametrize("place", ["PID-3", "PID-5", "PRT[1]-5", "MSH-21", "OBX[2]-5", "OBX[2]-3"])
def test_millions_of_separators_are_never_cut(place: str, separator: str) -> None:
    """A segment of 2 MB of separators is refused, or read, at less than three times its size."""
    verdict, memory = measured(edit(oru(), {place: separator * (PIECES // len(separator))}))
    assert (verdict.ack_code, memory < 3) == ("AE", True)


def test_separators_inside_the_document_are_refused_in_place() -> None:
    """OBX-5 of components, and of a million repetitions: R33, R34 or R35, without a list of them."""
    for value in ("^" * PIECES, "QUJD~" * (PIECES // 5), "~" * PIECES):
        verdict, memory = measured(edit(oru(), {"OBX[1]-5": f"^TEXT^XML^Base64^{value}"}))
        assert verdict.ack_code == "AE"
        assert memory < 6


@pytest.mark.parametrize("line", ["OBX|1|ST|X", "OBX|1|CE|DESTDMP", "PRT||UC||RCT", "NTE|1|||FIN", "ZZZ|1", "PID|1"])
def test_a_hundred_thousand_segments_are_refused_at_once(line: str) -> None:
    """R01, before one of them is read: the time is that of finding the line ends."""
    verdict = check(oru() + f"{line}\r".encode() * LINES)
    assert [one.rule for one in verdict.faults] == ["R01"]


def test_of_one_rule_an_ack_tells_twenty_faults_and_warnings() -> None:
    """Thousands of the same fault: as many as an ACK tells, and no quadratic search among them."""
    verdict = check(oru() + b"PRT||UC||RCT\r" * 9_000, most_recipients=10_000)
    assert len(verdict.faults) == MAX_ERRORS
    unknown = b"".join(b"OBX|1|ST|X%d\r" % number for number in range(9_000))
    verdict = check(oru() + unknown)
    assert verdict.ack_code == "AA" and sum(one.rule == "R74" for one in verdict.warnings) == MAX_ERRORS


def test_thousands_of_recipients_take_linear_time() -> None:
    """Nine thousand recipients with addresses of their own are read and admitted."""
    parts = tuple(f"PRT||UC||RCT^^p|||||||||||^^X.400^a{number}@b.mssante.fr" for number in range(9_000))
    verdict = check(asked(oru(parts=(SB, RCT_PATIENT, *parts)), DESTMSSANTEPAT="N"), most_recipients=10_000)
    assert verdict.request is not None and len(verdict.request.recipients) == 9_000


@pytest.mark.parametrize(
    "bend",
    [
        lambda: cda().replace(b"<title>", b"<author/>" * 300_000 + b"<title>"),
        lambda: cda().replace(b"<title>", b"<title x='%b'>" % (b"a" * 3_000_000)),
        lambda: cda().replace(b"<title>", b"<title>" + b"a " * 1_500_000),
        lambda: cda().replace(b"<title>", b"<?a b?>" * 400_000 + b"<title>"),
        lambda: cda(ids=tuple(("1.2.3", f"A{number}") for number in range(60_000))),
        lambda: b"<ClinicalDocument xmlns='urn:hl7-org:v3'>" + b"<a>" * 1_000_000,
        lambda: b"<ClinicalDocument xmlns='urn:hl7-org:v3'>" + b"<a/>" * 700_000 + b"</ClinicalDocument>",
    ],
    ids=["elements", "attribute", "text", "instructions", "identifiers", "depth", "no body"],
)
def test_a_monstrous_cda_header_is_refused_before_its_tree_is_built(bend: Callable[[], bytes]) -> None:
    """R35 at the document: a header of 3 MB is nobody's."""
    assert {one.rule for one in check(oru(bend())).faults} == {"R35"}


def test_bytes_that_are_no_text_are_refused() -> None:
    """NUL bytes in the document, invalid UTF-8 in the message: R35 and R10, whatever stands around them."""
    assert [one.rule for one in check(oru(cda().replace(b"<title>", b"<title>\x00"))).faults] == ["R35"]
    assert [one.rule for one in check(oru().replace(b"labo", b"\xff\xfe\x00")).faults] == ["R10"]
    assert check(oru().replace(b"labo", b"la\x00bo")).ack_code == "AA"
