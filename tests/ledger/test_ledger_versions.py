"""A ledger that an earlier version wrote is opened by this one, and says the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, text

from router.contracts import DeadWanted, Record, cause
from router.exchange import State
from router.ledger.store import SqlLedger
from router.ledger.tables import NAMES
from tests.contracts.ledger_contract import row
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


def test_dead_rows_of_before_are_counted_by_their_cause(ledger: SqlLedger) -> None:
    """The cause that stood in the evidence alone is a column; a row without structure stays without."""
    counted = {(one.cause, one.sink, one.code): one.count for one in ledger.dead_groups(DeadWanted())}
    assert counted == {("abc", "mssante.chu", "MSS-550"): 1, ("def", "dmp.chu", "DMP-X"): 1}
    assert set(ledger.dead_owners(DeadWanted())) == {""}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgresql_url"))


@contextmanager
def plain(url: str) -> Iterator[Connection]:
    """The database without us, as another version may write to it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_a_worker_of_version_6_writes_beside_this_one(url: str) -> None:
    """What it opens or ends knows no cause: the next look gives it one, also where an earlier end had another."""
    ledger = SqlLedger(url)
    first: dict[str, Any] = {"state": State.DEAD, "code": "A", "updated": 1.0}
    ledger.open([row("kept", 1, evidence={"cause": "c1"}, **first), row("again", 2, evidence={"cause": "c1"}, **first)])
    names = ", ".join(name for name in NAMES if name not in ("cause", "caused"))
    with plain(url) as older:
        copied = names.replace("id, ", "'new', ", 1)
        source = "FROM ledger_deliveries WHERE id = 'kept'"
        older.execute(text(f"INSERT INTO ledger_deliveries({names}) SELECT {copied} {source}"))
        ended = (
            "UPDATE ledger_deliveries SET state = 'dead', code = 'B', evidence = :told, updated = :at WHERE id = :id"
        )
        older.execute(text(ended), {"told": '{"cause": "c2", "place": "P"}', "at": 2.0, "id": "again"})
        older.execute(text(ended), {"told": "", "at": 3.0, "id": "new"})
    unknown = cause("sink", "mssante.chu", "B", "")
    counted = {one.cause: (one.code, one.count) for one in ledger.dead_groups(DeadWanted())}
    assert counted == {"c1": ("A", 1), "c2": ("B", 1), unknown: ("B", 1)}
    assert [r.delivery.id for r in ledger.dead_page(DeadWanted(equal={"cause": "c2"}), 9)] == ["again"]
    ledger.close()


def test_what_is_dead_or_waits_gets_the_structure_that_its_rows_say(url: str) -> None:
    """A DMP's lane names it, for every row of the event; where lanes contradict each other, it has none."""
    lanes = {
        "dmp": "k:750000018",
        "mail": "k:0123456789abcdef",
        "relay": "k:hl7.dpi",
        "x": "k:750000018",
        "y": "k:2A0000014",
    }
    events = {"dmp": "e1", "mail": "e1", "relay": "e2", "x": "e3", "y": "e3", "waits": "e4"}
    ledger = SqlLedger(url)
    for n, (name, event) in enumerate(events.items()):
        state = State.WAITING if name == "waits" else State.DEAD
        one = row(name, n, state=state, updated=1.0)
        made = replace(one.delivery, event_id=event, lane=lanes.get(name, "k:2A0000014"))
        ledger.open([replace(one, delivery=made)])
    ledger.close()
    with plain(url) as older:
        older.execute(text("UPDATE schema_versions SET version = 6 WHERE room = 'ledger'"))
        older.execute(text("UPDATE ledger_deliveries SET structure = NULL, caused = NULL"))
    ledger = SqlLedger(url, upgrade=True)
    owners = {name: one.delivery.structure for name, one in ledger.get([*events]).items()}
    ledger.close()
    assert owners == {"dmp": "750000018", "mail": "750000018", "relay": "", "x": "", "y": "", "waits": "2A0000014"}


def test_a_letter_that_version_6_kept_is_found_by_its_event(url: str) -> None:
    """Before and after the migration gives it a column for it."""
    ledger = SqlLedger(url)
    record = Record("dlq.intake", 0, 7, "k", b"", {"id": "e1", "code": "R45"}, 1.0)
    ledger.note_letters("dlq.intake", "t", [record], (), {})
    with plain(url) as older:
        older.execute(text("UPDATE ledger_letters SET event_id = NULL"))

    def found() -> list[str]:
        wanted = DeadWanted(events=["e1"])
        return [id_ for _, id_, _ in ledger.letter_page("dlq.intake", wanted, None, 9)]

    assert found() == ["0/7"]
    ledger.close()
    with plain(url) as older:
        older.execute(text("UPDATE schema_versions SET version = 6 WHERE room = 'ledger'"))
        older.execute(
            text("ALTER TABLE ledger_letters DROP COLUMN event_id") if "sqlite" not in url else text("SELECT 1")
        )
    ledger = SqlLedger(url, upgrade=True)
    assert found() == ["0/7"]
    ledger.close()
