"""From a record of `in.<feed>` to the event, and to the claim on its id in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pybase64

from router.contracts import Claim, Header, Partition, Record
from router.errors import OperatorFault
from router.exchange import Event
from router.wire import read_event


def read(record: Record, feed: str) -> Event:
    """The event, under the feed of its topic. One without the headers we write has no id: it is refused.

    Raises `OperatorFault` (`EVENT-FORMAT`) for one that a newer version wrote.
    """
    try:
        event = read_event(record)
        _sensible(event)
    except (KeyError, ValueError):
        return Event("", feed, record.key, record.value, record.headers, record.origin)
    return event if event.feed == feed else replace(event, feed=feed)


def readable(
    records: Sequence[Record], feeds: Mapping[str, str]
) -> tuple[list[Record], list[Event], dict[Partition, tuple[Record, OperatorFault]]]:
    """The records that this version can read, their events, and by partition the first that it can't, with the fault.

    What follows that one in its partition is left out too: it keeps its place behind it. The records come without
    their bytes: the events have them, and a large one is not to be held twice. feeds: topic -> feed
    """
    able: list[Record] = []
    events: list[Event] = []
    newer: dict[Partition, tuple[Record, OperatorFault]] = {}
    for record in records:
        place = Partition(record.topic, record.partition)
        if place in newer:
            continue
        try:
            events.append(read(record, feeds[record.topic]))
            able.append(replace(record, value=b""))
        except OperatorFault as fault:
            newer[place] = replace(record, value=b""), fault
    return able, events, newer


def _sensible(event: Event) -> None:
    """Raise `ValueError` when a header that will be read as a number or as bytes can't be."""
    headers = event.headers
    pybase64.b64decode(headers.get(Header.ACK_BYTES, ""), validate=True)
    float(headers.get(Header.RECEIVED) or 0)
    int(headers.get("replay", "1"))


def claim(event: Event, now: float) -> Claim:
    """The claim by which the event owns its id; with the ACK that a sender who repeats himself gets."""
    if event.origin is None:
        raise LookupError("an event that was read has an origin")
    ack = pybase64.b64decode(event.headers.get(Header.ACK_BYTES, ""))
    return Claim(event.id, event.origin, ack, now)


def claim_of(record: Record, now: float) -> Claim | None:
    """The claim of a record of `in.<feed>`, as the worker makes it; None for what it refuses as no event of ours.

    Raises `OperatorFault` (`EVENT-FORMAT`) for one that a newer version wrote.
    """
    event = read(record, "")
    return claim(event, now) if event.id else None
