"""What the brokers' own settings forbid us to promise, in sentences that say what to set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from router.bus.plans import DAY, MIB
from router.bus.settings import KafkaConfig
from router.language import filled, filled_plural

_OFFSETS_KEPT: Final = 14 * DAY
_REQUEST_ROOM: Final = 10 * MIB
"""A request carries one batch of 8 MiB at most beside its framing, or one oversize record alone."""


def shortcomings(admin: KafkaAdminClient, config: KafkaConfig, max_bytes: int) -> list[str]:
    """One sentence per promise that the cluster can't keep. max_bytes: the largest record of any topic planned."""
    cluster = admin.describe_cluster()
    brokers = [int(broker["broker_id"]) for broker in cluster["brokers"]]
    settings = settings_of(admin, ConfigResourceType.BROKER, [str(brokers[0])]).get(str(brokers[0]), {})
    told = list(_copies(len(brokers), settings, config))
    told += _memory(settings)
    told += _limits(settings, config, max_bytes)
    return told


def _copies(brokers: int, settings: Mapping[str, str], config: KafkaConfig) -> Iterator[str]:
    """Our topics are not the only ones that must survive a broker: offsets and transactions stand in Kafka's own."""
    wanted = config.replication_factor
    if brokers < wanted:
        yield filled_plural(
            "the cluster has {count} broker, bus.replication_factor asks for {wanted}: add brokers",
            "the cluster has {count} brokers, bus.replication_factor asks for {wanted}: add brokers",
            brokers,
            wanted=wanted,
        )
    for name in ("offsets.topic.replication.factor", "transaction.state.log.replication.factor"):
        found = _number(settings, name)
        if found is not None and found < wanted:
            yield filled(
                "the brokers keep {name}={number}, {wanted} is needed: set it, and reassign the partitions of Kafka's "
                "own topic if it exists already",
                name=name,
                number=found,
                wanted=wanted,
            )
    found = _number(settings, "transaction.state.log.min.isr")
    if found is not None and found < config.min_insync_replicas:
        yield filled(
            "the brokers have transaction.state.log.min.isr={number}: set it to {wanted}",
            number=found,
            wanted=config.min_insync_replicas,
        )


def _memory(settings: Mapping[str, str]) -> Iterator[str]:
    """How long the cluster remembers where a stopped group stood."""
    kept = _number(settings, "offsets.retention.minutes")
    if kept is not None and kept * 60 < _OFFSETS_KEPT:
        yield filled_plural(
            "the brokers forget the offsets of a stopped group after {count} day (offsets.retention.minutes={number}): "
            "set it to {wanted} or more",
            "the brokers forget the offsets of a stopped group after {count} days (offsets.retention.minutes={number}):"
            " set it to {wanted} or more",
            kept / 1440,
            number=kept,
            wanted=int(_OFFSETS_KEPT / 60),
        )


def _limits(settings: Mapping[str, str], config: KafkaConfig, max_bytes: int) -> Iterator[str]:
    """Sizes and times that the brokers would refuse at the first large message, or at the first start."""
    request = _number(settings, "socket.request.max.bytes")
    if request is not None and request < max_bytes + _REQUEST_ROOM:
        yield filled(
            "the brokers take requests of {bytes} bytes at most (socket.request.max.bytes): set it to {wanted} or more",
            bytes=request,
            wanted=max_bytes + _REQUEST_ROOM,
        )
    longest = _number(settings, "transaction.max.timeout.ms")
    if longest is not None and longest < config.publish_timeout * 1000:
        yield filled(
            "the brokers allow transactions of {longest} s (transaction.max.timeout.ms), bus.publish_timeout is "
            "{seconds} s: raise the one or lower the other",
            longest=f"{longest / 1000:g}",
            seconds=f"{config.publish_timeout:g}",
        )
    least, most = _number(settings, "group.min.session.timeout.ms"), _number(settings, "group.max.session.timeout.ms")
    session = config.session_timeout * 1000
    if least is not None and most is not None and not least <= session <= most:
        yield filled(
            "the brokers allow sessions of {least} to {most} s (group.min/max.session.timeout.ms), bus.session_timeout "
            "is {seconds} s",
            least=f"{least / 1000:g}",
            most=f"{most / 1000:g}",
            seconds=f"{config.session_timeout:g}",
        )


def _number(settings: Mapping[str, str], name: str) -> int | None:
    value = settings.get(name, "")
    return int(value) if value.isdigit() else None


def settings_of(admin: KafkaAdminClient, kind: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings in force of topics or brokers, by name, the inherited ones included."""
    if not names:
        return {}
    answers = admin.describe_configs([ConfigResource(kind, name) for name in names], config_filter="all")
    return {
        name: {key: str(entry["value"]) for key, entry in entries.items()}
        for by_name in answers.values()
        for name, entries in by_name.items()
    }
