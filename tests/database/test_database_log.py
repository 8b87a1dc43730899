"""The log of an SQLite file that is copied beside its writers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, insert

from router.database import Database, log

TABLES = MetaData()
ROWS = Table("rows", TABLES, Column("id", Integer, primary_key=True), Column("value", LargeBinary))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database("test", f"sqlite:///{tmp_path / 'test.db'}", TABLES, 1, beside=True)
    yield database
    database.close()


def write(database: Database, number: int) -> None:
    with database.write() as connection:
        connection.execute(insert(ROWS).values(id=number, value=b"x" * 20_000))


def test_no_commit_copies_a_log_that_another_copies(database: Database) -> None:
    """Far more pages than SQLite lets stand in a log wait there for `checkpoint`; then the log begins anew."""
    for number in range(400):
        write(database, number)
    assert database.checkpoint() > 2000
    write(database, 400)
    assert database.checkpoint() < 50
    with database.read() as connection:
        assert len(connection.execute(ROWS.select()).all()) == 401


def test_a_log_stays_short_though_a_writer_never_rests(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied while others write has no end; a long log is copied to its end in a turn to write."""
    monkeypatch.setattr(log, "LONG", 200)
    rest, count = threading.Event(), 0

    def writes() -> None:
        nonlocal count
        while not rest.is_set():
            write(database, count)
            count += 1

    writer = threading.Thread(target=writes)
    writer.start()
    lengths = [database.checkpoint() for _ in range(100) if not rest.wait(0.01)]
    rest.set()
    writer.join()
    assert sum(later < earlier for earlier, later in pairwise(lengths)) > 2
