"""A keyed topic never changes its partition count in place: once drained it is made anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import NoError

from router.bus.kafka.errors import mapped
from router.bus.kafka.topics import Topics, places
from router.bus.plans import not_drained
from router.contracts import TopicPlan
from router.errors import OperatorFault
from router.language import filled

Positions = dict[TopicPartition, int]
Holds = Callable[[TopicPartition, int, int], bool]
"""Says whether a partition holds a record between two offsets. End markers of transactions are not records."""


def migrate(admin: KafkaAdminClient, topics: Topics, plans: Sequence[TopicPlan], holds: Holds) -> list[str]:
    """Give drained topics their planned partitions; returns the names of those that were made anew.

    Raises `OperatorFault` while a group has not consumed one of them, or still reads it; then none was touched.
    """
    counts = topics.counted(plans)
    changed = [plan for plan in plans if counts.get(plan.name, plan.partitions) != plan.partitions]
    readers = {plan.name: _drained(admin, plan.name, places(plan.name, counts[plan.name]), holds) for plan in changed}
    for plan in changed:
        _forget_readers(admin, plan.name, readers[plan.name])
        topics.recreate(plan)
    return [plan.name for plan in changed]


def _drained(admin: KafkaAdminClient, topic: str, old: list[TopicPartition], holds: Holds) -> dict[str, Positions]:
    """The groups that read the topic, and where they stand. Raises `OperatorFault` unless each has read all of it."""
    with mapped():
        ends = {p: at.offset for p, at in admin.list_partition_offsets(dict.fromkeys(old, OffsetSpec.LATEST)).items()}
        firsts = admin.list_partition_offsets(dict.fromkeys(old, OffsetSpec.EARLIEST))
        starts = {place: at.offset for place, at in firsts.items()}
        readers = {}
        for group in admin.list_groups():
            offsets = admin.list_group_offsets(group["group_id"]).get(group["group_id"], {})
            known = {place: found.offset for place, found in offsets.items() if place in starts and found.offset >= 0}
            if known:
                readers[group["group_id"]] = known
    waiting = 0
    for known in readers.values() if readers else [starts]:
        for place in old:
            at = max(known.get(place, starts[place]), starts[place])
            if at < ends[place] and holds(place, at, ends[place]):
                waiting += ends[place] - at
    if waiting:
        raise OperatorFault("KAFKA-TOPIC", topic, not_drained(topic, waiting))
    return readers


def _forget_readers(admin: KafkaAdminClient, topic: str, readers: dict[str, Positions]) -> None:
    """The groups begin at the first record of the new topic. Raises `OperatorFault` while a member reads it."""
    with mapped():
        answers = {group: admin.delete_group_offsets(group, list(known)) for group, known in readers.items()}
    for group, by_place in answers.items():
        if any(answer is not NoError for answer in by_place.values()):
            raise OperatorFault(
                "KAFKA-TOPIC",
                topic,
                filled("a member of group {group} still reads it: stop the router, then try again", group=group),
            )
