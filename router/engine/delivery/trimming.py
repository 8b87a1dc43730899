"""Removes, from topics that never expire, what lies below the oldest record still needed (architecture §trimming).

Of `held.<sink>` and `dlq.<sink>` the ledger says what is needed: the bytes of unfinished and of dead rows, and of those
that a person gave up as long as that may be taken back. Of dead letters without a row (intake, pipelines, records that
were no deliveries) the topic itself does: those that no `resolved` record names.

Bytes are published before the row that points to them is saved. So only records are trimmed that already stood there
an interval ago, when the ledger did not need them yet: nothing takes so long between the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.contracts import Bus, Clock, Ledger, Offsets, Partition, dlq_topic, held_topic
from router.engine.dead_letters.listing import STAGES, unresolved
from router.engine.dead_letters.reading import read_topics
from router.engine.delivery.command_handler import TAKEN_BACK_WITHIN
from router.exchange import Origin

INTERVAL: Final = 3600.0
"""Seconds between two trimmings."""


def trimmable(ends: Offsets, needed: Iterable[Origin]) -> dict[Partition, int]:
    """Per partition of one topic, the offset below which nothing is needed: the oldest needed record, or its end."""
    bounds = dict(ends)
    for origin in needed:
        partition = Partition(origin.topic, origin.partition)
        if partition in bounds:
            bounds[partition] = min(bounds[partition], origin.offset)
    return bounds


class Trimmer:
    """Trims the topics of these sinks and of the other stages. Belongs to one thread of one process of the site."""

    def __init__(self, bus: Bus, sinks: Iterable[str], clock: Clock, *, interval: float = INTERVAL) -> None:
        self._bus = bus
        self._clock = clock
        self._sinks = tuple(sinks)
        self._interval = interval
        self._ends: dict[str, Offsets] = {}
        self._looked: float | None = None
        self._trimmed: dict[Partition, int] = {}

    def trim(self, ledger: Ledger, now: float) -> int:
        """Trim what the last interval made superfluous, if one is over; `now` is monotonic. Returns how many
        partitions got shorter. Raises `Unavailable`."""
        if self._looked is not None and now - self._looked < self._interval:
            return 0
        read_topics(self._bus, ledger, STAGES, self._sinks)  # what resolves a dead letter must be known before it goes
        shortened = sum(self._topic(topic, self._needed(ledger, topic, sink)) for topic, sink in self._topics())
        self._ends = {topic: self._bus.ends(topic) for topic, _ in self._topics()}
        self._looked = now
        return shortened

    def _topics(self) -> list[tuple[str, str]]:
        """(topic, its sink or "")."""
        of_sinks = [(topic(sink), sink) for sink in self._sinks for topic in (held_topic, dlq_topic)]
        return [*of_sinks, *((dlq_topic(stage), "") for stage in STAGES)]

    def _needed(self, ledger: Ledger, topic: str, sink: str) -> list[Origin]:
        if not self._ends.get(topic):
            return []
        since = self._clock.now() - TAKEN_BACK_WITHIN
        rows = [origin for origin in ledger.needed(sink, since) if origin.topic == topic] if sink else []
        dead_letters = unresolved(self._bus, topic, rowless=bool(sink)) if topic != held_topic(sink) else []
        return [*rows, *(record.origin for record in dead_letters)]

    def _topic(self, topic: str, needed: Iterable[Origin]) -> int:
        shortened = 0
        for partition, below in trimmable(self._ends.get(topic, {}), needed).items():
            if below > self._trimmed.get(partition, 0):
                self._bus.trim(partition, below)
                self._trimmed[partition] = below
                shortened += 1
        return shortened
