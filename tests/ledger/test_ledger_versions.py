"""A ledger that an earlier version wrote is opened by this one, and says the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from router.exchange import State
from router.ledger.store import SqlLedger
from tests.services import postgresql_url  # noqa: F401

HERE = Path(__file__).parent


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlLedger]:
    script = (HERE / f"version_3.{request.param}.sql").read_text()
    if request.param == "sqlite":
        connection = sqlite3.connect(tmp_path / "ledger.db")
        connection.executescript(script)
        connection.close()
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        url = request.getfixturevalue("postgresql_url")
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            server.execute(script)
    SqlLedger(url, upgrade=True).close()
    ledger = SqlLedger(url)  # what was migrated opens like any other
    yield ledger
    ledger.close()


def test_the_engines_notes_become_fields(ledger: SqlLedger) -> None:
    """Waits, outages, unknown outcomes and obeyed commands of version 3 are where this version looks for them."""
    rows = ledger.get(["waiting", "unknown", "begun", "dead", "superseded", "done", "deposit"])
    waiting, begun, dead = rows["waiting"], rows["begun"], rows["dead"]
    assert (waiting.waited, waiting.outages, waiting.last_try) == (12.5, 2, 1700000100.25)
    assert begun.commands == ("out.mssante.chu/0/9@1700000050.000", "out.mssante.chu/0/12@1700000051.500")
    assert {name for name, row in rows.items() if row.outcome_unknown} == {"unknown", "begun", "superseded", "deposit"}
    assert waiting.evidence == {} and dead.waited == 60.0
    assert dead.evidence == {"place": "RCPT", "cause": "abc"}
    assert rows["superseded"].evidence == {"superseded_by": "e9", "outcome": "unknown"}
    assert rows["done"].evidence == {"message_id": "<a@b>"}


def test_what_was_not_touched_stays(ledger: SqlLedger) -> None:
    """States, claims, epochs; and the ledger knows how far it had seen the bus."""
    assert [row.delivery.id for row in ledger.unfinished("mssante.chu", [0, 1])] == [
        "ready",
        "waiting",
        "unknown",
        "begun",
    ]
    assert ledger.get(["dead"])["dead"].state is State.DEAD
    assert ledger.acks(["e0", "e2"]) == {"e0": b"ACK-0", "e2": b"\x00\xff"}
    assert ledger.take("mssante.chu", [0]) == {0: 2}
    assert ledger.seen("out.mssante.chu") == {0: 5, 1: 8}
    assert ledger.seen("out.dmp.chu") == {0: 31}
    assert ledger.seen("in.sil") == {0: 12, 3: 3}
