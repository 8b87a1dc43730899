"""A journal of version 1 becomes one of today's, with all that its lines say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from router.contracts import SystemClock
from router.exchange import Disposition, JournalEntry, State
from router.journal.criteria import Criteria
from router.journal.store import Journal
from tests.journal.journal_samples import START, receipt, received, whole
from tests.services import postgresql_url  # noqa: F401

#: From today's tables to those of version 1, which held the same lines.
BACK = (
    "DROP TABLE journal_terms",
    "DROP INDEX journal_deliveries_outcome",
    "DROP INDEX journal_deliveries_code",
    "DROP INDEX IF EXISTS journal_events_beginning",
    *(
        f"ALTER TABLE journal_events DROP COLUMN {name}"
        for name in ("document_type", "structure", "level", "qualified")
    ),
    "ALTER TABLE journal_deliveries DROP COLUMN received",
    "CREATE INDEX journal_deliveries_disposition ON journal_deliveries (disposition, sink, at)",
    "UPDATE schema_versions SET version = 1 WHERE room = 'journal'",
)


def _as_of_version_1(url: str) -> None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    with engine.begin() as connection:
        for statement in BACK:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        yield request.getfixturevalue("postgresql_url")
    else:
        yield f"sqlite:///{tmp_path / 'journal.db'}"


def test_a_journal_of_version_1_is_searched_like_a_new_one(url: str) -> None:
    """Addresses, senders, pipelines, codes and outcomes of before are found, in their period; stories are the same."""
    journal = Journal(url, SystemClock())
    entries, receipts = whole()
    late = receipt(2, START + 50, ok=False, disposition=Disposition.DEAD_LETTERED, state=State.DEAD, code="MSS-552")
    dead = JournalEntry(event_id="b" * 64, kind="dead", at=START + 61, pipeline="biologie", code="R45")
    journal.write([*entries, received("b" * 64, START + 60), dead], [*receipts, late])
    before = journal.story("MSG0001")
    journal.close()
    _as_of_version_1(url)

    journal = Journal(url, SystemClock(), upgrade=True)
    try:

        def found(**criteria: str | float) -> str:
            return "".join(one.event.event_id[0] for one in journal.search(Criteria(**criteria)).events)  # type: ignore[arg-type]

        assert journal.story("MSG0001") == before
        assert found(recipient="adam.hoda@x.mssante.fr") == found(recipient="x.mssante.fr") == "e"
        assert found(sender="SIL") == found(feed="sil") == "be"
        assert found(code="MSS-552") == found(outcome="delivered") == "e"
        assert found(code="R45") == "b"
        assert found(outcome="failed", pipeline="biologie") == "be"
        assert found(outcome="failed", since=START, until=START + 1) == "e"
        assert found(recipient="x.mssante.fr", outcome="failed") == "e"
        assert journal.story("eeeeeeee") != []
    finally:
        journal.close()
