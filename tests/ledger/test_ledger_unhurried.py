"""A migration of a big ledger may take longer than a statement of every day may."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text

from router.database import database as module
from router.ledger import migrations, store
from router.ledger.store import SqlLedger
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration
SHORT = "-c statement_timeout=300 -c lock_timeout=10000 -c client_encoding=UTF8"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s and millions of rows, scaled down."""
    monkeypatch.setitem(module._POSTGRESQL, "options", SHORT)


def test_a_migration_is_not_cut_off(postgresql_url: str, short: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    SqlLedger(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("UPDATE schema_versions SET version = 2 WHERE room = 'ledger'")
    slow = {**migrations.MIGRATIONS, 2: lambda connection: connection.execute(text("SELECT pg_sleep(0.6)"))}
    monkeypatch.setattr(store, "MIGRATIONS", slow)
    ledger = SqlLedger(postgresql_url, upgrade=True)
    try:
        assert ledger.away is None, ledger.away
    finally:
        ledger.close()


def test_outdate_is_not_cut_off(postgresql_url: str, short: None) -> None:  # noqa: F811
    ledger = SqlLedger(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'ledger_deliveries'"
        ).fetchall()
        given = {"id": "n::text", "sink": "'s'", "state": "'done'", "evidence": "''", "sequence": "n"}
        default = {"boolean": "false", "integer": "0", "bigint": "0", "double precision": "0"}
        values = [given.get(name, default.get(kind, "'x'")) for name, kind in columns]
        names = ", ".join(f'"{name}"' for name, _ in columns)
        made = ", ".join(values)
        connection.execute(f"INSERT INTO ledger_deliveries({names}) SELECT {made} FROM generate_series(1, 60000) n")  # noqa: S608
    try:
        ledger.outdate("s")
    finally:
        ledger.close()
