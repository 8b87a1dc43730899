"""The ledger on a real PostgreSQL keeps the contract of every ledger, and survives the server's restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from router.errors import OperatorFault, Unavailable
from router.ledger.store import SqlLedger
from tests.contracts.ledger_contract import LedgerContract, row
from tests.services import PostgresServer, own_postgresql, postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def again(postgresql_url: str) -> Iterator[Callable[[], SqlLedger]]:  # noqa: F811
    opened: list[SqlLedger] = []

    def open_again() -> SqlLedger:
        opened.append(SqlLedger(postgresql_url))
        return opened[-1]

    yield open_again
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(again: Callable[[], SqlLedger]) -> SqlLedger:
    return again()


class TestPostgresqlLedger(LedgerContract):
    """The contract, on PostgreSQL."""


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


def test_a_wrong_database_is_the_operators_fault(postgresql_url: str) -> None:  # noqa: F811
    """A database that does not exist is told in one sentence, without a traceback of the driver."""
    with pytest.raises((OperatorFault, Unavailable)) as caught:
        SqlLedger(postgresql_url + "_none")
    assert caught.value.code.startswith("LEDGER-")
