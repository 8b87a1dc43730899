"""Topics of a cluster: what they must be, what they are, and how they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.errors import NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError
from kafka.protocol.consumer import IsolationLevel

from router.bus.kafka_errors import mapped
from router.bus.plans import DAY, default_plan, not_drained
from router.bus.settings import KafkaConfig
from router.contracts import TopicPlan
from router.errors import OperatorFault

_OVERHEAD: Final = 64 * 1024
"""What a batch adds to its one record: headers, key, framing."""
_OFFSETS_KEPT: Final = 14 * DAY


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

    def ends(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last committed record of each partition that exists and has a leader now.

        A consumer's `end_offsets` will not do: it fails when it knows the leaders of some of the partitions only.
        """
        if not wanted:
            return {}
        with mapped():
            led = {
                TopicPartition(topic["name"], partition["partition_index"])
                for topic in self._admin().describe_topics(sorted({place.topic for place in wanted}))
                for partition in topic["partitions"]
                if partition["leader_id"] >= 0
            }
            asked = dict.fromkeys(led.intersection(wanted), OffsetSpec.LATEST)
            found = self._admin().list_partition_offsets(asked, IsolationLevel.READ_COMMITTED) if asked else {}
            return {place: answer.offset for place, answer in found.items()}

    def create(self, plans: Sequence[TopicPlan]) -> None:
        """Create what is missing, adjust retention and size; raise OperatorFault for the rest."""
        with self._lock, mapped():
            found = self._read([plan.name for plan in plans])
            self._create([plan for plan in plans if plan.name not in found])
            changed = {
                plan.name: settings
                for plan in plans
                if plan.name in found and (settings := self._changes(plan, found[plan.name]))
            }
            if changed:
                self._admin().alter_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, name, settings) for name, settings in changed.items()]
                )
        wrong = [text for plan in plans if plan.name in found for text in self._fixed(plan, found[plan.name])]
        if wrong:
            raise OperatorFault("KAFKA-TOPIC", "", "\n".join(wrong))

    def check(self, plans: Sequence[TopicPlan]) -> list[str]:
        """One sentence per difference, and per promise that the cluster can't keep."""
        with self._lock, mapped():
            found = self._read([plan.name for plan in plans])
            sentences = self._cluster()
        for plan in plans:
            if plan.name not in found:
                sentences.append(f"topic {plan.name} does not exist: `segur-router topics apply` creates it")
                continue
            topic = found[plan.name]
            sentences += self._fixed(plan, topic)
            sentences += [
                f"topic {plan.name} has {name}={topic.settings.get(name, '')}, planned: {value}"
                for name, value in self._changes(plan, topic).items()
            ]
        return sentences

    def migrate(self, plans: Sequence[TopicPlan]) -> list[str]:
        """Make drained topics anew with their planned partitions; returns their names.

        Raises OperatorFault while a group has not consumed a topic, or still reads it.
        """
        with self._lock, mapped():
            found = self._read([plan.name for plan in plans])
            changed = [plan for plan in plans if plan.name in found and found[plan.name].partitions != plan.partitions]
            for plan in changed:
                self._recreate(plan, places(plan.name, found[plan.name].partitions))
        return [plan.name for plan in changed]

    def _recreate(self, plan: TopicPlan, old: list[TopicPartition]) -> None:
        admin = self._admin()
        ends = admin.list_partition_offsets(dict.fromkeys(old, OffsetSpec.LATEST))
        starts = admin.list_partition_offsets(dict.fromkeys(old, OffsetSpec.EARLIEST))
        readers = {}
        for group in admin.list_groups():
            offsets = admin.list_group_offsets(group["group_id"]).get(group["group_id"], {})
            known = {place: found.offset for place, found in offsets.items() if place in starts and found.offset >= 0}
            if known:
                readers[group["group_id"]] = known
        waiting = sum(ends[place].offset - starts[place].offset for place in old) if not readers else 0
        for known in readers.values():
            waiting += sum(max(0, ends[place].offset - known.get(place, starts[place].offset)) for place in old)
        if waiting > 0:
            raise OperatorFault("KAFKA-TOPIC", plan.name, not_drained(plan.name, waiting))
        for group, known in readers.items():
            for answer in admin.delete_group_offsets(group, list(known)).values():
                if answer is not NoError:  # GroupSubscribedToTopicError while a member reads it
                    raise answer
        admin.delete_topics([plan.name])
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
        """Settings that differ and may be changed in place."""
        wanted = self._settings(plan)
        return {name: value for name, value in wanted.items() if topic.settings.get(name, "").lower() != value.lower()}

    def _fixed(self, plan: TopicPlan, topic: _Found) -> list[str]:
        """What differs and can't be changed in place."""
        sentences = []
        if topic.partitions != plan.partitions:
            sentences.append(
                f"topic {plan.name} has {topic.partitions} partitions, planned: {plan.partitions}; a keyed topic never "
                "changes its partition count in place: `segur-router topics migrate`"
            )
        if topic.replicas < self._config.replication_factor:
            sentences.append(
                f"topic {plan.name} has {topic.replicas} replicas, {self._config.replication_factor} are needed: an "
                "acknowledged message must survive the loss of a broker"
            )
        return sentences

    def _cluster(self) -> list[str]:
        """What the brokers' own settings forbid us to promise."""
        settings = self._settings_of(ConfigResourceType.BROKER, [str(self._any_broker())])
        kept = next(iter(settings.values()), {}).get("offsets.retention.minutes", "")
        if kept.isdigit() and int(kept) * 60 < _OFFSETS_KEPT:
            days = int(kept) / 1440
            return [
                f"the brokers forget the offsets of a stopped group after {days:g} days "
                f"(offsets.retention.minutes={kept}): set it to {int(_OFFSETS_KEPT / 60)} or more"
            ]
        return []

    def _any_broker(self) -> int:
        return int(self._admin().describe_cluster()["brokers"][0]["broker_id"])

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
        settings = self._settings_of(ConfigResourceType.TOPIC, list(found))
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

    def _settings_of(self, kind: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(kind, name) for name in names]
        answers = self._admin().describe_configs(resources, config_filter="all")
        return {
            name: {key: str(entry["value"]) for key, entry in entries.items()}
            for by_name in answers.values()
            for name, entries in by_name.items()
        }


def places(topic: str, count: int) -> list[TopicPartition]:
    """Every partition of a topic, as the client names them."""
    return [TopicPartition(topic, number) for number in range(count)]
