"""What the bus on Kafka does when brokers freeze, members freeze, and the cluster can't keep our promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kafka import codec
from kafka.errors import KafkaConnectionError

from router.bus.kafka.consumer import KafkaConsumer
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from router.contracts import Bus, Consumer, Outgoing, Partition, Record, Settle, TopicPlan
from router.errors import Fenced, OperatorFault, RouterError, Unavailable
from tests.services import Broker, kafka_servers, running_broker  # noqa: F401

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0

#: Another process: a member that says how many partitions it owns, and whether it owns the first of them *now*.
_MEMBER = """
import sys, time
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
servers, topic = sys.argv[1:]
bus = KafkaBus(KafkaConfig(servers=servers, replication_factor=1, min_insync_replicas=1, session_timeout=6))
consumer = bus.consumer(topic, [topic], member="m-0")
while len(consumer.assignment()) < 4:
    consumer.poll(max_records=1, max_bytes=1, timeout=0.1)
first = sorted(consumer.assignment())[0]
before = time.monotonic()
print("owns", consumer.owns(first), flush=True)
while (now := time.monotonic()) - before < 2:  # wherever it is stopped, it sees so when it goes on
    before = now
    time.sleep(0.01)
print("owns", consumer.owns(first), flush=True)
time.sleep(60)
"""

#: Another process: a member that says whether it owned anything in any of the five seconds after it was frozen.
_WOKEN = """
import sys, time
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
servers, topic = sys.argv[1:]
bus = KafkaBus(KafkaConfig(servers=servers, replication_factor=1, min_insync_replicas=1, session_timeout=6))
consumer = bus.consumer(topic, [topic], member="m-0")
while len(consumer.assignment()) < 4:
    consumer.poll(max_records=1, max_bytes=1, timeout=0.1)
first = sorted(consumer.assignment())[0]
before = time.monotonic()
print("owns", consumer.owns(first), flush=True)
while (now := time.monotonic()) - before < 2:  # wherever it is stopped, it sees so when it goes on
    before = now
    time.sleep(0.01)
woken, moments = now, []
while (now := time.monotonic()) - woken < 5:
    if consumer.owns(first):
        moments.append(now - woken)
    time.sleep(0.005)
print(f"from {moments[0]:.2f} to {moments[-1]:.2f}" if moments else "never", flush=True)
time.sleep(60)
"""


def config(servers: str, **changes: object) -> KafkaConfig:
    known: dict[str, object] = {
        "servers": servers,
        "replication_factor": 1,
        "min_insync_replicas": 1,
        "session_timeout": 6,
        "request_timeout": 2,
        "publish_timeout": 5,
        "partitions": 4,
    }
    return KafkaConfig.model_validate(known | changes)


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """One that may be frozen: whoever does so thaws it."""
    with running_broker() as broker:
        yield broker


@pytest.fixture
def topic() -> str:
    return f"in.f{uuid.uuid4().hex[:10]}"


def drain(consumer: Consumer, count: int, seconds: float = 30.0) -> list[Record]:
    records: list[Record] = []
    end = time.monotonic() + seconds
    while len(records) < count and time.monotonic() < end:
        records += consumer.poll(max_records=100, max_bytes=1 << 20, timeout=0.2)
    return records


def published(bus: Bus, producer_name: str, record: Outgoing, settle: Settle | None = None) -> None:
    """Publish, again and again while the bus is away."""
    producer = bus.producer(producer_name)
    end = time.monotonic() + 60
    while True:
        try:
            producer.publish([record], settle=settle)
            producer.close()
            return
        except Unavailable:
            assert time.monotonic() < end, "the bus did not come back"
            time.sleep(0.2)


def test_a_frozen_broker_is_unavailable_in_time_and_comes_back(own_broker: Broker, topic: str) -> None:
    """Neither a batch nor a transaction hangs: both give up in time, and the same objects go on afterwards.

    What was given up leaves nothing that works on in the dark.
    """
    before = set(threading.enumerate())
    bus = KafkaBus(config(own_broker.servers))
    producer = bus.producer("p")
    producer.publish([Outgoing(topic, "k", b"1")])
    consumer = bus.consumer(topic, [topic], member="m-0")
    (record,) = drain(consumer, 1)
    settle = Settle(consumer, {Partition(topic, record.partition): record.offset + 1})
    worker = bus.producer("w")
    worker.publish([Outgoing(topic + ".out", "k", b"1")], settle=settle)
    own_broker.freeze()
    try:
        start = time.monotonic()
        with pytest.raises(Unavailable):
            producer.publish([Outgoing(topic, "k", b"2")])
        with pytest.raises(RouterError) as caught:
            worker.publish([Outgoing(topic + ".out", "k", b"2")], settle=settle)
        assert isinstance(caught.value, Unavailable)
        assert time.monotonic() - start < 20
    finally:
        own_broker.thaw()
    published(bus, "p", Outgoing(topic, "k", b"3"))
    records = drain(consumer, 1)
    assert records, "the consumer did not come back"
    last = {Partition(r.topic, r.partition): r.offset + 1 for r in records}
    end = time.monotonic() + 30
    while True:
        try:
            worker.publish([Outgoing(topic + ".out", "k", b"3")], settle=Settle(consumer, last))
            break
        except RouterError:
            assert time.monotonic() < end, "the transactional producer did not come back"
            consumer.poll(max_records=1, max_bytes=1 << 20, timeout=0.5)
    values = [r.value for r in bus.scan(topic + ".out")]
    assert values[0] == b"1"
    assert values[-1] == b"3"
    assert len(values) == len(set(values))
    for opened in (consumer, producer, worker, bus):
        opened.close()
    end = time.monotonic() + 15
    while left := [thread.name for thread in threading.enumerate() if thread not in before]:
        assert time.monotonic() < end, f"still at work: {left}"
        time.sleep(0.1)


def test_a_silent_broker_costs_neither_processor_nor_memory(own_broker: Broker, topic: str) -> None:
    """While a heart-beat is without answer the client waits, it does not ask itself again and again."""
    bus = KafkaBus(config(own_broker.servers, request_timeout=10, publish_timeout=10))
    bus.producer("p").publish([Outgoing(topic, "k", b"1")])
    consumer = bus.consumer(topic, [topic], member="m-0")
    assert isinstance(consumer, KafkaConsumer)
    drain(consumer, 1)
    fetcher, rounds = consumer._raw._fetcher, 0
    fetch = fetcher.fetch_records

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal rounds
        rounds += 1
        return fetch(*args, **options)

    fetcher.fetch_records = counted
    own_broker.freeze()
    try:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            with suppress(Unavailable):
                consumer.poll(max_records=10, max_bytes=1 << 20, timeout=0.5)
    finally:
        own_broker.thaw()
    consumer.close()
    bus.close()
    assert rounds < 200


def test_a_silence_that_lasts_fills_no_memory(own_broker: Broker, topic: str) -> None:
    """The search for the coordinator lasts as long; what each poll hung to it is taken off again."""
    bus = KafkaBus(config(own_broker.servers))
    bus.producer("p").publish([Outgoing(topic, "k", b"1")])
    consumer = bus.consumer(topic, [topic], member="m-0")
    assert isinstance(consumer, KafkaConsumer)
    drain(consumer, 1)
    own_broker.freeze()
    try:
        end, hung = time.monotonic() + 12, 0
        while time.monotonic() < end:
            with suppress(Unavailable):
                consumer.poll(max_records=10, max_bytes=1 << 20, timeout=0.1)
            search = consumer._raw._coordinator._find_coordinator_future
            if search is not None and not search.is_done:
                hung = max(hung, len(search._callbacks))
    finally:
        own_broker.thaw()
    assert 0 < hung < 5
    published(bus, "q", Outgoing(topic, "k", b"2"))
    seen = b""
    while seen != b"2":  # after what was not settled, once more or not
        (*_, last) = drain(consumer, 1)
        seen = last.value
    consumer.close()
    bus.close()


def test_no_broker_is_unavailable(topic: str) -> None:
    """A cluster that can't be reached is nobody's fault: every way in says so and hangs nowhere."""
    bus = KafkaBus(config("127.0.0.1:9", request_timeout=1, publish_timeout=2))
    start = time.monotonic()
    with pytest.raises(Unavailable):
        bus.producer("p").publish([Outgoing(topic, "k", b"1")])
    with pytest.raises(Unavailable):
        bus.consumer("g", [topic], member="m-0")
    with pytest.raises(Unavailable):
        bus.check([])
    assert time.monotonic() - start < 30
    bus.close()


def test_a_member_that_was_frozen_owns_nothing(kafka_servers: str, topic: str) -> None:  # noqa: F811
    """After a SIGSTOP longer than its session a worker knows before its next effect that it lost its share."""
    bus = KafkaBus(config(kafka_servers))
    bus.create([TopicPlan(topic, 4, 14 * DAY, 1 << 20)])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _MEMBER, kafka_servers, topic],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "owns True\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(7)
    os.kill(process.pid, signal.SIGCONT)
    assert process.stdout.readline() == "owns False\n"
    process.kill()
    process.wait(10)
    process.stdout.close()
    bus.close()


def test_a_member_that_wakes_owns_nothing_while_it_asks_where_it_stands(kafka_servers: str, topic: str) -> None:  # noqa: F811
    """Another has its share by then: that the brokers answer again, and name the coordinator, gives nothing back."""
    bus = KafkaBus(config(kafka_servers))
    bus.create([TopicPlan(topic, 4, 14 * DAY, 1 << 20)])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _WOKEN, kafka_servers, topic],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "owns True\n"
    os.kill(process.pid, signal.SIGSTOP)
    other = bus.consumer(topic, [topic], member="m-1")
    end = time.monotonic() + 60
    while len(other.assignment()) < 4:
        assert time.monotonic() < end, "nobody took over"
        other.poll(max_records=1, max_bytes=1, timeout=0.1)
    os.kill(process.pid, signal.SIGCONT)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        other.poll(max_records=1, max_bytes=1, timeout=0.1)
        assert all(map(other.owns, other.assignment()))
        assert len(other.assignment()) == 4
    assert process.stdout.readline() == "never\n"
    process.kill()
    process.wait(10)
    process.stdout.close()
    other.close()
    bus.close()


def test_a_member_whose_name_another_took_says_so(kafka_servers: str) -> None:  # noqa: F811
    """One that was frozen while its stand-in was started: it owns nothing any more, and does not go on in silence."""
    topic = f"in.n{uuid.uuid4().hex[:10]}"
    first, second = KafkaBus(config(kafka_servers)), KafkaBus(config(kafka_servers))
    first.create([TopicPlan(topic, 4, 14 * DAY, 1 << 20)])
    old = first.consumer(topic, [topic], member="m-0")
    end = time.monotonic() + 30
    while len(old.assignment()) < 4:
        assert time.monotonic() < end
        old.poll(max_records=1, max_bytes=1, timeout=0.1)
    new = second.consumer(topic, [topic], member="m-0")
    while len(new.assignment()) < 4:
        assert time.monotonic() < end
        new.poll(max_records=1, max_bytes=1, timeout=0.1)
    taken = time.monotonic()
    owned_until, said = 0.0, None
    while said is None and time.monotonic() < taken + 20:
        if any(map(old.owns, old.assignment())):
            owned_until = time.monotonic() - taken
        try:
            old.poll(max_records=1, max_bytes=1, timeout=0.1)
        except Fenced as fenced:
            said = fenced
        new.poll(max_records=1, max_bytes=1, timeout=0.05)
    assert len(new.assignment()) == 4
    assert all(map(new.owns, new.assignment()))
    for opened in (new, old):
        with suppress(RouterError):
            opened.close()
    first.close()
    second.close()
    assert (said is not None, owned_until < 2) == (True, True), f"said {said}, owned for {owned_until:.1f} s"


def test_production_needs_three_copies(kafka_servers: str, topic: str) -> None:  # noqa: F811
    """On one broker the production settings can't be kept: creating says it, and checking says it per topic."""
    plan = TopicPlan(topic, 2, 14 * DAY, 1 << 20)
    strict = KafkaBus(config(kafka_servers, replication_factor=3, min_insync_replicas=2))
    with pytest.raises(OperatorFault, match="fewer brokers"):
        strict.create([plan])
    lax = KafkaBus(config(kafka_servers))
    lax.create([plan])
    sentences = strict.check([plan])
    assert any("1 replica, 3 are needed" in sentence for sentence in sentences)
    assert any("min.insync.replicas=1, 2 needed" in sentence for sentence in sentences)
    with pytest.raises(OperatorFault, match="replica"):
        strict.create([plan])
    lax.close()
    strict.close()


def test_a_topic_that_is_too_small_is_seen_and_mended(kafka_servers: str, topic: str) -> None:  # noqa: F811
    """Retention and record size that differ from the plan are told by check, and put right by create."""
    bus = KafkaBus(config(kafka_servers))
    bus.create([TopicPlan(topic, 2, DAY, 1 << 20)])
    plan = TopicPlan(topic, 2, 14 * DAY, 32 << 20)
    told = " ".join(bus.check([plan]))
    assert "retention.ms" in told
    assert "max.message.bytes" in told
    bus.create([plan])
    assert list(bus.check([plan])) == []
    bus.producer("p").publish([Outgoing(topic, "k", bytes(20 << 20))])
    bus.close()


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_a_compression_works_or_says_what_to_install(kafka_servers: str, topic: str, compression: str) -> None:  # noqa: F811
    """A codec whose package is missing is an operator's fault at once, never a bus that seems to be away."""
    missing = {"snappy": codec.has_snappy, "lz4": codec.has_lz4, "zstd": codec.has_zstd}.get(compression)
    if missing is not None and not missing():
        with pytest.raises(OperatorFault, match=f"{compression} needs the Python package"):
            KafkaBus(config(kafka_servers, compression=compression))
        return
    bus = KafkaBus(config(kafka_servers, compression=compression))
    value = b"<ClinicalDocument/>" * 10_000
    (origin,) = bus.producer("p").publish([Outgoing(topic, "k", value)])
    found = bus.read(origin)
    assert found is not None
    assert found.value == value
    bus.close()


@pytest.mark.parametrize("sought", [False, True], ids=["read on", "sought meanwhile"])
def test_what_a_slow_poll_brings_is_not_lost(
    kafka_servers: str,  # noqa: F811
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    sought: bool,
) -> None:
    """The client has gone past these records: nobody would read them again, and what follows would be committed."""
    bus = KafkaBus(config(kafka_servers))
    consumer, producer = bus.consumer(topic, [topic], member="m-0"), bus.producer("p")
    assert isinstance(consumer, KafkaConsumer)
    (first,) = producer.publish([Outgoing(topic, "k", b"1")])
    assert len(drain(consumer, 1)) == 1
    poll, slow = consumer._raw.poll, threading.Event()

    def late(**arguments: Any) -> Any:
        found = poll(**arguments)
        if found and not slow.is_set():
            slow.set()
            time.sleep(3)
        return found

    monkeypatch.setattr(consumer._raw, "poll", late)
    producer.publish([Outgoing(topic, "k", b"2")])
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(consumer, "_give_up", 1.0)
        drain(consumer, 1)
    if sought:
        consumer.seek(Partition(topic, first.partition), first.offset)
    expected = [b"1", b"2"] if sought else [b"2"]
    assert [record.value for record in drain(consumer, len(expected), 15)] == expected
    for opened in (consumer, producer, bus):
        opened.close()


def test_a_partition_whose_beginning_can_not_be_asked_is_taken_over_later(
    kafka_servers: str,  # noqa: F811
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker dies as it gives us our share: nothing of it is read and dropped meanwhile, and the worker goes on."""
    bus = KafkaBus(config(kafka_servers, partitions=1))
    producer = bus.producer("p")
    producer.publish([Outgoing(topic, "k", b"1"), Outgoing(topic, "k", b"2")])
    taken: list[frozenset[Partition]] = []
    consumer = bus.consumer(f"g-{topic}", [topic], member="m-0", assigned=taken.append)
    assert isinstance(consumer, KafkaConsumer)
    committed, refused = consumer._raw.committed, list[object]()

    def away(place: object, **options: Any) -> Any:
        if len(refused) < 3:
            refused.append(place)
            raise KafkaConnectionError
        return committed(place, **options)

    monkeypatch.setattr(consumer._raw, "committed", away)
    assert [record.value for record in drain(consumer, 2)] == [b"1", b"2"]
    assert len(refused) == 3 and taken == [frozenset({Partition(topic, 0)})]
    for opened in (consumer, producer, bus):
        opened.close()


def test_a_topic_that_lost_records_is_told_and_nothing_of_it_passed_over(
    kafka_servers: str,  # noqa: F811
    topic: str,
) -> None:
    """The group stands behind its end, as after an unclean election: what comes up to there would never be read."""
    bus = KafkaBus(config(kafka_servers, partitions=1))
    producer = bus.producer("p")
    producer.publish([Outgoing(topic, "k", b"1")])
    consumer = bus.consumer(f"g-{topic}", [topic], member="m-0")
    assert len(drain(consumer, 1)) == 1
    consumer.commit({Partition(topic, 0): 100})
    consumer.close()
    again = bus.consumer(f"g-{topic}", [topic], member="m-0")
    with pytest.raises(OperatorFault, match="ends before what we have read"):
        drain(again, 1)
    for opened in (again, producer, bus):
        opened.close()
