"""The embedded bus: SQLite in WAL mode with synchronous=FULL, shared by the processes of one machine."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from router.bus.merge import merged
from router.bus.sqlite.consumer import SqliteConsumer, records_of
from router.bus.sqlite.group import Membership, living, readers
from router.bus.sqlite.maintenance import apply_plans, differences, recreate, remove_below, remove_expired
from router.bus.sqlite.notifier import Notifier
from router.bus.sqlite.store import LONG_LOG, SEALED_VERSION, SHIFT, Store, Topic, mapped
from router.bus.sqlite.writer import Batch, SqliteWriter, prepared
from router.contracts import Consumer, Offsets, Outgoing, Partition, Producer, Record, Settle, TopicPlan
from router.errors import Fenced, OperatorFault
from router.exchange import Origin
from router.language import filled

_SCAN_ROWS: Final = 64


class SqliteBus:
    """`contracts.Bus` on one file; `<path>.locks/` beside it holds the locks of its processes.

    One object per process, for all its threads; open it after a fork, not before. Raises `Unavailable`
    (`BUS-FULL`, `BUS-LOCKED`, `BUS-IO`…) for what may pass, `OperatorFault` for what a person must mend.

    partitions: of topics that are used before they are planned
    max_pages:  limit of the file, in pages of 4 KiB (of 8 KiB in a file of an earlier version); None = the disk
    """

    def __init__(self, path: Path, *, partitions: int = 8, max_pages: int | None = None) -> None:
        with mapped():
            self._locks = path.with_name(path.name + ".locks")
            self._locks.mkdir(parents=True, exist_ok=True)
            self._store = Store(path, max_pages)
            self._notifier = Notifier(self._locks / "bell")
            self._writer = SqliteWriter(self._store, self._locks, self._notifier, partitions)
        self._writer.prepare()
        with mapped():
            self._store.anchor(self._locks / "write.lock")

    def holds_sealed(self) -> None:
        """From now on the file may hold sealed records: an older router, which would take them for messages, must not
        open it."""
        self._writer.run(lambda connection: connection.execute(f"PRAGMA user_version={SEALED_VERSION}"))

    def producer(self, name: str) -> Producer:
        """A producer under a stable name: from now on its predecessor of that name is `Fenced`."""
        return SqliteProducer(self._writer, name, self._writer.run(lambda connection: _next_epoch(connection, name)))

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callable[[frozenset[Partition]], None] | None = None,
        revoked: Callable[[frozenset[Partition]], None] | None = None,
    ) -> Consumer:
        """Join `group`. While a living predecessor holds the same `member` name, polls give nothing."""
        self._writer.ensure(topics)
        known = {name: self._topic(name) for name in topics}
        ids = [(group, number) for topic in known.values() for number in topic.ids]
        self._writer.run(
            lambda connection: connection.executemany("INSERT OR IGNORE INTO offsets VALUES (?,?,NULL)", ids)
        )
        with mapped():
            joined = self._notifier.sign(f"group {group}")
            membership = Membership(self._locks, group, member, {name: len(t.ids) for name, t in known.items()}, joined)
        return SqliteConsumer(
            self._store,
            self._writer,
            notifier=self._notifier,
            group=group,
            topics=known,
            membership=membership,
            assigned=assigned,
            revoked=revoked,
        )

    def read(self, origin: Origin) -> Record | None:
        with mapped(), self._store.reader() as connection:
            topic = self._store.topic(connection, origin.topic)
            if topic is None or not 0 <= origin.partition < len(topic.ids):
                return None
            rows = connection.execute(
                "SELECT id, key, headers, timestamp, value FROM records WHERE id=?",
                (topic.ids[origin.partition] << SHIFT | origin.offset,),
            )
            return next(records_of(Partition(origin.topic, origin.partition), rows), None)

    def scan(self, topic: str, *, newest_first: bool = False, limit: int | None = None) -> Iterator[Record]:
        """Records by time, over all partitions; read in small slices."""
        with mapped(), self._store.reader() as connection:
            known = self._store.topic(connection, topic)
        if known is None:
            return
        parts = [self._scan_partition(known, number, newest_first) for number in range(len(known.ids))]
        yield from merged(parts, newest_first=newest_first, limit=limit)

    def headlines(self, topic: str, *, lacking: str = "", begin: Offsets | None = None) -> Iterator[Record]:
        """See the contract. SQLite looks at the headers' text, which holds `"name":` where there is that header."""
        with mapped(), self._store.reader() as connection:
            known = self._store.topic(connection, topic)
            found: list[Record] = []
            for number, id_ in enumerate(known.ids if known else ()):
                first = (begin or {}).get(Partition(topic, number), 0)
                rows = connection.execute(
                    "SELECT r.id, r.key, r.headers, r.timestamp, x'' FROM records r, partitions p"
                    " WHERE p.id=? AND r.id>=(p.id<<?)+max(p.first, ?) AND r.id<(p.id<<?)+p.next"
                    " AND (?='' OR instr(r.headers, ?)=0) ORDER BY r.id",
                    (id_, SHIFT, first, SHIFT, lacking, f"{json.dumps(lacking)}:"),
                )
                found += records_of(Partition(topic, number), rows)
        return iter(sorted(found, key=lambda record: (record.timestamp, record.partition, record.offset)))

    def _scan_partition(self, topic: Topic, number: int, newest_first: bool) -> Iterator[Record]:
        base = topic.ids[number] << SHIFT
        with mapped(), self._store.reader() as connection:
            first, upper = connection.execute(
                "SELECT first, next FROM partitions WHERE id=?", (topic.ids[number],)
            ).fetchone()
        low, high = base + first, base + upper
        order = "DESC" if newest_first else "ASC"
        while low < high:
            with mapped(), self._store.reader() as connection:
                places = connection.execute(
                    f"SELECT id FROM records WHERE id>=? AND id<? ORDER BY id {order} LIMIT ?",  # noqa: S608
                    (low, high, _SCAN_ROWS),
                ).fetchall()
            if not places:
                return
            for (place,) in places:
                record = self.read(Origin(topic.name, number, place - base))
                if record is not None:
                    yield record
            low, high = (low, places[-1][0]) if newest_first else (places[-1][0] + 1, high)

    def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create what is missing; retention and size follow the plan, the partition count never does."""
        self._writer.run(lambda connection: apply_plans(connection, plans))
        with mapped(), self._store.reader() as connection:
            self._store.reload(connection)

    def migrate(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        """Give drained topics their planned partition count; returns the names of those that were made anew.

        Their records, all consumed, are gone; nothing else may use the file. Raises `OperatorFault` for a topic
        that is not drained or still read.
        """
        with mapped(), self._store.reader() as connection:
            known = self._store.reload(connection)
        changed = [plan for plan in plans if plan.name in known and len(known[plan.name].ids) != plan.partitions]
        for plan in changed:
            if readers(self._locks, plan.name):
                raise OperatorFault(
                    "BUS-TOPIC",
                    plan.name,
                    filled("topic {topic} is still read: stop the router first", topic=plan.name),
                )
            self._writer.run(lambda connection, plan=plan: recreate(connection, plan))  # type: ignore[misc]
        with mapped(), self._store.reader() as connection:
            self._store.reload(connection)
        return [plan.name for plan in changed]

    def check(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        with mapped(), self._store.reader() as connection:
            return differences(connection, plans)

    def lag(self, group: str) -> Mapping[Partition, int]:
        with mapped(), self._store.reader() as connection:
            rows = connection.execute(
                "SELECT t.name, p.number, p.next - max(p.first, coalesce(o.next, 0)) FROM offsets o "
                "JOIN partitions p ON p.id=o.partition JOIN topics t ON t.id=p.topic WHERE o.groupname=?",
                (group,),
            )
            return {Partition(name, number): max(0, behind) for name, number, behind in rows}

    def positions(self, group: str) -> Mapping[Partition, int]:
        with mapped(), self._store.reader() as connection:
            rows = connection.execute(
                "SELECT t.name, p.number, o.next FROM offsets o JOIN partitions p ON p.id=o.partition "
                "JOIN topics t ON t.id=p.topic WHERE o.groupname=? AND o.next IS NOT NULL",
                (group,),
            )
            return {Partition(name, number): at for name, number, at in rows}

    def living(self, groups: Collection[str]) -> Mapping[str, Sequence[str]]:
        with mapped():
            return {group: living(self._locks, group) for group in groups}

    def unheard(self) -> Sequence[str]:
        """None: who lives holds a lock, which nobody takes from him."""
        return ()

    def identities(self, topics: Collection[str]) -> Mapping[str, str]:
        """That of the file; it has kept one since its first opening by this version."""
        identity = self._store.identity
        with mapped(), self._store.reader() as connection:
            known = self._store.reload(connection)
        return {topic: identity for topic in topics if topic in known}

    def ends(self, topic: str) -> Mapping[Partition, int]:
        with mapped(), self._store.reader() as connection:
            rows = connection.execute(
                "SELECT p.number, p.next FROM partitions p JOIN topics t ON t.id=p.topic WHERE t.name=?", (topic,)
            )
            return {Partition(topic, number): end for number, end in rows}

    def trim(self, partition: Partition, below: int) -> None:
        topic = self._topic(partition.topic)
        remove_below(self._writer, topic.ids[partition.number], below)

    def maintain(self, now: float | None = None) -> int:
        """Remove records older than their topic's retention, in small transactions; returns how many.

        What a group has not consumed stays, however old: nothing is lost because a sink was down for long.
        """
        moment = time.time() if now is None else now
        with mapped(), self._store.reader() as connection:
            topics = self._store.reload(connection)
        return sum(remove_expired(self._store, self._writer, topic, moment) for topic in topics.values())

    def checkpoint(self) -> int:
        """Copy the log into the file beside the writers; else the commit that fills it up does, and makes all wait.

        They go on writing meanwhile. So when the log has grown long, what is left is copied in a turn of our own: the
        next writer begins it anew. Returns how many pages it had, copied ones too.
        """
        with mapped(), self._store.reader() as connection:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages >= LONG_LOG:
            self._writer.checkpoint()
        return int(pages)

    def close(self) -> None:
        self._writer.close()
        self._store.close()
        self._notifier.close()

    def _topic(self, name: str) -> Topic:
        with mapped(), self._store.reader() as connection:
            topic = self._store.topic(connection, name)
        if topic is None:
            self._writer.ensure([name])
            return self._topic(name)
        return topic


class SqliteProducer:
    """`contracts.Producer`: every batch is one transaction. Any thread; threads share commits."""

    def __init__(self, writer: SqliteWriter, name: str, epoch: int) -> None:
        self._writer = writer
        self._identity = (name, epoch)
        self._closed = False

    def publish(self, records: Sequence[Outgoing], *, settle: Settle | None = None) -> Sequence[Origin]:
        """See the contract. Raises `Invalid` (`BUS-SIZE`) for a record larger than its topic takes."""
        if self._closed:
            raise Fenced("BUS-PRODUCER", self._identity[0], "this producer is closed")
        if not records and settle is None:
            return ()
        batch = Batch(records=[prepared(record) for record in records], producer=self._identity)
        if settle is not None:
            if not isinstance(settle.consumer, SqliteConsumer):
                raise TypeError("a transaction settles offsets of its own bus only")
            batch.owner, batch.offsets = settle.consumer, tuple(settle.offsets.items())
        return self._writer.commit(batch).origins

    def close(self) -> None:
        self._closed = True


def _next_epoch(connection: sqlite3.Connection, name: str) -> int:
    connection.execute(
        "INSERT INTO producers(name, epoch) VALUES (?,1) ON CONFLICT(name) DO UPDATE SET epoch=epoch+1", (name,)
    )
    row = connection.execute("SELECT epoch FROM producers WHERE name=?", (name,)).fetchone()
    return int(row[0])
