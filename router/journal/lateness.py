"""How late the journal is on the bus: whoever shows a story must say whether its end may be missing."""

from __future__ import annotations

from collections import Counter
from typing import Final

from router.contracts import Bus, Record
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
        unread = [record for topic, count in waiting.items() for record in _newest(bus, topic, count)]
    except Unavailable:
        return None
    if not unread:
        return 0.0
    written = journal.written_up_to() if max(waiting.values()) > _LOOKED_AT else None
    return max(0.0, now - (written or min(record.timestamp for record in unread)))


def _newest(bus: Bus, topic: str, count: int) -> list[Record]:
    return list(bus.scan(topic, newest_first=True, limit=min(count, _LOOKED_AT))) if count else []
