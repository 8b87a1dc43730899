"""Topics of a cluster: what they must be, what they are, and how they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError
from kafka.protocol.consumer import IsolationLevel

from router.bus.kafka.cluster import settings_of, shortcomings
from router.bus.kafka.errors import mapped
from router.bus.plans import DAY, MIB, default_plan, partitions_differ
from router.bus.settings import KafkaConfig
from router.contracts import TopicPlan
from router.errors import OperatorFault
from router.language import N_, filled, filled_plural

_OVERHEAD: Final = 64 * 1024
"""Bytes that a batch adds to its one record: headers, key, framing."""
#: Settings of which more is as good; -1 is without end.
_AT_LEAST: Final = frozenset({"retention.ms", "retention.bytes", "max.message.bytes", "min.insync.replicas"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic as the cluster has it."""

    partitions: int
    replicas: int
    settings: Mapping[str, str]


class Topics:
    """Creates and checks topics. Any thread."""

    def __init__(self, config: KafkaConfig, admin: Callable[[], KafkaAdminClient]) -> None:
        self._config = config
        self._admin = admin
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Partitions of each topic; what is missing is created with its default plan."""
        if not all(name in self._counts for name in names):
            with self._lock, mapped():
                found = self._describe(names)
                missing = [default_plan(name, self._config.partitions) for name in names if name not in found]
                self._create(missing)
                self._counts.update((name, topic.partitions) for name, topic in found.items())
                self._counts.update((plan.name, plan.partitions) for plan in missing)
        return {name: self._counts[name] for name in names}

    def existing(self, names: Sequence[str]) -> dict[str, int]:
        """Partitions of each topic that exists; nothing is created."""
        unknown = [name for name in names if name not in self._counts]
        if unknown:
            with self._lock, mapped():
                self._counts.update((name, topic.partitions) for name, topic in self._describe(unknown).items())
        return {name: self._counts[name] for name in names if name in self._counts}

    def firsts(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the first record of each partition that exists and has a leader now."""
        return self._offsets(wanted, OffsetSpec.EARLIEST)

    def ends(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last committed record of each partition that exists and has a leader now.

        A consumer's `end_offsets` will not do: it fails when it knows the leaders of some of the partitions only.
        """
        return self._offsets(wanted, OffsetSpec.LATEST)

    def _offsets(self, wanted: Sequence[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        if not wanted:
            return {}
        with mapped():
            led = {
                TopicPartition(topic["name"], partition["partition_index"])
                for topic in self._admin().describe_topics(sorted({place.topic for place in wanted}))
                for partition in topic["partitions"]
                if partition["leader_id"] >= 0
            }
            asked = dict.fromkeys(led.intersection(wanted), spec)
            found = self._admin().list_partition_offsets(asked, IsolationLevel.READ_COMMITTED) if asked else {}
            return {place: answer.offset for place, answer in found.items()}

    def identities(self, names: Collection[str]) -> dict[str, str]:
        """The id that the cluster gave each topic when it was made: no other topic of any cluster has it (KIP-516)."""
        if not names:
            return {}
        with mapped():
            topics = self._admin().describe_topics(sorted(names))
        return {topic["name"]: str(topic["topic_id"]) for topic in topics if topic["partitions"]}

    def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create what is missing, adjust what may be; raise OperatorFault for the rest, which is left as it is."""
        with self._lock, mapped():
            found = self._read([plan.name for plan in plans])
            self._create([plan for plan in plans if plan.name not in found])
            fixed = {plan.name: self._fixed(plan, found[plan.name]) for plan in plans if plan.name in found}
            sound = [plan for plan in plans if plan.name in found and not fixed[plan.name]]
            self._alter([plan for plan in sound if self._changes(plan, found[plan.name])], found)
        wrong = [sentence for sentences in fixed.values() for sentence in sentences]
        if wrong:
            raise OperatorFault("KAFKA-TOPIC", "", "\n".join(wrong))

    def check(self, plans: Sequence[TopicPlan]) -> list[str]:
        """One sentence per difference, and per promise that the cluster can't keep."""
        with self._lock, mapped():
            found = self._read([plan.name for plan in plans])
            sentences = shortcomings(self._admin(), self._config, max((plan.max_bytes for plan in plans), default=0))
        for plan in plans:
            if plan.name not in found:
                sentences.append(
                    filled("topic {topic} does not exist: `segur-router topics apply` creates it", topic=plan.name)
                )
                continue
            topic = found[plan.name]
            sentences += self._fixed(plan, topic)
            sentences += [
                filled(
                    "topic {topic}: {text}: `segur-router topics apply` sets it",
                    topic=plan.name,
                    text=_told(name, topic.settings.get(name, ""), value),
                )
                for name, value in self._changes(plan, topic).items()
            ]
        return sentences

    def counted(self, plans: Sequence[TopicPlan]) -> dict[str, int]:
        """Partitions of those of the topics that exist, asked now."""
        with mapped():
            return {name: topic.partitions for name, topic in self._describe([plan.name for plan in plans]).items()}

    def recreate(self, plan: TopicPlan) -> None:
        """Delete a topic with all its records, and make it as planned."""
        with self._lock, mapped():
            self._admin().delete_topics([plan.name])
            self._counts.pop(plan.name, None)
            deadline = time.monotonic() + self._config.publish_timeout
            while plan.name in self._describe([plan.name]) and time.monotonic() < deadline:
                time.sleep(0.1)
            self._create([plan])

    def _settings(self, plan: TopicPlan) -> dict[str, str]:
        return {
            "cleanup.policy": "compact" if plan.compacted else "delete",
            "retention.ms": "-1" if plan.retention is None else str(int(plan.retention * 1000)),
            "retention.bytes": "-1",
            "max.message.bytes": str(plan.max_bytes + _OVERHEAD),
            "min.insync.replicas": str(self._config.min_insync_replicas),
            "message.timestamp.type": "LogAppendTime",
            "unclean.leader.election.enable": "false",
        }

    def _changes(self, plan: TopicPlan, topic: _Found) -> dict[str, str]:
        """Settings that do not suffice and may be changed in place; what an operator made larger stays."""
        wanted = self._settings(plan)
        return {name: value for name, value in wanted.items() if not _suffices(name, topic.settings.get(name), value)}

    def _fixed(self, plan: TopicPlan, topic: _Found) -> list[str]:
        """What differs and can't be changed in place."""
        sentences = []
        if topic.partitions != plan.partitions:
            sentences.append(partitions_differ(plan, topic.partitions))
        if topic.replicas < self._config.replication_factor:
            sentences.append(
                filled_plural(
                    "topic {topic} has {count} replica, {wanted} are needed: an acknowledged message must survive the "
                    "loss of a broker; add some with kafka-reassign-partitions, or let `segur-router topics migrate` "
                    "make it anew once it is drained",
                    "topic {topic} has {count} replicas, {wanted} are needed: an acknowledged message must survive the "
                    "loss of a broker; add some with kafka-reassign-partitions, or let `segur-router topics migrate` "
                    "make it anew once it is drained",
                    topic.replicas,
                    topic=plan.name,
                    wanted=self._config.replication_factor,
                )
            )
        return sentences

    def _alter(self, plans: Sequence[TopicPlan], found: Mapping[str, _Found]) -> None:
        """Set what may be set in place; returns once the brokers say that it is in force."""
        if not plans:
            return
        changes = {plan.name: self._changes(plan, found[plan.name]) for plan in plans}
        answers = self._admin().alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, settings) for name, settings in changes.items()]
        )
        for by_name in answers.values():
            for name, answer in by_name.items():
                if answer != "OK":
                    text = "the cluster does not let us change its settings: our user needs the right AlterConfigs"
                    raise OperatorFault("KAFKA-TOPIC", name, text)
        deadline = time.monotonic() + self._config.request_timeout
        while time.monotonic() < deadline:
            now = self._read(list(changes))
            if not any(plan.name in now and self._changes(plan, now[plan.name]) for plan in plans):
                return
            time.sleep(0.1)

    def _create(self, plans: Sequence[TopicPlan]) -> None:
        if not plans:
            return
        wanted = {
            plan.name: {
                "num_partitions": plan.partitions,
                "replication_factor": self._config.replication_factor,
                "configs": self._settings(plan),
            }
            for plan in plans
        }
        try:
            self._admin().create_topics(wanted, wait_for_metadata=True)
        except TopicAlreadyExistsError:  # another process of ours was first
            self._admin().wait_for_topics(list(wanted))

    def _read(self, names: Sequence[str]) -> dict[str, _Found]:
        found = self._describe(names)
        settings = settings_of(self._admin(), ConfigResourceType.TOPIC, list(found))
        return {name: _Found(topic.partitions, topic.replicas, settings.get(name, {})) for name, topic in found.items()}

    def _describe(self, names: Sequence[str]) -> dict[str, _Found]:
        """Those of the topics that exist."""
        found = {}
        for topic in self._admin().describe_topics(list(names)):
            if topic["error_code"] == UnknownTopicOrPartitionError.errno or not topic["partitions"]:
                continue
            replicas = min(len(partition["replica_nodes"]) for partition in topic["partitions"])
            found[topic["name"]] = _Found(len(topic["partitions"]), replicas, {})
        return found


def _suffices(name: str, found: str | None, wanted: str) -> bool:
    if found is None:
        return False
    if name not in _AT_LEAST:
        return found.lower() == wanted.lower()
    return found == "-1" or (wanted != "-1" and int(found) >= int(wanted))


def _told(name: str, found: str, wanted: str) -> str:
    """One setting that does not suffice, for a person: retention in days, sizes in MiB, as the cluster names them."""
    return filled("{name}={what}, {text} needed", name=name, what=_readable(name, found), text=_readable(name, wanted))


def _readable(name: str, value: str) -> str:
    if value == "-1":
        return N_("-1 (without end)")
    if name == "retention.ms" and value.isdigit():
        return filled_plural("{number} ({count} day)", "{number} ({count} days)", int(value) / 1000 / DAY, number=value)
    if name == "max.message.bytes" and value.isdigit():
        return filled("{number} ({megabytes} MiB)", number=value, megabytes=f"{int(value) / MIB:.1f}")
    return value


def places(topic: str, count: int) -> list[TopicPartition]:
    """Every partition of a topic, as the client names them."""
    return [TopicPartition(topic, number) for number in range(count)]
