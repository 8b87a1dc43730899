"""No reading of the journal grows with the journal: each statement goes along an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from router.contracts import SystemClock
from router.exchange import ReceiptKind
from router.journal.criteria import Criteria
from router.journal.silence import Asked
from router.journal.store import Journal
from router.journal.tables import DAY
from tests.journal.journal_samples import decided, receipt, received

NOW = 20_000.0 * DAY
ID = "e" * 64
ASKED = Asked(since=NOW - 30 * DAY, within=frozenset({"1", "2"}), limit=100)
READINGS: dict[str, Callable[[Journal], object]] = {
    "explain": lambda journal: journal.story(ID),
    "explain an unknown id": lambda journal: journal.story("no-such-id"),
    "explain the first digits": lambda journal: journal.story("eeeeeeeeee"),
    "search a recipient": lambda journal: journal.search(Criteria(recipient="a@b.mssante.fr")),
    "search a feed": lambda journal: journal.search(Criteria(feed="sil")),
    "search what failed of a sink": lambda journal: journal.search(Criteria(outcome="failed", sink="mssante.chu")),
    "search a code": lambda journal: journal.search(Criteria(code="MSS-552")),
    "search of two structures": lambda journal: journal.search(Criteria(within=frozenset({"1", "2"}), feed="sil")),
    "search nothing": lambda journal: journal.search(Criteria()),
    "counts of a recipient": lambda journal: journal.counts(Criteria(recipient="a@b.mssante.fr")),
    "what ended with a code": lambda journal: journal.ended_with("MSS-552", ASKED),
    "what is silent": lambda journal: journal.silent("MSS-LATE", (), ASKED),
    "events of deliveries": lambda journal: journal.of_deliveries(["d" * 32, "x"], NOW - 30 * DAY, NOW),
    "MSH-10": lambda journal: journal.control_ids([ID, "x"]),
    "owners": lambda journal: journal.owners([ID, "x"]),
    "activity of a feed": lambda journal: journal.activity("sil", NOW - DAY),
    "received by feed": lambda journal: journal.received(NOW - DAY, NOW),
    "the oldest": lambda journal: journal.oldest(),
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
    for n in range(40):
        id_ = ID if n == 0 else f"{n:064x}"
        at = NOW - n * DAY
        late = receipt(2, at + 3, ReceiptKind.DSN, event_id=id_, ok=False, code="MSS-LATE")
        journal.write([received(id_, at), decided(id_, at + 1)], [receipt(2, at + 2, event_id=id_), late])
    yield journal
    journal.close()


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_goes_along_an_index(journal: Journal, reading: str) -> None:
    """No table and no index of the journal is read from one end to the other."""
    asked: list[tuple[str, Any]] = []

    def heard(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = journal._database.engine
    event.listen(engine, "before_cursor_execute", heard)
    READINGS[reading](journal)
    event.remove(engine, "before_cursor_execute", heard)
    assert asked
    with journal._database.read() as connection:
        connection.exec_driver_sql(
            "CREATE TEMPORARY TABLE IF NOT EXISTS journal_these (day INT, at FLOAT, event BIGINT)"
        )
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[-1] for row in plan if "journal_these" not in row[-1] and "journal_orphans" not in row[-1]]
            assert not [step for step in steps if step.startswith("SCAN journal_")], (statement, steps)
