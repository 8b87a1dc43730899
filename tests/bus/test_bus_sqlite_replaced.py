"""The file of the embedded bus removed, replaced or made unwritable under a router that runs."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Outgoing, TopicPlan
from router.errors import OperatorFault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


@pytest.fixture
def bus(path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(path)
    yield bus
    bus.close()


def record(value: bytes) -> Outgoing:
    return Outgoing("in.a", "k", value)


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    other = path.with_name("other.db")
    shutil.copy(path, other)
    other.replace(path)


def _remove_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def _replace_index(path: Path) -> None:
    shm = path.with_name(path.name + "-shm")
    shm.rename(path.with_name("away"))
    shm.touch()


def _remove_locks(path: Path) -> None:
    shutil.rmtree(path.with_name(path.name + ".locks"))


def _remove_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [_remove, _replace, _remove_log, _replace_index, _remove_locks, _remove_folder])
def test_nothing_is_reported_as_stored_in_a_file_that_is_gone(
    bus: SqliteBus, path: Path, harm: Callable[[Path], None]
) -> None:
    """The file, its log, its index or its locks removed or replaced: publishing raises, each time."""
    producer = bus.producer("p")
    producer.publish([record(b"before")])
    harm(path)
    for _ in range(3):
        with pytest.raises(OperatorFault) as caught:
            producer.publish([record(b"after")])
        assert caught.value.code == "BUS-REPLACED"
    with pytest.raises(OperatorFault, match="BUS-REPLACED"):
        bus.producer("q")


def test_no_new_file_is_made_in_the_place_of_one_that_was_removed(bus: SqliteBus, path: Path) -> None:
    """An empty bus would take messages while those of before are waited for."""
    producer = bus.producer("p")
    path.unlink()
    for _ in range(2):
        with pytest.raises(OperatorFault):
            producer.publish([record(b"x")])
    assert not path.exists()


def test_a_file_that_is_put_back_is_used_again(bus: SqliteBus, path: Path) -> None:
    """Moved away and back, it is the same file: what was in it is there, and publishing works."""
    producer = bus.producer("p")
    producer.publish([record(b"before")])
    path.rename(path.with_name("away"))
    with pytest.raises(OperatorFault):
        producer.publish([record(b"refused")])
    path.with_name("away").rename(path)
    producer.publish([record(b"after")])
    values = [found.value for found in bus.scan("in.a")]
    assert values[0] == b"before" and values[-1] == b"after"


def test_a_consumer_of_a_file_that_is_gone_says_so(bus: SqliteBus, path: Path) -> None:
    """It would wait for ever for what others write into the new one."""
    consumer = bus.consumer("g", ["in.a"], member="m")
    consumer.poll(max_records=1, max_bytes=1, timeout=0.01)
    _replace(path)
    with pytest.raises(OperatorFault, match="BUS-REPLACED"):
        consumer.poll(max_records=1, max_bytes=1, timeout=5)
    consumer.close()


def test_closing_leaves_the_file_that_stands_there_now_alone(bus: SqliteBus, path: Path) -> None:
    """The log of a bus that was put in our place is not removed when we close ours."""
    bus.producer("p").publish([record(b"ours")])
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    other = SqliteBus(path)
    other.producer("p").publish([record(b"theirs")])
    bus.close()
    assert [found.value for found in other.scan("in.a")] == [b"theirs"]
    assert path.with_name(path.name + "-wal").exists()
    other.close()


def test_a_disk_that_can_no_longer_be_written_refuses_and_works_again(bus: SqliteBus) -> None:
    """Mounted read-only: BUS-READONLY, nothing is stored; writable again, the same bus goes on."""
    producer = bus.producer("p")
    producer.publish([record(b"before")])
    connection = bus._writer._connection
    assert connection is not None
    connection.execute("PRAGMA query_only=ON")
    with pytest.raises(OperatorFault) as caught:
        producer.publish([record(b"refused")])
    assert caught.value.code == "BUS-READONLY"
    producer.publish([record(b"after")])
    assert [found.value for found in bus.scan("in.a")] == [b"before", b"after"]


def test_to_verify_costs_microseconds(bus: SqliteBus) -> None:
    """Looking at the files before each commit is reported takes no time that a commit would notice."""
    begun = time.thread_time()
    for _ in range(2000):
        bus._store.verify()
    assert (time.thread_time() - begun) / 2000 < 100e-6


def test_a_copy_is_the_same_bus_and_a_new_file_another(bus: SqliteBus, path: Path, tmp_path: Path) -> None:
    """What the ledger keeps tells a backup that was put back from a bus that was made anew."""
    bus.create([TopicPlan("in.a", 1, None, 1 << 20)])
    mine = bus.identities(["in.a", "in.b"])
    assert set(mine) == {"in.a"}
    bus.checkpoint()
    shutil.copy(path, tmp_path / "copy.db")
    copy, new = SqliteBus(tmp_path / "copy.db"), SqliteBus(tmp_path / "new.db")
    new.create([TopicPlan("in.a", 1, None, 1 << 20)])
    assert copy.identities(["in.a"]) == mine
    assert new.identities(["in.a"]) != mine
    copy.close()
    new.close()


def test_a_bus_of_the_version_before_gets_an_identity(tmp_path: Path) -> None:
    """Its records stay, and the identity stays from then on."""
    first = SqliteBus(tmp_path / "old.db")
    first.producer("p").publish([record(b"x")])
    first.close()
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("DROP TABLE identity")
    connection.close()
    found = []
    for _ in range(2):
        bus = SqliteBus(tmp_path / "old.db")
        found.append(bus.identities(["in.a"])["in.a"])
        assert [one.value for one in bus.scan("in.a")] == [b"x"]
        bus.close()
    assert found[0] == found[1]
