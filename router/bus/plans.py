"""What each topic must be: partitions, retention, size; and which partition a key goes to."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from router.contracts import (
    JOURNAL,
    RECEIPTS,
    TopicPlan,
    dlq_topic,
    held_topic,
    in_topic,
    out_topic,
    raw_topic,
)
from router.language import filled_plural
from router.structures import Environment

DAY: Final = 86_400.0
MIB: Final = 1024 * 1024

MAX_BYTES: Final = 40 * MIB
"""A frame of 32 MiB at most, with what the router adds to it (the order of a delivery)."""
PARTITIONS: Final = {"production": 24, "qualification": 8}
SHARED_PARTITIONS: Final = 8
"""Partitions of `receipts`, `journal` and the dead letters. No throughput depends on them."""

#: Beginning of a topic's name -> seconds it keeps its records; None = until they are resolved, then trimmed.
#: 14 days or more: Kafka forgets the offsets of an empty group after 7 days.
RETENTION: Final[dict[str, float | None]] = {
    "raw.": 14 * DAY,
    "in.": 30 * DAY,
    "out.": 30 * DAY,
    "held.": None,
    "dlq.": None,
    RECEIPTS: 365 * DAY,
    JOURNAL: 365 * DAY,
}

ANSWERS_KEPT: Final = 14 * DAY
"""How long topics keep the answers for outside producers: also for one that was down over a holiday."""


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same on every bus, process and version."""
    return zlib.crc32(key.encode()) % partitions


def default_plan(topic: str, partitions: int = 8) -> TopicPlan:
    """The plan of a topic nobody planned; a name outside the table keeps its records for ever."""
    retention = next((seconds for start, seconds in RETENTION.items() if topic.startswith(start)), None)
    return TopicPlan(topic, partitions, retention, MAX_BYTES)


def site_plans(
    feeds: Iterable[str],
    sinks: Iterable[str],
    *,
    raw_feeds: Iterable[str] = (),
    ack_topics: Iterable[str] = (),
    environment: Environment = "production",
    partitions: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> list[TopicPlan]:
    """Every topic of a site, in the order of the flow.

    feeds:      names of all feeds; raw_feeds: those that outside producers also write to
    ack_topics: topics of the answers to them
    sinks:      names of all sink instances (`mssante.chu`)
    partitions: of the keyed topics; default by environment. It never changes in place.
    """
    keyed = partitions or PARTITIONS[environment]
    shared = min(keyed, SHARED_PARTITIONS)
    sinks = list(sinks)
    wanted = [(raw_topic(feed), keyed) for feed in raw_feeds]
    wanted += [(in_topic(feed), keyed) for feed in feeds]
    for sink in sinks:
        wanted += [(out_topic(sink), keyed), (held_topic(sink), shared)]
    wanted += [(dlq_topic(stage), shared) for stage in ("intake", "pipeline", *sinks)]
    wanted += [(RECEIPTS, shared), (JOURNAL, shared)]
    plans = [TopicPlan(name, count, default_plan(name).retention, max_bytes) for name, count in wanted]
    return plans + [TopicPlan(name, shared, ANSWERS_KEPT, max_bytes) for name in sorted(set(ack_topics))]


def not_drained(topic: str, waiting: int) -> str:
    """Why a topic can't be migrated yet."""
    return filled_plural(
        "topic {topic} still holds {count} record that some group has not consumed: stop what writes to it, let "
        "the workers finish, stop them, and try again",
        "topic {topic} still holds {count} records that some group has not consumed: stop what writes to it, let "
        "the workers finish, stop them, and try again",
        waiting,
        topic=topic,
    )


def partitions_differ(plan: TopicPlan, present: int) -> str:
    """Why a topic does not keep its plan, and what changes that."""
    return filled_plural(
        "topic {topic} has {count} partition, planned: {planned}; a keyed topic never changes its partition count "
        "in place: `segur-router topics migrate`",
        "topic {topic} has {count} partitions, planned: {planned}; a keyed topic never changes its partition count "
        "in place: `segur-router topics migrate`",
        present,
        topic=plan.name,
        planned=plan.partitions,
    )
