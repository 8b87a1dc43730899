"""The topics of dead letters, read once: the ledger keeps what they say of those that have no row.

Whoever lists dead letters reads what came since. So a list is never behind, whoever was away, and costs little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from router.contracts import Bus, Header, Ledger, Record, dlq_topic
from router.exchange import Origin

RESOLVED: Final = "resolved"
_RECORDS: Final = 2000
"""Kept at once: a topic that is read for the first time may be long."""


def read_topics(bus: Bus, ledger: Ledger, stages: Iterable[str], sinks: Iterable[str]) -> None:
    """Have the ledger know the dead letters without a row that came to these topics since they were last read.

    On the topics of sinks the others have one. Raises `Unavailable`.
    """
    topics = {dlq_topic(stage): "" for stage in stages} | {dlq_topic(sink): Header.DELIVERY for sink in sinks}
    for topic, identity in bus.identities(topics).items():
        _read_topic(bus, ledger, topic, identity, lacking=topics[topic])


def _read_topic(bus: Bus, ledger: Ledger, topic: str, identity: str, *, lacking: str) -> None:
    seen, ends = ledger.letters_seen(topic, identity), bus.ends(topic)
    if seen == ends:
        return
    if any(ends.get(partition, 0) < offset for partition, offset in seen.items()):
        forget_topic(ledger, topic)  # the bus was put back: what was read is no more
        seen = {}
    for records in _parts(bus.headlines(topic, lacking=lacking, begin=seen)):
        found, resolved = scan(records)
        places = {Origin.parse(place) for place in resolved if place}
        ledger.note_letters(topic, identity, list(found.values()), places, {})
    ledger.note_letters(topic, identity, [], (), ends)


def forget_topic(ledger: Ledger, topic: str) -> None:
    """Have it read anew: the bus or the ledger was put back from a copy."""
    ledger.note_letters(topic, "", [], (), {})


def scan(records: Iterable[Record]) -> tuple[dict[str, Record], set[str]]:
    """(dead letters by their place, without their bytes; places of those that were resolved)."""
    found: dict[str, Record] = {}
    resolved: set[str] = set()
    for record in records:
        if record.headers.get(Header.COMMAND) == RESOLVED:
            resolved.add(record.headers.get(Header.ORIGIN, ""))
        else:
            found[str(record.origin)] = record
    return found, resolved


def _parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    rest = iter(records)
    while part := list(islice(rest, _RECORDS)):
        yield part
