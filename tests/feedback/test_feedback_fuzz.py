"""Reports damaged and forged at random: read in little time, never an exception, never a proof of what is not true."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.exchange import Delivery
from router.feedback.answers import UNTOLD
from router.feedback.proofs import Proofs
from router.feedback.reports import Handled, Reports
from router.sinks.mssante.settings import FeedbackRules
from tests.feedback.feedback_samples import NOW, SINK, Station, dsn, letter, mdn
from tests.feedback.test_feedback_reports import KO
from tests.sinks.mssante_samples import DOCTOR

STRANGER = "secretariat@test-ci-sis.mssante.fr"
OTHER = "0" * 32
SECONDS_EACH_100_KB = 0.25
"""Of one processor."""
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARKS = (
    b"\r\n",
    b"\n\n",
    b"--B\r\n",
    b"--B--\r\n",
    b"(",
    b")",
    b";",
    b"/",
    b":",
    b"=?utf-8?q?",
    b"<>",
    b"\x00",
    b"\xff",
)
HEADERS = (
    b"Content-Type: multipart/mixed; boundary=B\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b'Content-Type: text/plain; charset="x"\r\n',
    b"Content-Transfer-Encoding: base64\r\n",
    b"Return-Path: <>\r\n",
    b"\r\n \r\n\t",
)
pieces = st.one_of(st.binary(max_size=4), st.sampled_from(MARKS), st.sampled_from(HEADERS))
wounds = st.lists(st.tuples(st.integers(0, 4000), pieces, st.integers(0, 40), st.integers(1, 400)), max_size=6)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = Station(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def sent(station: Station) -> Delivery:
    return station.sent()


def _hurt(raw: bytes, given_: list[tuple[int, bytes, int, int]], *, cut: bool) -> bytes:
    """Pieces put in anywhere, some many times; `cut`: bytes are taken out too."""
    hurt = bytearray(raw)
    for place, piece, length, times in given_:
        at = place % len(hurt)
        hurt[at : at + (length if cut else 0)] = piece * times
    return bytes(hurt)


def _read(station: Station, raw: bytes) -> Handled:
    """What is made of it, in time; nothing is remembered."""
    rules = {SINK: FeedbackRules()}
    reports = Reports(station.correlator(), Proofs(station.ledger), rules, admits=lambda name: name.endswith(".fr"))
    start = time.process_time()
    found = reports.handle(raw, NOW)
    assert time.process_time() - start < SECONDS_EACH_100_KB * (1 + len(raw) / 100_000)
    return found


def _told(found: Handled) -> list[bool]:
    return [one.ok for one in found.receipts if one.code not in UNTOLD]


@fuzz
@given(st.integers(0, 5), wounds)
def test_what_is_not_true_never_becomes_a_proof(
    station: Station, sent: Delivery, which: int, harm: list[tuple[int, bytes, int, int]]
) -> None:
    """Of an unknown mail, of another recipient, from a person, from another reader: whatever is damaged in it."""
    base = (
        dsn(OTHER, "failed", status="5.1.1"),
        dsn(sent.id, recipient=STRANGER),
        dsn(OTHER, recipient=STRANGER, return_path="<x@y.fr>"),
        mdn(OTHER, KO),
        mdn(sent.id, KO, reader=STRANGER, sender=STRANGER),
        letter(From=STRANGER, Subject="[KO Integration][902] x", body="902"),
    )[which]
    assert _told(_read(station, _hurt(base, harm, cut=True))) == []


@fuzz
@given(st.integers(0, 2), wounds)
def test_a_refusal_never_becomes_a_proof(
    station: Station, sent: Delivery, which: int, harm: list[tuple[int, bytes, int, int]]
) -> None:
    """What is put into a true failure makes it unreadable at worst."""
    base = (
        dsn(sent.id, "failed", status="5.1.1", diagnostic="smtp; 550 5.1.1 unknown"),
        mdn(sent.id, f"{KO}/error", error="902^Identifiant^applicationErrorCondition| E^Error^errorSeverity"),
        mdn(sent.id, f"{KO}/Error: 902^Identifiant^messageErrorCondition| E^Error^errorSeverity"),
    )[which]
    assert True not in _told(_read(station, _hurt(base, harm, cut=False)))


@fuzz
@given(st.binary(max_size=400), st.integers(1, 300))
def test_anything_is_read(station: Station, raw: bytes, times: int) -> None:
    """Bytes of no form, also repeated."""
    assert _told(_read(station, raw * times)) == []


@fuzz
@given(
    st.integers(0, 1), st.lists(st.sampled_from(["(x) ", " ", "\t", "\r\n (f) ", "(a (b) c)"]), min_size=1, max_size=4)
)
def test_comments_and_folds_change_nothing(station: Station, sent: Delivery, which: int, blanks: list[str]) -> None:
    """Comments and folding stand where the grammars of RFC 3464 and RFC 8098 allow them."""
    filler = "".join(blanks)
    modes, _, kind = KO.partition(";")
    raw = (
        dsn(sent.id, f"delivered{filler}"),
        mdn(sent.id, f"{filler}{modes}{filler};{filler}{kind.strip()}{filler};"),
    )[which]
    assert _told(_read(station, raw)) == [True]
    assert DOCTOR in raw.decode("latin-1")
