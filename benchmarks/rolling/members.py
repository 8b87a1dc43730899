"""The static members of the consumer groups, as the broker lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafka import KafkaAdminClient


def absent(found: Mapping[str, Sequence[str]], pods: Iterable[str]) -> list[str]:
    """Those pods under whose name no group has a member. A sinks pod has one for each sink: `sinks-0-hl7.dpi`."""
    names = {name for members in found.values() for name in members}
    return [pod for pod in pods if not any(name == pod or name.startswith(f"{pod}-") for name in names)]


def members(servers: str) -> dict[str, list[str]]:
    """Group -> sorted names (`group.instance.id`) of those that are in it now; groups without a name are left out."""
    client = KafkaAdminClient(bootstrap_servers=servers)
    try:
        groups = [one["group_id"] for one in client.list_groups()]
        told = client.describe_groups(groups)
        found = {
            group: sorted(str(one["group_instance_id"]) for one in said["members"] if one["group_instance_id"])
            for group, said in told.items()
        }
    finally:
        client.close()
    return {group: names for group, names in found.items() if names}
