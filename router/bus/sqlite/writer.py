"""The writing side of the embedded bus: one connection per process, commits shared by its threads.

A thread that wants to write queues its batch and waits for the lock of its process. The thread that gets the lock
commits everything that is queued. Between processes the lock is a file lock, so that no thread sleeps in SQLite's
own busy handler.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from router.bus.plans import default_plan, partition_of
from router.bus.sqlite.notifier import Notifier
from router.bus.sqlite.store import BUSY_SECONDS, SHIFT, Store, Topic, mapped
from router.contracts import Outgoing, Partition, TopicPlan
from router.errors import Fenced, Invalid, RouterError, Unavailable
from router.exchange import Origin
from router.language import filled
from router.locks import TurnLock

T = TypeVar("T")
_SHARED_BYTES: Final = 16 * 1024 * 1024
_WAL_LIMIT: Final = 256 * 1024 * 1024
_WAL_CHECK: Final = 256

_INSERT = "INSERT INTO records(id, key, headers, timestamp, value) VALUES (?,?,?,?,?)"
_OFFSET = (
    "INSERT INTO offsets(groupname, partition, next) VALUES (?,?,?) "
    "ON CONFLICT(groupname, partition) DO UPDATE SET next=excluded.next"
)


class Owner(Protocol):
    """A consumer, as the writer sees it: whose offsets move, and whether it still owns them."""

    group: str
    guard: threading.Lock

    def owns(self, partition: Partition) -> bool: ...


class Prepared(NamedTuple):
    """A record whose headers are already text: that work is done by the caller's thread, outside the turn."""

    topic: str
    key: str
    headers: str
    value: bytes


def prepared(record: Outgoing) -> Prepared:
    headers = json.dumps(dict(record.headers), ensure_ascii=False, separators=(",", ":")) if record.headers else ""
    return Prepared(record.topic, record.key, headers, record.value)


@dataclass(slots=True)
class Batch:
    """What one caller wants written in one transaction, and then what became of it."""

    records: Sequence[Prepared] = ()
    producer: tuple[str, int] | None = None
    owner: Owner | None = None
    offsets: Sequence[tuple[Partition, int]] = ()
    done: bool = False
    origins: list[Origin] = field(default_factory=list)
    error: RouterError | None = None

    @property
    def weight(self) -> int:
        return sum(len(record.value) for record in self.records)


class SqliteWriter:
    """Every write of one process to one bus file. Any thread."""

    def __init__(self, store: Store, folder: Path, notifier: Notifier, partitions: int) -> None:
        self._store = store
        self._partitions = partitions
        self._queue: deque[Batch] = deque()
        self._process_turn = threading.Lock()
        self._machine_turn = TurnLock(folder / "write.lock")
        self._notifier = notifier
        self._connection: sqlite3.Connection | None = None
        self._spread = itertools.count(random.randrange(1 << 16))  # noqa: S311  (spreads load, hides nothing)
        self._commits = 0

    def commit(self, batch: Batch) -> Batch:
        """Write a batch, perhaps with those of other threads; durable on return. Raises its own error."""
        self._queue.append(batch)
        with self._process_turn:
            while not batch.done:
                self._serve()
        if batch.error is not None:
            raise batch.error
        return batch

    def prepare(self) -> None:
        """Open the file and make its tables, so that a bus that can't be used says so at once."""
        with self._process_turn, mapped(), self._turn():
            self._open()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction of its own."""
        with self._process_turn, mapped(), self._transaction() as connection:
            return work(connection)

    def checkpoint(self) -> None:
        """Copy what is left of the log into the file while nobody writes."""
        with self._process_turn, mapped(), self._turn():
            self._open().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def ensure(self, names: Collection[str]) -> None:
        """Create the topics that are missing, each with its default plan."""
        with mapped(), self._store.reader() as connection:
            missing = [name for name in names if self._store.topic(connection, name) is None]
        if missing:
            plans = [default_plan(name, self._partitions) for name in missing]
            self.run(lambda connection: create_topics(connection, plans))

    def close(self) -> None:
        with self._process_turn:
            self._drop()
            self._machine_turn.close()

    def _serve(self) -> None:
        """Commit what is queued, the caller's batch included. Nothing but the batches' own errors leaves."""
        batches = self._draw()
        try:
            topics = {record.topic for batch in batches for record in batch.records}
            self._ensure(topics)
            with mapped(), ExitStack() as guards, self._transaction(topics) as connection:
                for owner in sorted({id(b.owner): b.owner for b in batches if b.owner}.items()):
                    guards.enter_context(owner[1].guard)
                _Transaction(connection, self._store, self._spread).write(batches)
        except RouterError as error:
            for batch in batches:
                batch.error = batch.error or error
        except BaseException:
            for batch in batches:
                batch.error = batch.error or Unavailable("BUS-ABORTED", "", "the write was cut short")
            raise
        finally:
            for batch in batches:
                batch.done = True

    def _ensure(self, names: Iterable[str]) -> None:
        """Like `ensure`, by who already has the turn of the process."""
        with mapped(), self._store.reader() as connection:
            missing = [name for name in names if self._store.topic(connection, name) is None]
        if missing:
            with mapped(), self._transaction() as connection:
                create_topics(connection, [default_plan(name, self._partitions) for name in missing])

    def _draw(self) -> list[Batch]:
        """Queued batches, in order, up to a bounded weight; at least one."""
        batches: list[Batch] = []
        weight = 0
        while self._queue and (not batches or weight < _SHARED_BYTES):
            batches.append(self._queue.popleft())
            weight += batches[-1].weight
        return batches

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._machine_turn.take(BUSY_SECONDS):
            raise Unavailable("BUS-LOCKED", "", "another process holds the bus for too long")
        try:
            yield
        except BaseException:
            self._drop()
            raise
        finally:
            self._machine_turn.release()

    @contextmanager
    def _transaction(self, topics: Collection[str] = ()) -> Iterator[sqlite3.Connection]:
        """All or nothing: whatever goes wrong, the connection is dropped and its transaction with it.

        topics: those that records are written to; who waits for them hears of it
        A commit into a file that is no longer there is none: `OperatorFault` (`BUS-REPLACED`).
        """
        with self._turn():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
            self._store.verify()
            self._notifier.ring(topics)
            self._mind_the_log(connection)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._store.connect()
            self._store.prepare(self._connection)
        return self._connection

    def _drop(self) -> None:
        """Forget the connection: what was not committed is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _mind_the_log(self, connection: sqlite3.Connection) -> None:
        """A reader always at work can keep the log from starting over: wait for them when it grew too large."""
        self._commits += 1
        if self._commits % _WAL_CHECK:
            return
        log = self._store.path.with_name(self._store.path.name + "-wal")
        if log.exists() and log.stat().st_size > _WAL_LIMIT:
            with suppress(sqlite3.Error):  # the commit itself is durable; the next one meets the trouble
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class _Transaction:
    """Puts batches into one open transaction; a batch that may not be written is left out, with its error."""

    def __init__(self, connection: sqlite3.Connection, store: Store, spread: Iterator[int]) -> None:
        self._connection = connection
        self._store = store
        self._spread = spread
        self._next: dict[int, int] = {}
        self._now = time.time()

    def write(self, batches: Sequence[Batch]) -> None:
        rows: list[tuple[int, str, str, float, bytes]] = []
        offsets: list[tuple[str, int, int]] = []
        for batch in batches:
            try:
                topics = self._checked(batch)
            except (Fenced, Invalid) as error:
                batch.error = error
                continue
            rows += (self._row(batch, topics[record.topic], record) for record in batch.records)
            if batch.owner is not None:
                offsets += ((batch.owner.group, self._id(partition), at) for partition, at in batch.offsets)
        if rows:
            self._connection.executemany(_INSERT, rows)
        if self._next:
            moves = [(at, partition) for partition, at in self._next.items()]
            self._connection.executemany("UPDATE partitions SET next=? WHERE id=?", moves)
        if offsets:
            self._connection.executemany(_OFFSET, offsets)

    def _checked(self, batch: Batch) -> dict[str, Topic]:
        """The topics of a batch; raises Fenced or Invalid when it may not be written."""
        if batch.producer is not None:
            name, epoch = batch.producer
            row = self._connection.execute("SELECT epoch FROM producers WHERE name=?", (name,)).fetchone()
            if row is None or row[0] != epoch:
                raise Fenced("BUS-PRODUCER", name, "another process writes under this producer's name")
        if batch.owner is not None:
            for partition, _ in batch.offsets:
                if not batch.owner.owns(partition):
                    raise Fenced("BUS-PARTITION", str(partition), "this partition is no longer ours")
        topics: dict[str, Topic] = {}
        for record in batch.records:
            topic = topics.get(record.topic) or self._topic(record.topic)
            topics[record.topic] = topic
            if len(record.value) > topic.max_bytes:
                raise Invalid(
                    "BUS-SIZE",
                    topic.name,
                    filled("larger than the {bytes} bytes this topic takes", bytes=topic.max_bytes),
                )
        return topics

    def _row(self, batch: Batch, topic: Topic, record: Prepared) -> tuple[int, str, str, float, bytes]:
        count = len(topic.ids)
        number = partition_of(record.key, count) if record.key else next(self._spread) % count
        partition = topic.ids[number]
        offset = self._next.get(partition)
        if offset is None:
            found = self._connection.execute("SELECT next FROM partitions WHERE id=?", (partition,))
            offset = found.fetchone()[0]
        self._next[partition] = offset + 1
        batch.origins.append(Origin(topic.name, number, offset))
        return (partition << SHIFT | offset, record.key, record.headers, self._now, record.value)

    def _topic(self, name: str) -> Topic:
        topic = self._store.topic(self._connection, name)
        if topic is None:
            raise Invalid("BUS-TOPIC", name, "no such topic")
        return topic

    def _id(self, partition: Partition) -> int:
        return self._topic(partition.topic).ids[partition.number]


def create_topics(connection: sqlite3.Connection, plans: Sequence[TopicPlan]) -> None:
    """Insert topics and their partitions, unless another process did; inside the caller's transaction."""
    for plan in plans:
        connection.execute(
            "INSERT OR IGNORE INTO topics(name, partitions, retention, max_bytes) VALUES (?,?,?,?)",
            (plan.name, plan.partitions, plan.retention, plan.max_bytes),
        )
        topic, partitions = connection.execute(
            "SELECT id, partitions FROM topics WHERE name=?", (plan.name,)
        ).fetchone()
        connection.executemany(
            "INSERT OR IGNORE INTO partitions(topic, number) VALUES (?,?)", [(topic, n) for n in range(partitions)]
        )
