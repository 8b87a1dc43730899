"""The lag of a group on Kafka is told every time, whatever the clients happen to know already."""

from __future__ import annotations

import time
import uuid

import pytest
from kafka.admin import KafkaAdminClient

from router.bus.kafka.kafka_bus import KafkaBus
from router.contracts import Outgoing, Partition, TopicPlan
from tests.bus.test_bus_kafka import one_broker
from tests.services import kafka_servers  # noqa: F401

pytestmark = pytest.mark.integration
DAY = 86_400.0


@pytest.fixture
def topics() -> list[str]:
    name = uuid.uuid4().hex[:10]
    return [f"in.{name}-a", f"in.{name}-b"]


def consumed(bus: KafkaBus, group: str, topics: list[str]) -> None:
    """A group that has committed the first record of each topic."""
    bus.create([TopicPlan(topic, 1, 14 * DAY, 1 << 20) for topic in topics])
    producer = bus.producer("lag")
    producer.publish([Outgoing(topic, "k", b"1") for topic in topics])
    consumer = bus.consumer(group, topics, member=f"{group}-0")
    left, end = set(topics), time.monotonic() + 60
    while left:
        assert time.monotonic() < end, "the records did not arrive"
        for record in consumer.poll(max_records=10, max_bytes=1 << 20, timeout=0.5):
            consumer.commit({Partition(record.topic, record.partition): record.offset + 1})
            left.discard(record.topic)
    consumer.close()
    producer.publish([Outgoing(topic, "k", b"2") for topic in topics for _ in range(3)])
    producer.close()


def test_the_lag_of_every_topic_is_told_when_one_of_them_was_just_read(
    kafka_servers: str,  # noqa: F811
    topics: list[str],
) -> None:
    """A client that has read one topic of a group still tells how far behind the group is on the others."""
    bus = KafkaBus(one_broker(kafka_servers))
    consumed(bus, f"lag-{topics[0]}", topics)
    bus.close()
    bus = KafkaBus(one_broker(kafka_servers))
    assert len(list(bus.scan(topics[0]))) == 4
    assert bus.lag(f"lag-{topics[0]}") == {Partition(topic, 0): 3 for topic in topics}
    bus.close()


def test_a_topic_that_is_gone_does_not_hide_the_others(
    kafka_servers: str,  # noqa: F811
    topics: list[str],
) -> None:
    """Offsets of a deleted topic stay with the group for weeks: they are passed over, the other topics are told."""
    bus = KafkaBus(one_broker(kafka_servers))
    consumed(bus, f"lag-{topics[0]}", topics)
    admin = KafkaAdminClient(bootstrap_servers=kafka_servers)
    admin.delete_topics([topics[0]])
    admin.close()
    end = time.monotonic() + 30
    while (found := bus.lag(f"lag-{topics[0]}")) != {Partition(topics[1], 0): 3}:
        assert time.monotonic() < end, found
        time.sleep(0.2)
    bus.close()
