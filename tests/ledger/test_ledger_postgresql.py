"""The ledger on a real PostgreSQL keeps the contract of every ledger, and survives the server's restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from router.contracts import Claim
from router.errors import Fenced, Unavailable
from router.exchange import State
from router.ledger import fences
from router.ledger.store import SqlLedger
from tests.contracts.ledger_contract import AT, SINK, LedgerContract, row
from tests.services import PostgresServer, own_postgresql, postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def again(postgresql_url: str) -> Iterator[Callable[[], SqlLedger]]:  # noqa: F811
    opened: list[SqlLedger] = []

    def open_again() -> SqlLedger:
        opened.append(SqlLedger(postgresql_url, upgrade=True))
        return opened[-1]

    yield open_again
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(again: Callable[[], SqlLedger]) -> SqlLedger:
    return again()


class TestPostgresqlLedger(LedgerContract):
    """The contract, on PostgreSQL."""


def test_a_server_that_is_away_at_the_start_is_unavailable_until_it_is_there(
    own_postgresql: PostgresServer,  # noqa: F811
) -> None:
    """It says so when it is opened; the tables are made by the first call that reaches the server."""
    own_postgresql.stop()
    ledger = SqlLedger(own_postgresql.url)
    assert ledger.away is not None and ledger.away.code == "LEDGER-AWAY"
    with pytest.raises(Unavailable):
        ledger.acks(["a" * 32])
    own_postgresql.start()
    assert ledger.acks(["a" * 32]) == {}
    ledger.close()


def test_a_stopped_server_is_unavailable_until_it_returns(own_postgresql: PostgresServer) -> None:  # noqa: F811
    """While the server is down every call says so; when it is back the same ledger goes on with what it had."""
    ledger = SqlLedger(own_postgresql.url)
    ledger.open([row("d1", 1)])
    own_postgresql.stop()
    for _ in range(2):
        with pytest.raises(Unavailable):
            ledger.open([row("d2", 2)])
    own_postgresql.start()
    refusals = 0
    while refusals < 3:
        try:
            ledger.open([row("d2", 2)])
            break
        except Unavailable:
            refusals += 1
    assert refusals < 3, "connections that were cut are thrown away, not tried for ever"
    assert set(ledger.get(["d1", "d2"])) == {"d1", "d2"}
    assert ledger.open([row("d3", 3)]) == {}
    ledger.close()


def test_no_call_of_the_hot_path_reads_a_whole_table(postgresql_url: str) -> None:  # noqa: F811
    """Not even by a plan that the server made, and keeps, from when the tables were empty."""
    ledger = SqlLedger(postgresql_url)
    fence = {(SINK, 0): ledger.take(SINK, [0])[0]}
    for turn in range(30):
        rows = [row(f"d{turn}-{n}", n) for n in range(10)]
        ledger.claim([Claim(f"e{turn}", AT, b"ack")])
        ledger.overtakers(SINK, [f"l-{turn}"])
        ledger.acks([f"e{turn}"])
        ledger.open(rows, fence)
        ledger.save([replace(one, state=State.DONE) for one in rows], fence)
        assert len(ledger.get([one.delivery.id for one in rows])) == 10
    ledger.close()
    query = "SELECT sum(seq_tup_read), sum(n_tup_upd) FROM pg_stat_user_tables WHERE relname = ANY(%s)"
    updated = 0
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        for _ in range(100):  # the server counts when a session has ended
            read, updated = connection.execute(query, (["ledger_deliveries", "ledger_claims"],)).fetchone() or (0, 0)
            if updated == 300:
                break
            time.sleep(0.1)
    assert (read, updated) == (0, 300)


@pytest.mark.parametrize("wrong", ["database", "name"])
def test_a_server_that_lets_us_not_in_is_not_away(postgresql_url: str, wrong: str) -> None:  # noqa: F811
    """Whoever wrote a wrong name into the site file reads that the server answers, and not a text of the driver."""
    base, _, database = postgresql_url.rpartition("/")
    host = base.rpartition("@")[2]
    url = f"{base}/{database}_none" if wrong == "database" else f"postgresql://nobody@{host}/{database}"
    with pytest.raises(Unavailable) as caught:
        SqlLedger(url).acks(["a" * 32])
    assert caught.value.code == "LEDGER-REFUSED"


def test_a_ledger_of_version_1_is_migrated(postgresql_url: str, again: Callable[[], SqlLedger]) -> None:  # noqa: F811
    """Rows of a database without epochs stay, and its partitions can be taken."""
    before = again()
    before.open([row("d1", 1)])
    before.close()
    with psycopg.connect(postgresql_url) as connection:  # as version 1 left it
        connection.execute("DROP TABLE ledger_fences")
        connection.execute("UPDATE schema_versions SET version=1 WHERE room='ledger'")
    for turn in (1, 2):
        after = again()
        assert after.get(["d1"]) == {"d1": row("d1", 1)}
        assert after.take(SINK, [0]) == {0: turn}
        after.close()


def test_who_is_frozen_in_a_transaction_stops_nobody_for_ever(postgresql_url: str) -> None:  # noqa: F811
    """The server ends a session that keeps its locks and says nothing; its process then learns that it lost."""
    assert _setting(SqlLedger(postgresql_url), "idle_in_transaction_session_timeout") == "15s"
    hasty = postgresql_url + "?options=-c%20idle_in_transaction_session_timeout%3D300"
    frozen, successor = SqlLedger(hasty), SqlLedger(postgresql_url)
    held = {(SINK, 0): frozen.take(SINK, [0])[0]}
    frozen.open([row("d1", 1)], held)
    with pytest.raises(Unavailable), frozen._database.write() as connection:
        fences.take(connection, "dmp.chu", [0])  # and here the process is stopped, with its lock
        successor.take("dmp.chu", [0])
        successor.take(SINK, [0])
        connection.exec_driver_sql("SELECT 1")
    with pytest.raises(Fenced):
        frozen.save([row("d1", 1, state=State.BEGUN)], held)
    assert successor.get(["d1"]) == {"d1": row("d1", 1)}
    frozen.close()
    successor.close()


def _setting(ledger: SqlLedger, name: str) -> str:
    with ledger._database.read() as connection:
        found = str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
    ledger.close()
    return found
