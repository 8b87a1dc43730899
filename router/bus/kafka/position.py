"""Where a member of a group reads on: what the group has committed, or the first record that there is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from router.errors import OperatorFault

_ASK_MS: Final = 5000
"""After so many milliseconds without an answer the coordinator is asked again."""


def begin(raw: KafkaConsumer, places: Sequence[TopicPartition]) -> None:
    """What was just assigned: where the group never committed, at the first record."""
    fresh = [place for place in places if _committed(raw, place) is None]
    if fresh:
        for place, first in raw.beginning_offsets(fresh).items():
            raw.seek(place, first)


def go_on(raw: KafkaConsumer, places: Sequence[TopicPartition]) -> None:
    """What stood at our position was trimmed, or we never had one: go on at the first record there is.

    Raises `OperatorFault` for a topic that ends before it: what is written there next would be passed over.
    """
    if not places:
        return
    firsts, ends = raw.beginning_offsets(places), raw.end_offsets(places)
    for place in places:
        known = _position(raw, place)
        wanted = _committed(raw, place) if known is None else known
        if wanted is not None and wanted > ends[place]:
            text = "the topic ends before what we have read of it: it was made anew, or its replicas lost records"
            raise OperatorFault("KAFKA-TRUNCATED", f"{place.topic}-{place.partition}", text)
        if wanted is None or wanted < firsts[place]:
            wanted = firsts[place]
        if wanted != known:
            raw.seek(place, wanted)


def _committed(raw: KafkaConsumer, place: TopicPartition) -> int | None:
    found: int | None = raw.committed(place, timeout_ms=_ASK_MS)
    return found


def _position(raw: KafkaConsumer, place: TopicPartition) -> int | None:
    with suppress(KafkaError):
        found: int | None = raw.position(place, timeout_ms=1000)
        return found
    return None
