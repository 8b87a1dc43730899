"""A journal of an earlier version becomes one of today's, with all that its lines say, while it is in use."""

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

_OF = "(SELECT event_id FROM journal_events e WHERE e.event = x.event)"
#: From today's tables to those of before, which held the same lines.
BACK = (
    *(
        statement
        for name, kind in (("entries", "kind"), ("receipts", "'' AS kind"))
        for statement in (
            f"CREATE TABLE kept AS SELECT line AS digest, {_OF} AS event_id, at, {kind}, body FROM journal_{name} x",  # noqa: S608
            f"DROP TABLE journal_{name}",
            f"ALTER TABLE kept RENAME TO journal_{name}",
        )
    ),
    "CREATE TABLE kept AS SELECT * FROM journal_events",
    "DROP TABLE journal_events",
    "ALTER TABLE kept RENAME TO journal_events",
    "DROP TABLE journal_deliveries",
    "CREATE TABLE journal_deliveries (delivery_id VARCHAR PRIMARY KEY, event_id VARCHAR NOT NULL)",
    "CREATE TABLE journal_identifiers (value VARCHAR, event_id VARCHAR, kind VARCHAR)",
    "DROP TABLE journal_orphans",
    "DROP TABLE journal_terms",
)
OF_VERSION_2 = ("CREATE TABLE journal_terms (event_id VARCHAR, term VARCHAR, at FLOAT)",)


def _as_of(url: str, version: int) -> None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    with engine.begin() as connection:
        for statement in (*BACK, *(OF_VERSION_2 if version == 2 else ())):
            connection.execute(text(statement))
        said = {"version": version}
        connection.execute(text("UPDATE schema_versions SET version = :version WHERE room = 'journal'"), said)
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        yield request.getfixturevalue("postgresql_url")
    else:
        yield f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.mark.parametrize("version", [1, 2])
def test_an_earlier_journal_is_searched_like_a_new_one(url: str, version: int) -> None:
    """It takes new lines at once; step by step those of before are found again, and their stories are the same."""
    journal = Journal(url, SystemClock())
    entries, receipts = whole()
    late = receipt(2, START + 50, ok=False, disposition=Disposition.DEAD_LETTERED, state=State.DEAD, code="MSS-552")
    dead = JournalEntry(event_id="b" * 64, kind="dead", at=START + 61, pipeline="biologie", code="R45")
    journal.write([*entries, received("b" * 64, START + 60), dead], [*receipts, late])
    before = journal.story("MSG0001")
    journal.close()
    _as_of(url, version)

    journal = Journal(url, SystemClock(), upgrade=True)
    try:
        assert journal.old_lines.left()
        journal.write([received("n" * 64, START + 90, control_id="NEW")], [])
        assert len(journal.story("NEW")) == 1
        while journal.old_lines.move():
            pass
        journal.close()
        journal = Journal(url, SystemClock())
        assert not journal.old_lines.left()

        def found(**criteria: str | float) -> str:
            return "".join(one.event.event_id[0] for one in journal.search(Criteria(**criteria)).events)  # type: ignore[arg-type]

        assert journal.story("MSG0001") == before
        assert found(recipient="adam.hoda@x.mssante.fr") == found(recipient="x.mssante.fr") == "e"
        assert found(sender="SIL") == found(feed="sil") == "nbe"
        assert found(code="MSS-552") == found(outcome="delivered") == "e"
        assert found(code="R45") == "b"
        assert found(outcome="failed", pipeline="biologie") == "be"
        assert found(outcome="failed", since=START, until=START + 1) == "e"
        assert found(recipient="x.mssante.fr", outcome="failed") == "e"
        assert journal.story("eeeeeeee") != []
    finally:
        journal.close()
