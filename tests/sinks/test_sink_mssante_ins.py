"""X-MSS-INS: the letter says what the transmitted documents hold (decisions D13; mssante §1.1)."""

from __future__ import annotations

import email
from pathlib import Path

import pytest

from router.simulators.mssante.inspect import inspect
from tests.cda.cda_samples import cda, n3_body
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, delivery, order, patient
from tests.sinks.mssante_server import Script
from tests.sinks.test_sink_mssante import send

NO_INS = ('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', "")


@pytest.mark.parametrize(
    ("change", "qualified", "expected"),
    [
        ((), True, "O"),
        ((NO_INS,), True, "N"),
        ((NO_INS,), False, "N"),
        ((("<county>63220</county>", ""),), True, "N"),
        ((('<birthTime value="19790328"/>', '<birthTime value="1979"/>'),), True, "N"),
        ((('<given qualifier="BR">DOMINIQUE</given><given>DOMINIQUE ANNE</given>', "<given/>"),), True, "N"),
        ((('<family qualifier="BR">PAT-TROIS</family>', ""),), True, "N"),
        ((('<administrativeGenderCode code="F"/>', ""),), True, "N"),
        ((("279035121518989", "277076322082910"),), True, "N"),
        ((('root="1.2.250.1.213.1.4.10"', 'root="1.2.250.1.213.1.4.11"'),), True, "N"),
    ],
    ids=["all", "no INS", "unqualified", "place", "year", "given", "family", "sex", "other number", "other OID"],
)
def test_x_mss_ins_says_what_the_document_holds(
    tmp_path: Path, change: tuple[tuple[str, str], ...], qualified: bool, expected: str
) -> None:
    """D13: O for matricule, OID and every trait in the CDA with PID-32 VALI; else N, and an operator agrees."""
    document = cda(change=change)
    script = Script()
    given = order((document,), patient=patient(qualified=qualified))
    send(script, tmp_path, delivery(given, (document,)), nil="NIL-1")
    assert email.message_from_bytes(script.mails[0])["X-MSS-INS"] == expected
    found = inspect(script.mails[0], MAILBOX, DOCTOR).findings
    assert [one for one in found if one.place in ("X-MSS-INS", "CDA")] == []


def test_x_mss_ins_speaks_for_every_document(tmp_path: Path) -> None:
    """D13: a pair of which one document lacks a trait is N."""
    n1 = cda()
    n3 = cda(n3_body(), change=(("1.2.250.1.999.1.7", "1.2.250.1.999.1.8"), ("<county>63220</county>", "")))
    script = Script()
    send(script, tmp_path, delivery(order((n1, n3)), (n1, n3)))
    assert email.message_from_bytes(script.mails[0])["X-MSS-INS"] == "N"
