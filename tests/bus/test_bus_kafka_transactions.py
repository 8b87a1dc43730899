"""Transactions on a real broker: what one of them lost never enters the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import ConsumerGroupMetadata

from router.bus.kafka import KafkaBus
from router.bus.kafka_consumer import KafkaConsumer
from router.bus.kafka_producer import KafkaProducer
from router.contracts import Outgoing, Partition, Settle, TopicPlan
from router.errors import Fenced
from tests.bus.test_bus_kafka import one_broker
from tests.services import kafka_servers  # noqa: F401

pytestmark = pytest.mark.integration

FIRST, SECOND = Partition("t", 0), Partition("t", 1)


@pytest.fixture
def bus(kafka_servers: str, request: pytest.FixtureRequest) -> Iterator[KafkaBus]:  # noqa: F811
    """A bus with the topics `t` and `t.out`."""
    opened = KafkaBus(one_broker(kafka_servers, f"{request.node.name}-{time.time_ns()}-"))
    opened.create([TopicPlan(name, 2, None, 2**20) for name in ("t", "t.out")])
    yield opened
    opened.close()


@pytest.fixture
def member(bus: KafkaBus) -> Iterator[KafkaConsumer]:
    """The only member of its group: both partitions are its own."""
    consumer = bus.consumer("g", ["t"], member="m")
    assert isinstance(consumer, KafkaConsumer)
    deadline = time.monotonic() + 30
    while consumer.assignment() != {FIRST, SECOND}:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.1)
        assert time.monotonic() < deadline
    yield consumer
    consumer.close()


def test_offsets_of_an_aborted_transaction_stay_out_of_the_next_one(
    bus: KafkaBus, member: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rebalance refused would otherwise be settled later, and its records lost."""
    producer = bus.producer("p")
    known = member.group_metadata()
    stale = ConsumerGroupMetadata(known.group_id, known.generation_id - 1, known.member_id, known.group_instance_id)
    with monkeypatch.context() as patch:
        patch.setattr(member, "group_metadata", lambda: stale)
        with pytest.raises(Fenced) as caught:
            producer.publish([Outgoing("t.out", "k", b"lost")], settle=Settle(member, {FIRST: 100}))
    assert caught.value.code == "KAFKA-CommitFailed"
    producer.publish([Outgoing("t.out", "k", b"kept")], settle=Settle(member, {SECOND: 7}))
    assert member.committed(SECOND) == 7
    assert member.committed(FIRST) is None
    assert [record.value for record in bus.scan("t.out")] == [b"kept"]
    producer.close()


class Overtaken:
    """A client whose successor has begun: the broker said so to its thread, and each call says only that it failed."""

    def __init__(self) -> None:
        self._transaction_manager = SimpleNamespace(last_error=ProducerFencedError())

    def init_transactions(self) -> None: ...

    def begin_transaction(self) -> None: ...

    def send(self, *_: Any, **__: Any) -> None:
        raise KafkaError("a previous request failed")

    def abort_transaction(self) -> None:
        raise KafkaError("a previous request failed")

    def close(self, timeout: float) -> None: ...


def test_a_producer_whose_successor_has_begun_never_takes_its_name_back(member: KafkaConsumer) -> None:
    opened: list[Overtaken] = []

    def open_raw(_name: str | None) -> Any:
        opened.append(Overtaken())
        return opened[-1]

    producer = KafkaProducer("p", open_raw, lambda topics: dict.fromkeys(topics, 2), 30.0)
    for _ in range(2):
        with pytest.raises(Fenced):
            producer.publish([Outgoing("t.out", "k", b"late")], settle=Settle(member, {FIRST: 1}))
    assert len(opened) == 1
