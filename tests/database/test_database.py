"""One SQL database as three rooms use it: what its failures become."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from router.database import Clash, Database, copies
from router.errors import OperatorFault

METADATA = sa.MetaData()
ONE = sa.Table(
    "one", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String, unique=True)
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database("room", f"sqlite:///{tmp_path / 'room.db'}", METADATA, 1)


@pytest.mark.parametrize("second", [{"id": 1, "text": "b"}, {"id": 2, "text": "a"}], ids=["key", "unique"])
def test_a_row_written_twice_is_a_clash_and_nothing_of_it_stays(database: Database, second: dict[str, object]) -> None:
    with database.write() as db:
        db.execute(ONE.insert().values(id=1, text="a"))
    with pytest.raises(Clash) as caught, database.write() as db:
        db.execute(ONE.insert().values(id=9, text="z"))
        db.execute(ONE.insert().values(**second))
    assert caught.value.code == "ROOM-CLASH" and not caught.value.circuit
    with database.read() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(ONE)).scalar_one() == 1


def test_a_table_that_is_gone_is_the_operators_and_no_value_is_quoted(database: Database) -> None:
    with pytest.raises(OperatorFault) as caught, database.read() as db:
        db.execute(sa.text("SELECT * FROM nowhere WHERE name = 'DUPONT'"))
    assert caught.value.code == "ROOM-ERROR" and "DUPONT" not in str(caught.value)


def test_a_database_of_a_newer_version_is_refused(database: Database, tmp_path: Path) -> None:
    with database.write() as db:
        db.execute(sa.text("UPDATE schema_versions SET version = 2"))
    with pytest.raises(OperatorFault) as caught:
        Database("room", f"sqlite:///{tmp_path / 'room.db'}", METADATA, 1)
    assert caught.value.code == "ROOM-VERSION"


@pytest.mark.parametrize("upgrade", [False, True])
def test_an_older_version_is_migrated_only_by_who_may(database: Database, tmp_path: Path, upgrade: bool) -> None:
    """Who only looks refuses it and leaves it as it is: processes of that version may still run."""
    database.close()
    url = f"sqlite:///{tmp_path / 'room.db'}"
    if upgrade:
        Database("room", url, METADATA, 2, {1: lambda _: None}, upgrade=True).close()
    else:
        with pytest.raises(OperatorFault, match="ROOM-OLDER"):
            Database("room", url, METADATA, 2, {1: lambda _: None})
    assert copies.versions(url) == {"room": 2 if upgrade else 1}


@pytest.mark.parametrize("end", ["", "-wal", "-shm", ".lock"])
def test_a_file_that_was_removed_takes_no_more_writes(tmp_path: Path, end: str) -> None:
    """Ledger, journal and register say so after the commit, by either way of writing, and make no new file."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    database = Database("ledger", url, METADATA, 1)
    with database.write() as connection:
        connection.execute(ONE.insert(), {"id": 1, "text": "a"})
    (tmp_path / f"x.db{end}").unlink()
    for _ in range(2):
        with pytest.raises(OperatorFault, match="LEDGER-REPLACED"), database.write() as connection:
            connection.execute(ONE.delete())
        with pytest.raises(OperatorFault, match="LEDGER-REPLACED"), database.write_straight() as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("COMMIT")
    assert not (tmp_path / f"x.db{end}").exists()
    database.close()
