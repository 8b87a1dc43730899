"""What the embedded bus does when processes die, disks fill and files are held."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.bus.sqlite.store import SHIFT
from router.contracts import Outgoing, Partition, Producer, Settle, TopicPlan
from router.errors import Fenced, OperatorFault, Unavailable

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0

#: Another process: joins the group as `m-other`, says how many partitions it owns, and waits to be killed.
_MEMBER = """
import sys, time
from pathlib import Path
from router.bus.sqlite.sqlite_bus import SqliteBus
bus = SqliteBus(Path(sys.argv[1]))
consumer = bus.consumer("g", ["in.a"], member="m-other")
told = -1
while True:
    consumer.poll(max_records=1, max_bytes=1, timeout=0.02)
    if len(consumer.assignment()) != told:
        told = len(consumer.assignment())
        print(told, flush=True)
"""

#: Another process: publishes numbered records and says each number once it is durable.
_WRITER = """
import sys
from pathlib import Path
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Outgoing
producer = SqliteBus(Path(sys.argv[1])).producer("writer")
for n in range(1_000_000):
    producer.publish([Outgoing("in.a", "k", b"%d" % n)])
    print(n, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


@pytest.fixture
def bus(path: Path) -> Iterator[SqliteBus]:
    bus = SqliteBus(path)
    yield bus
    bus.close()


def other(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def until_it_says(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == wanted:
            return
    pytest.fail("the other process ended")


def finish(process: subprocess.Popen[str], number: signal.Signals) -> None:
    os.kill(process.pid, number)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def test_a_killed_members_partitions_move_at_once(bus: SqliteBus, path: Path) -> None:
    """After SIGKILL nobody waits for a lease: the next polls take the dead one's partitions."""
    process = other(_MEMBER, path)
    until_it_says(process, "8")
    consumer = bus.consumer("g", ["in.a"], member="m-0")
    end = time.monotonic() + 10
    while len(consumer.assignment()) < 4 and time.monotonic() < end:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.02)
    assert len(consumer.assignment()) == 4
    finish(process, signal.SIGKILL)
    killed = time.monotonic()
    while len(consumer.assignment()) < 8 and time.monotonic() < killed + 5:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.02)
    assert len(consumer.assignment()) == 8
    assert time.monotonic() - killed < 1.0
    consumer.close()


def test_a_frozen_member_keeps_its_partitions(bus: SqliteBus, path: Path) -> None:
    """A process that is stopped may wake up and go on: nobody takes what it owns, however long it sleeps."""
    process = other(_MEMBER, path)
    until_it_says(process, "8")
    os.kill(process.pid, signal.SIGSTOP)
    consumer = bus.consumer("g", ["in.a"], member="m-0")
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.05)
    assert not consumer.assignment()
    os.kill(process.pid, signal.SIGCONT)
    while len(consumer.assignment()) < 4 and time.monotonic() < end + 10:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.05)
    assert len(consumer.assignment()) == 4
    finish(process, signal.SIGKILL)
    consumer.close()


def test_a_second_process_of_the_same_name_waits_for_the_first(bus: SqliteBus, path: Path) -> None:
    """A successor gets nothing while its predecessor lives, and everything once it is gone."""
    process = other(_MEMBER, path)
    until_it_says(process, "8")
    successor = bus.consumer("g", ["in.a"], member="m-other")
    for _ in range(10):
        successor.poll(max_records=1, max_bytes=1, timeout=0.05)
    assert not successor.assignment()
    finish(process, signal.SIGKILL)
    end = time.monotonic() + 5
    while len(successor.assignment()) < 8 and time.monotonic() < end:
        successor.poll(max_records=1, max_bytes=1, timeout=0.02)
    assert len(successor.assignment()) == 8
    successor.close()


def test_what_a_killed_writer_was_promised_is_there(bus: SqliteBus, path: Path) -> None:
    """Every record whose publish returned before SIGKILL is read, in order, and nothing is torn."""
    process = other(_WRITER, path)
    until_it_says(process, "50")
    os.kill(process.pid, signal.SIGKILL)
    assert process.stdout is not None
    promised = max([50, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.stdout.close()
    process.wait(10)
    values = [int(record.value) for record in bus.scan("in.a")]
    assert values == list(range(len(values)))
    assert len(values) > promised


def test_a_full_disk_refuses_the_whole_batch(tmp_path: Path) -> None:
    """BUS-FULL: nothing of the batch is stored, what was there is readable, and room makes it work again."""
    bus = SqliteBus(tmp_path / "small.db", max_pages=60)
    producer = bus.producer("p")
    producer.publish([Outgoing("in.a", "k", b"before")])
    with pytest.raises(Unavailable) as caught:
        producer.publish([Outgoing("in.a", "k", bytes(100_000)) for _ in range(20)])
    assert caught.value.code == "BUS-FULL"
    assert [record.value for record in bus.scan("in.a")] == [b"before"]
    (origin,) = producer.publish([Outgoing("in.a", "k", b"after")])
    assert origin.offset == 1
    bus.close()


def test_a_full_disk_refuses_only_who_writes_too_much(tmp_path: Path) -> None:
    """Threads that share commits each get an answer, and exactly what was acknowledged is there."""
    bus = SqliteBus(tmp_path / "small.db", max_pages=200)
    producer = bus.producer("p")
    stored: list[bytes] = []
    refused: list[str] = []

    def write(n: int) -> None:
        for k in range(30):
            value = b"%d-%d" % (n, k) + bytes(8_000)
            try:
                producer.publish([Outgoing("in.a", "", value)])
                stored.append(value)
            except Unavailable as error:
                refused.append(error.code)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) == {"BUS-FULL"}
    assert sorted(record.value for record in bus.scan("in.a")) == sorted(stored)
    bus.close()


def test_a_held_file_is_unavailable_until_it_is_let_go(
    bus: SqliteBus, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup tool that locks the file makes publishing wait, then fail with BUS-LOCKED; later it works."""
    producer = bus.producer("p")
    connection = bus._writer._connection
    assert connection is not None
    connection.execute("PRAGMA busy_timeout=50")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        producer.publish([Outgoing("in.a", "k", b"x")])
    assert caught.value.code == "BUS-LOCKED"
    holder.execute("ROLLBACK")
    holder.close()
    assert len(producer.publish([Outgoing("in.a", "k", b"x")])) == 1


def test_a_file_that_is_no_bus_is_the_operators_fault(tmp_path: Path) -> None:
    """Another file under our name, or a folder that can't be made: one sentence, no traceback of SQLite."""
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(OperatorFault) as caught:
        SqliteBus(wrong)
    assert caught.value.code == "BUS-CORRUPT"
    with pytest.raises(OperatorFault) as caught:
        SqliteBus(wrong / "below" / "bus.db")
    assert caught.value.code == "BUS-OPEN"


def test_another_process_hears_of_a_record_within_milliseconds(bus: SqliteBus, path: Path) -> None:
    """Half of the records that come while a consumer waits are returned in less than 10 ms."""
    reader = SqliteBus(path)
    consumer = reader.consumer("g", ["in.a"], member="m-0")
    while len(consumer.assignment()) < 8:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.01)
    producer = bus.producer("p")
    waits: list[float] = []
    for _ in range(20):
        sent: list[float] = []

        def publish(sent: list[float] = sent) -> None:
            producer.publish([Outgoing("in.a", "k", b"x")])
            sent.append(time.monotonic())

        timer = threading.Timer(0.03, publish)
        timer.start()
        assert len(consumer.poll(max_records=1, max_bytes=1000, timeout=5)) == 1
        heard = time.monotonic()
        timer.join()
        waits.append(heard - sent[0])
    assert sorted(waits)[10] < 0.010
    consumer.close()
    reader.close()


def test_threads_share_commits(bus: SqliteBus) -> None:
    """Many threads publish at once: every record is there once, in each thread's order."""
    producer = bus.producer("p")

    def write(n: int) -> None:
        for k in range(50):
            producer.publish([Outgoing("in.a", f"t{n}", b"%d" % k)])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(8):
        assert [int(r.value) for r in bus.scan("in.a") if r.key == f"t{n}"] == list(range(50))


def test_a_fenced_batch_does_not_harm_those_it_shares_a_commit_with(bus: SqliteBus) -> None:
    """One thread's stale producer is refused; the others' batches of the same moment are stored."""
    stale, fresh = bus.producer("p"), bus.producer("q")
    bus.producer("p")
    outcomes: list[str] = []

    def write(producer: Producer, name: str) -> None:
        for _ in range(20):
            try:
                producer.publish([Outgoing("in.a", "k", name.encode())])
                outcomes.append(name)
            except Fenced:
                outcomes.append("fenced")

    threads = [threading.Thread(target=write, args=(p, n)) for p, n in ((stale, "stale"), (fresh, "fresh")) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("fenced") == outcomes.count("fresh") == 60
    assert {record.value for record in bus.scan("in.a")} == {b"fresh"}


def test_upkeep_removes_what_is_old_and_consumed(bus: SqliteBus, path: Path) -> None:
    """Expired records go once every group has read them; held and dead letters stay; numbering goes on."""
    bus.create([TopicPlan("in.a", 1, 14 * DAY, 1 << 20), TopicPlan("dlq.x", 1, None, 1 << 20)])
    producer = bus.producer("p")
    producer.publish([Outgoing("in.a", "k", b"%d" % n) for n in range(500)] + [Outgoing("dlq.x", "k", b"letter")])
    consumer = bus.consumer("g", ["in.a"], member="m-0")
    records: list[object] = []
    while len(records) < 500:
        records += consumer.poll(max_records=500, max_bytes=1 << 20, timeout=1)
    consumer.commit({Partition("in.a", 0): 450})
    with sqlite3.connect(path) as connection:
        old = (20 * DAY, (1 << SHIFT) - 1)
        connection.execute("UPDATE records SET timestamp=timestamp-? WHERE id & ? < 480", old)
    connection.close()
    assert bus.maintain(time.time()) == 450
    assert [int(record.value) for record in bus.scan("in.a")] == list(range(450, 500))
    consumer.commit({Partition("in.a", 0): 500})
    assert bus.maintain(time.time()) == 30
    assert bus.maintain(time.time()) == 0
    assert [record.value for record in bus.scan("dlq.x")] == [b"letter"]
    (origin,) = producer.publish([Outgoing("in.a", "k", b"next")])
    assert origin.offset == 500
    consumer.close()


def test_the_log_is_copied_beside_the_writers(bus: SqliteBus, path: Path) -> None:
    """No commit has to: 50 MB pass through a log of a few, with readers about, and all of it is there."""
    log, largest = path.with_name(path.name + "-wal"), 0
    producer = bus.producer("p")
    for number in range(100):
        producer.publish([Outgoing("in.a", "k", b"%03d" % number + b"x" * 500_000)])
        bus.checkpoint()
        assert next(iter(bus.scan("in.a", newest_first=True, limit=1))).value[:3] == b"%03d" % number
        largest = max(largest, log.stat().st_size)
    assert largest < 4 << 20
    assert [int(record.value[:3]) for record in bus.scan("in.a")] == list(range(100))


def test_callbacks_may_settle_what_they_lose(bus: SqliteBus, path: Path) -> None:
    """While `revoked` runs the partitions are still ours: a last transaction goes through."""
    producer = bus.producer("w")
    producer.publish([Outgoing("in.a", f"k{n}", b"x") for n in range(32)])
    settled: list[Partition] = []

    def revoked(partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            producer.publish([Outgoing("out.b", "k", b"last")], settle=Settle(first, {partition: 1}))
            settled.append(partition)

    first = bus.consumer("g", ["in.a"], member="m-0", revoked=revoked)
    while len(first.assignment()) < 8:
        first.poll(max_records=1, max_bytes=1, timeout=0.01)
    heir = SqliteBus(path)
    second = heir.consumer("g", ["in.a"], member="m-1")
    end = time.monotonic() + 10
    while len(second.assignment()) < 4 and time.monotonic() < end:
        first.poll(max_records=1, max_bytes=1, timeout=0.01)
        second.poll(max_records=1, max_bytes=1, timeout=0.01)
    assert set(settled) == set(second.assignment())
    assert all(second.committed(partition) == 1 for partition in settled)
    second.close()
    heir.close()
    first.close()
