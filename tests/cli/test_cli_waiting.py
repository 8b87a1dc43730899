"""`replay --wait` follows an event through the pipelines: what was decided since the order, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.cli.waiting import Became, wait_for_events
from router.contracts import SystemClock
from router.exchange import Disposition, JournalEntry, Receipt, ReceiptKind, State
from router.journal.store import Journal

ORDERED = 1000.0
EVENT, DELIVERY = "e" * 32, "d" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    yield opened
    opened.close()


def entry(kind: str, at: float, **facts: Any) -> JournalEntry:
    return JournalEntry(event_id=EVENT, kind=kind, at=at, feed="sil", pipeline="p", **facts)


def made(at: float) -> JournalEntry:
    return entry("decided", at, deliveries=((DELIVERY, "dmp.chu", "DMP"),))


def receipt(at: float, disposition: Disposition, code: str = "") -> Receipt:
    states = {Disposition.DELIVERED: State.DONE, Disposition.DEAD_LETTERED: State.DEAD}
    return Receipt(
        delivery_id=DELIVERY, event_id=EVENT, sink="dmp.chu", kind=ReceiptKind.DELIVERY, label="DMP",
        ok=disposition is Disposition.DELIVERED, at=at, disposition=disposition, state=states[disposition], code=code,
    )  # fmt: skip


def came(journal: Journal) -> list[Became]:
    return wait_for_events(journal, [EVENT], ORDERED, 0.0)[EVENT]


def test_before_anything_is_decided_the_order_was_not_taken(journal: Journal) -> None:
    """What was decided, or failed, before the order does not count."""
    assert [one.state for one in came(journal)] == [""]
    journal.write([entry("received", 1.0), entry("dead", 2.0, code="BUG-KeyError")], [])
    assert [one.state for one in came(journal)] == [""]


def test_it_ends_as_its_deliveries_do(journal: Journal) -> None:
    journal.write([entry("received", 1.0), made(ORDERED + 1)], [])
    assert [(one.sink, one.state) for one in came(journal)] == [("dmp.chu", State.WAITING)]
    journal.write([], [receipt(ORDERED + 2, Disposition.DELIVERED)])
    (one,) = came(journal)
    assert one.good and one.label == "DMP"


def test_an_old_dead_letter_of_what_is_decided_again_is_no_end(journal: Journal) -> None:
    journal.write([entry("received", 1.0), made(2.0)], [receipt(3.0, Disposition.DEAD_LETTERED, "MSS-510")])
    journal.write([made(ORDERED + 1)], [])
    assert [one.state for one in came(journal)] == [State.WAITING]
    journal.write([], [receipt(ORDERED + 2, Disposition.DEAD_LETTERED, "MSS-510")])
    assert [(one.state, one.code) for one in came(journal)] == [(State.DEAD, "MSS-510")]


@pytest.mark.parametrize(("kind", "state"), [("filtered", "filtered"), ("dead", State.DEAD)])
def test_a_pipeline_that_makes_nothing_of_it_is_an_end(journal: Journal, kind: str, state: str) -> None:
    journal.write([entry("received", 1.0), entry(kind, ORDERED + 1, code="KEEP", text="keep: x")], [])
    (one,) = came(journal)
    assert (one.sink, one.state, one.code, one.text, one.good) == ("pipeline", state, "KEEP", "keep: x", False)


def test_it_waits_only_so_long(journal: Journal) -> None:
    journal.write([entry("received", 1.0), made(ORDERED + 1)], [])
    assert wait_for_events(journal, [EVENT], ORDERED, 0.3)[EVENT][0].state == State.WAITING
