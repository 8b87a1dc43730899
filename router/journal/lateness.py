"""How late the journal is on the bus: whoever shows a story must say whether its end may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from router.contracts import Bus, Offsets, Partition, Record
from router.errors import Unavailable
from router.journal.store import Journal
from router.journal.worker import GROUP

_LOOKED_AT: Final = 200
"""Unread records whose age is looked at; of a longer queue, the journal's own progress tells the age."""


def behind(bus: Bus, journal: Journal, now: float) -> float | None:
    """Seconds since the oldest record that the journal has not read: 0 without one, None when nobody knows."""
    waiting: Counter[str] = Counter()
    try:
        for partition, count in bus.lag(GROUP).items():
            waiting[partition.topic] += count
        topics = [topic for topic, count in waiting.items() if count]
        read = bus.positions(GROUP) if topics else {}
        unread = [record for topic in topics for record in _newest(bus, topic, read)]
    except Unavailable:
        return None
    if not unread:
        return 0.0
    written = journal.written_up_to() if max(waiting.values()) > _LOOKED_AT else None
    return max(0.0, now - (written or min(record.timestamp for record in unread)))


def _newest(bus: Bus, topic: str, read: Offsets) -> Iterator[Record]:
    """Those not read. Kafka counts the end markers of transactions too: where only one waits, no record does."""
    for record in bus.scan(topic, newest_first=True, limit=_LOOKED_AT):
        if record.offset >= read.get(Partition(topic, record.partition), 0):
            yield record
