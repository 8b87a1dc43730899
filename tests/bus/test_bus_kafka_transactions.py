"""Transactions on a real broker: what one of them lost never enters the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import ConsumerGroupMetadata

from router.bus.kafka.consumer import KafkaConsumer
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.kafka.producer import KafkaProducer
from router.contracts import Outgoing, Partition, Settle, TopicPlan
from router.errors import Fenced, Unavailable
from tests.bus.test_bus_kafka import one_broker
from tests.services import kafka_servers  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def topic() -> str:
    """A source of its own for each test; what is read from it goes to `<topic>.out`."""
    return f"t{time.time_ns()}"


@pytest.fixture
def bus(kafka_servers: str, topic: str) -> Iterator[KafkaBus]:  # noqa: F811
    config = one_broker(kafka_servers, f"{topic}-").model_copy(update={"publish_timeout": 5, "request_timeout": 3})
    opened = KafkaBus(config)
    opened.create([TopicPlan(name, 2, None, 2**20) for name in (topic, f"{topic}.out")])
    yield opened
    opened.close()


@pytest.fixture
def member(bus: KafkaBus, topic: str) -> Iterator[KafkaConsumer]:
    """The only member of its group: both partitions are its own."""
    consumer = bus.consumer("g", [topic], member="m")
    assert isinstance(consumer, KafkaConsumer)
    deadline = time.monotonic() + 30
    while len(consumer.assignment()) < 2:
        consumer.poll(max_records=1, max_bytes=1, timeout=0.1)
        assert time.monotonic() < deadline
    yield consumer
    consumer.close()


def test_offsets_of_an_aborted_transaction_stay_out_of_the_next_one(
    bus: KafkaBus, topic: str, member: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rebalance refused would otherwise be settled later, and its records lost."""
    first, second = Partition(topic, 0), Partition(topic, 1)
    producer = bus.producer("p")
    known = member.group_metadata()
    stale = ConsumerGroupMetadata(known.group_id, known.generation_id - 1, known.member_id, known.group_instance_id)
    with monkeypatch.context() as patch:
        patch.setattr(member, "group_metadata", lambda: stale)
        with pytest.raises(Fenced) as caught:
            producer.publish([Outgoing(f"{topic}.out", "k", b"lost")], settle=Settle(member, {first: 100}))
    assert caught.value.code == "KAFKA-CommitFailed"
    producer.publish([Outgoing(f"{topic}.out", "k", b"kept")], settle=Settle(member, {second: 7}))
    assert member.committed(second) == 7
    assert member.committed(first) is None
    assert [record.value for record in bus.scan(f"{topic}.out")] == [b"kept"]
    producer.close()


class Overtaken:
    """A client whose successor has begun: the broker said so to its thread, and each call says only that it failed."""

    def __init__(self) -> None:
        self._transaction_manager = SimpleNamespace(last_error=ProducerFencedError(), _pending_requests=[])
        self._sender = SimpleNamespace(force_close=lambda: None, join=lambda _seconds: None)

    def init_transactions(self) -> None: ...

    def begin_transaction(self) -> None: ...

    def send(self, *_: Any, **__: Any) -> None:
        raise KafkaError("a previous request failed")

    def abort_transaction(self) -> None:
        raise KafkaError("a previous request failed")

    def close(self, timeout: float) -> None: ...


def test_a_client_that_hangs_as_it_aborts_is_ended(topic: str, member: KafkaConsumer) -> None:
    """It would go on in the dark, and its thread with it."""
    ended = threading.Event()

    class Hanging(Overtaken):
        def __init__(self) -> None:
            super().__init__()
            self._transaction_manager.last_error = None
            self._sender.force_close = ended.set

        def abort_transaction(self) -> None:
            ended.wait(20)

    producer = KafkaProducer("p", lambda _name: Hanging(), lambda topics: dict.fromkeys(topics, 2), 0.5)
    with pytest.raises(Unavailable):
        producer.publish([Outgoing(f"{topic}.out", "k", b"late")], settle=Settle(member, {Partition(topic, 0): 1}))
    assert ended.wait(5)


def test_a_producer_whose_successor_has_begun_never_takes_its_name_back(topic: str, member: KafkaConsumer) -> None:
    opened: list[Overtaken] = []

    def open_raw(_name: str | None) -> Any:
        opened.append(Overtaken())
        return opened[-1]

    producer = KafkaProducer("p", open_raw, lambda topics: dict.fromkeys(topics, 2), 30.0)
    for _ in range(2):
        with pytest.raises(Fenced):
            producer.publish([Outgoing(f"{topic}.out", "k", b"late")], settle=Settle(member, {Partition(topic, 0): 1}))
    assert len(opened) == 1


def test_a_transaction_whose_batch_expired_is_never_committed(bus: KafkaBus, topic: str, member: KafkaConsumer) -> None:
    """Its offsets would say that the record was written, and it would be lost."""

    def open_cut_off(name: str | None) -> Any:
        raw = bus._open_producer(name)
        raw._accumulator.drain = lambda *_, **__: {}  # as while a partition has no leader that can be reached
        return raw

    longer = 60.0  # than the client gives a batch: as when the process was frozen, it learns of it before we give up
    producer = KafkaProducer("p", open_cut_off, bus._topics.counts, longer)
    with pytest.raises(Unavailable):
        producer.publish([Outgoing(f"{topic}.out", "k", b"cut off")], settle=Settle(member, {Partition(topic, 0): 100}))
    producer.close()
    assert member.committed(Partition(topic, 0)) is None
