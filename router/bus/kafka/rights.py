"""What our account may do in the cluster, as the brokers say themselves (KIP-430); docs/kafka.md has the list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kafka.admin import KafkaAdminClient

Rights = dict[tuple[str, str], tuple[str, ...]]
"""(`topic`, `group` or `cluster`, its name) -> operations that are lacking, as kafka-acls spells them."""

_TOPIC: Final = ("Read", "Write", "Describe", "DescribeConfigs", "Delete")
_GROUP: Final = ("Read", "Describe")
_CLUSTER: Final = ("Describe", "DescribeConfigs")


def lacking(admin: KafkaAdminClient, topics: Sequence[str], groups: Sequence[str]) -> Rights:
    """What the router needs and our account may not; nothing where the brokers don't say. Raises kafka's errors."""
    found: Rights = {}
    described = [topic for topic in admin.describe_topics(list(topics)) if topic["partitions"]]
    for topic in described:
        found |= _missing("topic", topic["name"], topic, _TOPIC)
    for name, group in admin.describe_groups(list(groups)).items():
        found |= _missing("group", name, group, _GROUP)
    return found | _missing("cluster", "", admin.describe_cluster(), _CLUSTER)


def _missing(kind: str, name: str, described: Mapping[str, Any], needed: Iterable[str]) -> Rights:
    allowed = set(_spelled(described))
    left = tuple(operation for operation in needed if operation.upper() not in allowed)
    return {(kind, name): left} if allowed and left else {}


def _spelled(described: Mapping[str, Any]) -> Iterator[str]:
    """`DESCRIBE_CONFIGS` as `DESCRIBECONFIGS`; nothing when the broker was not asked, or can't say."""
    for name in ("authorized_operations", "topic_authorized_operations", "cluster_authorized_operations"):
        operations = described.get(name)
        if isinstance(operations, list):
            yield from (str(operation).replace("_", "").upper() for operation in operations)
