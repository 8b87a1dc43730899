"""The ledger on SQLite keeps the contract of every ledger, says what fails, and is fast in batches."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from router.contracts import Claim, Row
from router.errors import OperatorFault, Unavailable
from router.exchange import Origin, State
from router.ledger import store
from router.ledger.store import SqlLedger
from router.ledger.tables import VERSION
from tests.contracts.ledger_contract import LedgerContract, row


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def again(url: str) -> Iterator[Callable[[], SqlLedger]]:
    opened: list[SqlLedger] = []

    def open_again() -> SqlLedger:
        opened.append(SqlLedger(url, upgrade=True))
        return opened[-1]

    yield open_again
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(again: Callable[[], SqlLedger]) -> SqlLedger:
    return again()


class TestSqliteLedger(LedgerContract):
    """The contract, on SQLite."""


def test_a_batch_of_200_rows_costs_less_than_a_few_calls(ledger: SqlLedger) -> None:
    """Opening and saving 200 rows together takes less time than doing so for 40 rows one by one."""

    def spent(batches: list[list[Row]]) -> float:
        start = time.perf_counter()
        for rows in batches:
            ledger.open(rows)
            ledger.save([replace(r, state=State.DONE) for r in rows])
        return time.perf_counter() - start

    together = min(spent([[row(f"d{turn}-{n}", n) for n in range(200)]]) for turn in range(5))
    assert together < spent([[row(f"one-{n}", n)] for n in range(40)])


def test_a_locked_ledger_is_unavailable_and_works_again(
    ledger: SqlLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the file nothing is written; once it lets go the same ledger goes on."""
    with ledger._database.raw_driver() as connection:
        connection.execute("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable) as caught:
        ledger.open([row("d1")])
    assert caught.value.code == "LEDGER-BUSY"
    other.execute("ROLLBACK")
    other.close()
    assert ledger.open([row("d1")]) == {}


def test_a_full_ledger_is_unavailable_and_keeps_nothing_of_the_batch(ledger: SqlLedger) -> None:
    """No room left: the whole batch is refused and what was there stays readable."""
    ledger.open([row("before")])
    with ledger._database.raw_driver() as connection:
        connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(Unavailable) as caught:
        ledger.open([row(f"d{n}", n, text="x" * 500) for n in range(500)])
    assert caught.value.code == "LEDGER-FULL"
    assert set(ledger.get(["before", *(f"d{n}" for n in range(500))])) == {"before"}


def test_a_ledger_that_is_not_one_is_the_operators_fault(tmp_path: Path) -> None:
    """A foreign file, a folder that does not exist, a URL of something else: one sentence each."""
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"this is not a database" * 100)
    for url in (f"sqlite:///{wrong}", f"sqlite:///{tmp_path}/none/ledger.db", "mysql://host/x", "nonsense"):
        with pytest.raises(OperatorFault) as caught:
            SqlLedger(url)
        assert caught.value.code.startswith("LEDGER-")


def test_a_ledger_of_a_newer_router_is_refused(tmp_path: Path, url: str, again: Callable[[], SqlLedger]) -> None:
    """An old router never writes into tables it does not understand."""
    again().close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE schema_versions SET version=99")
    with pytest.raises(OperatorFault, match="newer"):
        SqlLedger(url)


def test_a_ledger_of_version_1_is_migrated_and_keeps_what_it_holds(
    tmp_path: Path, url: str, again: Callable[[], SqlLedger]
) -> None:
    """Rows and claims of a database without epochs stay; its partitions can be taken; the next start finds it so."""
    before = again()
    before.open([row("d1", 1)])
    before.close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:  # as version 1 left it
        connection.execute("DROP TABLE ledger_fences")
        connection.execute("UPDATE schema_versions SET version=1 WHERE room='ledger'")
    for turn in (1, 2):
        after = again()
        assert after.get(["d1"]) == {"d1": row("d1", 1)}
        assert after.take("mssante.chu", [0]) == {0: turn}
        after.close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        assert connection.execute("SELECT room, version FROM schema_versions").fetchall() == [("ledger", VERSION)]


def test_who_claims_gets_its_turn_between_two_steps_of_the_forgetting(
    ledger: SqlLedger, again: Callable[[], SqlLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock goes to who asks first after its release: to who forgets, unless it leaves others the time to look."""
    monkeypatch.setattr(store, "_FORGET_ROWS", 20)
    ledger.claim([Claim(f"old-{n}", Origin("in.x", 0, n), b"", 1.0) for n in range(1000)])
    over, claimed, other = threading.Event(), 0, again()

    def claim() -> None:
        nonlocal claimed
        while not over.is_set():
            other.claim([Claim(f"new-{claimed}", Origin("in.x", 0, claimed), b"", 3.0)])
            claimed += 1
            time.sleep(0.003)  # the next batch is on its way

    pipelines = threading.Thread(target=claim)
    pipelines.start()
    assert ledger.forget(2.0) == 1000
    over.set()
    pipelines.join()
    assert claimed >= 25, f"{claimed} claims beside 50 steps of the forgetting"
