"""Plans and cleaning of the embedded bus."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from router.bus.plans import not_drained, partitions_differ
from router.bus.sqlite.store import SHIFT, Store, Topic, mapped
from router.bus.sqlite.writer import SqliteWriter, create_topics
from router.contracts import TopicPlan
from router.errors import OperatorFault
from router.language import N_, filled, filled_plural
from router.locks import make_way

_ROWS: Final = 200
_BYTES: Final = 8 * 1024 * 1024
"""Records, and bytes of records, removed per transaction: writers never wait long behind the cleaning.

Debian's SQLite writes zeros over what it deletes, all of it through its log."""


def apply_plans(connection: sqlite3.Connection, plans: Sequence[TopicPlan]) -> None:
    """Create and adjust, inside the caller's transaction. Raises OperatorFault when a keyed topic would change."""
    present = _present(connection)
    wrong = [text for plan in plans if (text := _partition_trouble(present, plan))]
    if wrong:
        raise OperatorFault("BUS-TOPIC", "", "\n".join(wrong))
    create_topics(connection, plans)
    connection.executemany(
        "UPDATE topics SET retention=?, max_bytes=? WHERE name=?",
        [(plan.retention, plan.max_bytes, plan.name) for plan in plans],
    )


def differences(connection: sqlite3.Connection, plans: Sequence[TopicPlan]) -> list[str]:
    """One sentence per way in which the file differs from the plans."""
    present = _present(connection)
    found = []
    for plan in plans:
        if plan.name not in present:
            found.append(
                filled("topic {topic} does not exist: `segur-router topics apply` creates it", topic=plan.name)
            )
            continue
        _, retention, max_bytes = present[plan.name]
        if trouble := _partition_trouble(present, plan):
            found.append(trouble)
        if retention != plan.retention:
            found.append(
                filled(
                    "topic {topic} keeps its records {what}, planned: {text}",
                    topic=plan.name,
                    what=_days(retention),
                    text=_days(plan.retention),
                )
            )
        if max_bytes != plan.max_bytes:
            found.append(
                filled(
                    "topic {topic} takes records up to {bytes} bytes, planned: {planned}",
                    topic=plan.name,
                    bytes=max_bytes,
                    planned=plan.max_bytes,
                )
            )
    return found


def recreate(connection: sqlite3.Connection, plan: TopicPlan) -> None:
    """Make a drained topic anew with the plan's partitions, inside the caller's transaction.

    Raises OperatorFault while something in it is not consumed (or, in a topic that never expires, not resolved).
    """
    waiting = connection.execute(
        "SELECT coalesce(sum(p.next - max(p.first, coalesce(o.next, 0))), 0) FROM topics t "
        "JOIN partitions p ON p.topic=t.id LEFT JOIN offsets o ON o.partition=p.id WHERE t.name=?",
        (plan.name,),
    ).fetchone()[0]
    if waiting > 0:
        raise OperatorFault("BUS-TOPIC", plan.name, not_drained(plan.name, waiting))
    ids = connection.execute(
        "SELECT p.id FROM partitions p JOIN topics t ON t.id=p.topic WHERE t.name=?", (plan.name,)
    ).fetchall()
    for (partition,) in ids:
        connection.execute("DELETE FROM records WHERE id>=? AND id<?", (partition << SHIFT, (partition + 1) << SHIFT))
    connection.executemany("DELETE FROM offsets WHERE partition=?", ids)
    connection.executemany("DELETE FROM partitions WHERE id=?", ids)
    connection.execute("DELETE FROM topics WHERE name=?", (plan.name,))
    create_topics(connection, [plan])


def remove_below(writer: SqliteWriter, partition: int, below: int) -> int:
    """Remove the records of a partition under an offset; returns how many."""
    removed, base = 0, partition << SHIFT
    while True:

        def some(connection: sqlite3.Connection) -> tuple[int, int]:
            first, upper = connection.execute("SELECT first, next FROM partitions WHERE id=?", (partition,)).fetchone()
            end = min(below, upper, first + _ROWS)
            if end <= first:
                return 0, first
            end = _affordable(connection, base, first, end)
            connection.execute("UPDATE partitions SET first=? WHERE id=?", (end, partition))
            gone = connection.execute("DELETE FROM records WHERE id>=? AND id<?", (base + first, base + end))
            return gone.rowcount, end

        begun = time.monotonic()
        count, end = writer.run(some)
        removed += count
        if not count or end >= below:
            return removed
        make_way(begun)


def _affordable(connection: sqlite3.Connection, base: int, first: int, end: int) -> int:
    """The offset below `end` up to which the bytes may be removed at once; one oversize record alone."""
    sizes = connection.execute(
        "SELECT id - ?1, length(value) FROM records WHERE id>=?1+?2 AND id<?1+?3 ORDER BY id", (base, first, end)
    )
    left = _BYTES
    for offset, size in sizes.fetchall():
        if size > left and left < _BYTES:
            return int(offset)
        left -= size
    return end


def remove_expired(store: Store, writer: SqliteWriter, topic: Topic, now: float) -> int:
    """Remove what is older than the topic's retention and was consumed by every group that reads it."""
    if topic.retention is None:
        return 0
    removed = 0
    for partition in topic.ids:
        with mapped(), store.reader() as connection:
            below = _expired_below(connection, partition, now - topic.retention)
        if below is not None:
            removed += remove_below(writer, partition, below)
    return removed


def _expired_below(connection: sqlite3.Connection, partition: int, before: float) -> int | None:
    """The offset under which everything may go; None when nothing may. Found by halving: times only rise."""
    first, upper = connection.execute("SELECT first, next FROM partitions WHERE id=?", (partition,)).fetchone()
    pinned = connection.execute(
        "SELECT min(coalesce(next, 0)) FROM offsets WHERE partition=?", (partition,)
    ).fetchone()[0]
    low, high = first, upper if pinned is None else min(upper, pinned)
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT timestamp FROM records WHERE id=?", (partition << SHIFT | middle,)).fetchone()
        if row is None or row[0] < before:
            low = middle + 1
        else:
            high = middle
    return low if low > first else None


def _present(connection: sqlite3.Connection) -> dict[str, tuple[int, float | None, int]]:
    rows = connection.execute("SELECT name, partitions, retention, max_bytes FROM topics")
    return {name: (partitions, retention, size) for name, partitions, retention, size in rows}


def _partition_trouble(present: dict[str, tuple[int, float | None, int]], plan: TopicPlan) -> str:
    if plan.name not in present or present[plan.name][0] == plan.partitions:
        return ""
    return partitions_differ(plan, present[plan.name][0])


def _days(seconds: float | None) -> str:
    return N_("for ever") if seconds is None else filled_plural("for {count} day", "for {count} days", seconds / 86_400)
