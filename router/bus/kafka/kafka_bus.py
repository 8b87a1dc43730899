"""The bus on Apache Kafka: for production, and for more machines than one."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from kafka import KafkaConsumer as RawConsumer
from kafka import KafkaProducer as RawProducer
from kafka import TopicPartition, codec
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError

from router.bus.kafka.client_thread import label
from router.bus.kafka.connection_diagnostics import refusal
from router.bus.kafka.consumer import KafkaConsumer
from router.bus.kafka.errors import mapped
from router.bus.kafka.migration import migrate
from router.bus.kafka.patches.failed_transaction import abort_with_batches
from router.bus.kafka.patches.fetch_copies import spare_copies
from router.bus.kafka.producer import KafkaProducer
from router.bus.kafka.record_reader import KafkaRecordReader
from router.bus.kafka.rights import Rights, lacking
from router.bus.kafka.topics import Topics, places
from router.bus.settings import KafkaConfig
from router.contracts import Consumer, Offsets, Partition, Producer, Record, TopicPlan
from router.errors import OperatorFault, RouterError
from router.exchange import Origin
from router.language import filled

Client = TypeVar("Client")

_BACKOFF_MS: Final = 5
"""Milliseconds between the requests of a transaction. With the client's own 100 ms the p99 is four times as long."""
#: Its debug lines quote keys and values; its connection errors repeat what we raise, many times a second.
for _name, _level in (("kafka", logging.WARNING), ("kafka.net", logging.CRITICAL), ("kafka.cluster", logging.CRITICAL)):
    logging.getLogger(_name).setLevel(_level)
spare_copies()

#: Compression -> whether the client can, and the package that it needs.
_CODECS: Final = {
    "snappy": (codec.has_snappy, "python-snappy"),
    "lz4": (codec.has_lz4, "lz4"),
    "zstd": (codec.has_zstd, "zstandard"),
}
_THREADS: Final = re.compile(r"^kafka-io-|-network-thread$")
"""The names that kafka-python gives to its own threads."""
_BATCH_BYTES: Final = 256 * 1024
_READER_FETCH: Final = 64 * 1024
_METADATA_MS: Final = 60_000


class KafkaBus:
    """`contracts.Bus` on a cluster. Connects when first used; one object per process, for all its threads."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._common = _connection(config)
        check_codec(config.compression)
        self._admin_client: KafkaAdminClient | None = None
        self._admin_lock = threading.Lock()
        self._members: dict[tuple[str, str], tuple[float, KafkaConsumer | None]] = {}
        """Group and member -> when it was first opened, and the last consumer: one that failed is opened anew."""
        self._let_in = False
        self._topics = Topics(config, self._admin)
        self._reader = KafkaRecordReader(self._open_reader, self._topics, config.publish_timeout)

    def producer(self, name: str) -> Producer:
        """A producer under a stable name: from its first transaction on, its predecessor is `Fenced`."""
        return KafkaProducer(name, self._open_producer, self._topics.counts, self._config.publish_timeout)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        member: str,
        assigned: Callable[[frozenset[Partition]], None] | None = None,
        revoked: Callable[[frozenset[Partition]], None] | None = None,
    ) -> Consumer:
        """Join `group` as a static member: a restart under the same name takes its partitions back at once.

        Raises `Unavailable` when no broker can be reached.
        """
        since, last = self._members.get((group, member), (time.monotonic(), None))
        self._members[group, member] = since, last
        self._topics.counts(topics)
        session = int(self._config.session_timeout * 1000)
        name = f"{self._config.prefix}{group}"
        with mapped():
            raw = self._opened(
                RawConsumer,
                **self._fetching(self._config.fetch_bytes),
                group_id=name,
                group_instance_id=f"{member}",
                partition_assignment_strategy=(CooperativeStickyAssignor,),
                session_timeout_ms=session,
                heartbeat_interval_ms=max(100, session // 10),
            )
        consumer = KafkaConsumer(
            raw,
            group=name,
            session=self._config.session_timeout,
            give_up=self._config.publish_timeout,
            assigned=assigned,
            revoked=revoked,
            leave=lambda member_id: self._leave(name, member_id, member),
        )
        try:
            with mapped():
                consumer.subscribe(topics)
        except RouterError:
            with suppress(RouterError):
                consumer.close()
            raise
        self._members[group, member] = since, consumer
        return consumer

    def unheard(self) -> Sequence[str]:
        """A member that was first opened less than a session ago may still be on its way in."""
        session, now = self._config.session_timeout, time.monotonic()
        return sorted(
            {
                group
                for (group, _), (since, last) in list(self._members.items())
                if now - since >= session and (last is None or last.silence >= session)
            }
        )

    def read(self, origin: Origin) -> Record | None:
        return self._reader.read(origin)

    def scan(self, topic: str, *, newest_first: bool = False, limit: int | None = None) -> Iterable[Record]:
        """Records by time. A topic that does not exist has none."""
        return self._reader.scan(topic, newest_first=newest_first, limit=limit)

    def headlines(self, topic: str, *, lacking: str = "", begin: Offsets | None = None) -> Iterable[Record]:
        """See the contract. A broker gives records whole: all are read."""
        found = self._reader.scan(topic, begin=begin or {})
        return (replace(record, value=b"") for record in found if lacking not in record.headers)

    def create(self, plans: Sequence[TopicPlan]) -> None:
        self._topics.create(plans)

    def migrate(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        """Give drained topics their planned partition count; returns the names of those that were made anew.

        Their records, all consumed, are gone. Raises `OperatorFault` for a topic that is not drained or still read.
        """
        with mapped():
            admin = self._admin()
        return migrate(admin, self._topics, plans, self._reader.holds)

    def check(self, plans: Sequence[TopicPlan]) -> Sequence[str]:
        return self._topics.check(plans)

    def lag(self, group: str) -> Mapping[Partition, int]:
        """Of the partitions the group has committed. The end markers of transactions count: 1 is as good as 0."""
        name = f"{self._config.prefix}{group}"
        with mapped():
            committed = self._admin().list_group_offsets(name).get(name, {})
            known = {place: max(0, found.offset) for place, found in committed.items()}
        ends = self._topics.ends(list(known))
        return {Partition(place.topic, place.partition): max(0, end - known[place]) for place, end in ends.items()}

    def positions(self, group: str) -> Mapping[Partition, int]:
        name = f"{self._config.prefix}{group}"
        with mapped():
            committed = self._admin().list_group_offsets(name).get(name, {})
        return {Partition(at.topic, at.partition): found.offset for at, found in committed.items() if found.offset >= 0}

    def living(self, groups: Collection[str]) -> Mapping[str, Sequence[str]]:
        """A member that died without closing counts until its session has timed out."""
        prefix = self._config.prefix
        if not groups:
            return {}
        with mapped():
            found = self._admin().describe_groups([f"{prefix}{group}" for group in groups])
        return {group: _instances(found.get(f"{prefix}{group}", {})) for group in groups}

    def lacking(self, topics: Sequence[str], groups: Sequence[str]) -> Rights:
        """Rights that the router needs on these topics and groups, and our account has not."""
        prefix = self._config.prefix
        with mapped():
            return lacking(self._admin(), topics, [f"{prefix}{group}" for group in groups])

    def identities(self, topics: Collection[str]) -> Mapping[str, str]:
        return self._topics.identities(topics)

    def ends(self, topic: str) -> Mapping[Partition, int]:
        """The end markers of transactions count."""
        known = places(topic, self._topics.existing([topic]).get(topic, 0))
        return {Partition(topic, place.partition): end for place, end in self._topics.ends(known).items()}

    def trim(self, partition: Partition, below: int) -> None:
        with mapped():
            self._admin().delete_records({TopicPartition(partition.topic, partition.number): below})

    def close(self) -> None:
        self._reader.close()
        with self._admin_lock:
            admin, self._admin_client = self._admin_client, None
        if admin is not None:
            with suppress(KafkaError, OSError, RuntimeError):
                admin.close()

    def _admin(self) -> KafkaAdminClient:
        with self._admin_lock:
            if self._admin_client is None:
                self._admin_client = self._opened(KafkaAdminClient)
            return self._admin_client

    def _leave(self, group: str, member_id: str, member: str) -> None:
        """A static member that closes would keep its partitions until it times out: give them up by name.

        Both names are given, so that a successor under the same instance name is never thrown out.
        """
        with suppress(KafkaError, OSError, RuntimeError):
            self._admin().remove_group_members(
                group, [MemberToRemove(member_id=member_id, group_instance_id=member, reason="closed")]
            )

    def _open_producer(self, transactional: str | None) -> RawProducer:
        give_up = int(self._config.publish_timeout * 1000)
        settings: dict[str, Any] = {
            "metrics_enabled": False,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": self._config.max_bytes + _READER_FETCH,
            "batch_size": _BATCH_BYTES,
            "linger_ms": 0,
            "max_block_ms": give_up,
            "delivery_timeout_ms": give_up,
            "compression_type": None if self._config.compression == "none" else self._config.compression,
            "allow_auto_create_topics": False,
        }
        if transactional is not None:
            settings["transactional_id"] = f"{self._config.prefix}{transactional}"
            settings["transaction_timeout_ms"] = give_up
        raw = self._opened(RawProducer, **settings)
        if transactional is not None:
            abort_with_batches(raw)
        return raw

    def _open_reader(self) -> RawConsumer:
        return self._opened(RawConsumer, **self._fetching(_READER_FETCH), group_id=None)

    def _opened(self, kind: Callable[..., Client], **settings: Any) -> Client:
        """A client of kafka-python. Raises `OperatorFault` when the brokers do not let us in, with what to mend.

        They are asked before the first client is opened, and after one could not be.
        """
        if not self._let_in:
            if fault := refusal(self._config, self._common):
                raise fault
            self._let_in = True
        before = set(threading.enumerate())
        try:
            client = kind(**self._common, **settings)
        except (KafkaError, OSError, TimeoutError):
            self._let_in = False
            raise
        label(*(thread for thread in set(threading.enumerate()) - before if _THREADS.search(thread.name)))
        return client

    def _fetching(self, partition_bytes: int) -> dict[str, Any]:
        return {
            "metrics_enabled": False,
            "metadata_max_age_ms": _METADATA_MS,
            "auto_offset_reset": "none",
            "enable_auto_commit": False,
            "isolation_level": "read_committed",
            "fetch_max_bytes": self._config.fetch_bytes,
            "max_partition_fetch_bytes": partition_bytes,
            "receive_message_max_bytes": self._config.fetch_bytes + self._config.max_bytes + 1024 * 1024,
            "allow_auto_create_topics": False,
        }


def _instances(group: Mapping[str, Any]) -> list[str]:
    """The static names of a group's members, in order, from the cluster's description of it."""
    members = group.get("members", ())
    return sorted(str(member.get("group_instance_id") or member.get("client_id") or "?") for member in members)


def check_codec(name: str) -> None:
    """Raises `OperatorFault` for a compression whose Python package is missing: the client would only fail to open."""
    available, package = _CODECS.get(name, (None, ""))
    if available is not None and not available():
        text = filled(
            "{name} needs the Python package {package}: install it, or choose gzip or none", name=name, package=package
        )
        raise OperatorFault("KAFKA-COMPRESSION", "bus.compression", text)


def _connection(config: KafkaConfig) -> dict[str, Any]:
    """Settings that every client shares. Raises `OperatorFault` for a password that is nowhere."""
    settings: dict[str, Any] = {
        "bootstrap_servers": config.servers.split(","),
        "client_id": config.client_id,
        "request_timeout_ms": int(config.request_timeout * 1000),
        "bootstrap_timeout_ms": int(config.request_timeout * 1000),
        "retry_backoff_ms": _BACKOFF_MS,
        "reconnect_backoff_max_ms": 2000,
        "security_protocol": ("SASL_" if config.sasl else "") + ("SSL" if config.tls else "PLAINTEXT"),
    }
    if config.tls is not None:
        files = {"ssl_cafile": config.tls.ca, "ssl_certfile": config.tls.certificate, "ssl_keyfile": config.tls.key}
        settings |= {name: str(path) for name, path in files.items() if path is not None}
        settings["ssl_check_hostname"] = config.tls.check_hostname
    if config.sasl is not None:
        settings["sasl_mechanism"] = config.sasl.mechanism
        settings["sasl_plain_username"] = config.sasl.username
        settings["sasl_plain_password"] = config.sasl.password()
    return settings
