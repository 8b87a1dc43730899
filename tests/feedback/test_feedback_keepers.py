"""Who was listed as keeping an earlier version, and never got it: the line is taken back (decisions D19)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from router.contracts import SystemClock
from router.exchange import Delivery, Disposition, Receipt, ReceiptKind, State
from router.feedback.answers import DELAYED
from router.feedback.keepers import SURE, Keepers
from router.journal.criteria import Criteria
from router.journal.store import Journal
from router.sinks.mssante.settings import AWAITS, KEEPS, NEVER_HAD
from tests.feedback.feedback_samples import NOW, Station, receipt
from tests.feedback.test_feedback_worker import Bench, put
from tests.journal.journal_samples import received

EVENT = "f" * 64


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.close()


def version(station: Station, number: int, state: State, *, unknown: bool = False, at: float = NOW) -> Delivery:
    made = station.sent(event_id=f"{number:064d}")
    row = station.ledger.get([made.id])[made.id]
    station.ledger.save([replace(row, state=state, outcome_unknown=unknown, updated=at)])
    return made


def line(*versions: Delivery) -> Receipt:
    """He is listed: these mails brought him a version, or will."""
    return replace(
        receipt(versions[0], ok=False, code=KEEPS, disposition=Disposition.FILTERED),
        delivery_id="0" * 32,
        event_id=EVENT,
        at=NOW - 100,
        evidence={AWAITS: " ".join(one.id for one in versions)},
    )


def corrections(station: Station, *given: Receipt) -> list[Receipt]:
    keepers = Keepers(station.ledger)
    for one in given:
        keepers.note(one)
    return list(keepers.taken_back(NOW))


@pytest.mark.parametrize(
    ("state", "unknown", "back"),
    [
        (State.DEAD, False, True),
        (State.SUPERSEDED, False, True),
        (State.DEAD, True, False),
        (State.SUPERSEDED, True, False),
        (State.WAITING, False, False),
        (State.DONE, False, False),
    ],
)
def test_a_line_is_taken_back_when_the_mail_never_left(
    station: Station, state: State, unknown: bool, back: bool
) -> None:
    """A refusal or a supersession says so; an unknown outcome, a wait and a success do not."""
    found = corrections(station, line(version(station, 1, state, unknown=unknown)))
    assert [(one.delivery_id, one.code, one.at) for one in found] == ([("0" * 32, NEVER_HAD, NOW)] if back else [])


def test_who_has_an_older_version_stays_listed(station: Station) -> None:
    """The last version was refused, but the one before was not."""
    old, refused = version(station, 1, State.DONE), version(station, 2, State.DEAD)
    assert corrections(station, line(old, refused)) == []


def test_a_mail_that_bounced_was_not_received(station: Station) -> None:
    """A DSN says so after the submission; a delay says nothing."""
    sent = version(station, 1, State.DONE)
    bounce = receipt(sent, kind=ReceiptKind.DSN, ok=False, code="MSS-550", disposition=None)
    assert corrections(station, line(sent), replace(bounce, code=DELAYED)) == []
    assert [one.code for one in corrections(station, line(sent), bounce)] == [NEVER_HAD]


def test_a_line_that_nothing_will_change_is_forgotten(station: Station) -> None:
    """The mail left long ago and no report said otherwise: a later one is not waited for."""
    sent = version(station, 1, State.DONE, at=NOW - SURE - 1)
    keepers = Keepers(station.ledger)
    keepers.note(line(sent))
    assert keepers.taken_back(NOW) == []
    assert not keepers.note(receipt(sent, kind=ReceiptKind.DSN, ok=False, code="MSS-550", disposition=None))


def test_the_worker_takes_a_line_back_once_also_after_a_restart(station: Station) -> None:
    """The refusal comes as a receipt; a worker that was started since knows the line from the bus."""
    waiting = version(station, 1, State.WAITING)
    put(station, line(waiting))
    first = Bench(station)
    first.work()
    first.stop()
    again = Bench(station)
    again.work()
    row = station.ledger.get([waiting.id])[waiting.id]
    station.ledger.save([replace(row, state=State.DEAD, updated=NOW)])
    put(station, receipt(waiting, ok=False, code="MSS-550", disposition=Disposition.DEAD_LETTERED))
    again.work()
    again.stop()
    assert [one.code for one in again.receipts() if one.delivery_id == "0" * 32] == [KEEPS, NEVER_HAD]


def test_a_search_by_code_finds_the_line_no_more(station: Station, tmp_path: Path) -> None:
    """The work-list asks the journal by this code: what was taken back stands there under another one."""
    listed = line(version(station, 1, State.DEAD))
    (back,) = corrections(station, listed)
    with closing(Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())) as journal:
        journal.write([received(EVENT, NOW - 200)], [listed])
        assert len(journal.search(Criteria(code=KEEPS)).events) == 1
        journal.write([], [back])
        assert journal.search(Criteria(code=KEEPS)).events == ()
        assert len(journal.search(Criteria(code=NEVER_HAD)).events) == 1
