"""Which rights our account lacks, from what brokers say of them (KIP-430): shapes as kafka-python gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from router.bus.kafka.rights import lacking

ALL = ["READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]


def _admin(topic: list[str] | None, group: list[str] | None, cluster: list[str] | None) -> Any:
    def with_rights(value: dict[str, Any], operations: list[str] | None) -> dict[str, Any]:
        return value if operations is None else value | {"authorized_operations": operations}

    return SimpleNamespace(
        describe_topics=lambda names: [with_rights({"name": name, "partitions": [0]}, topic) for name in names],
        describe_groups=lambda names: {name: with_rights({}, group) for name in names},
        describe_cluster=lambda: with_rights({}, cluster),
    )


def test_an_account_with_every_right_lacks_none() -> None:
    """Nor does one of which the brokers say nothing."""
    assert lacking(_admin(ALL, ALL, ALL), ["in.sil"], ["pipelines"]) == {}
    assert lacking(_admin(None, None, None), ["in.sil"], ["pipelines"]) == {}


def test_what_is_lacking_is_named_as_kafka_acls_spells_it() -> None:
    """By topic, by group, and for the cluster."""
    found = lacking(_admin(["DESCRIBE", "READ"], ["DESCRIBE"], ["DESCRIBE"]), ["in.sil"], ["pipelines"])
    assert found == {
        ("topic", "in.sil"): ("Write", "DescribeConfigs", "Delete"),
        ("group", "pipelines"): ("Read",),
        ("cluster", ""): ("DescribeConfigs",),
    }
