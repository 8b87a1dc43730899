"""A broker killed or frozen under a worker, a rebalance while one is retrying: nothing lost, nothing twice."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.plans import partition_of
from router.contracts import Bus, Consumer, Outgoing, Partition, Producer, Record, Settle, TopicPlan
from router.errors import Fenced, RouterError, Unavailable
from tests.bus.test_bus_kafka_faults import DAY, config, drain
from tests.services import Broker, kafka_servers, running_broker  # noqa: F401

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FROZEN_SECONDS = 12.0
"""Twice the longest session and transaction of `config`."""


class Worker:
    """Consumes `source`, writes every value to `source.out` with the offsets in one transaction; a thread."""

    def __init__(self, bus: Bus, source: str) -> None:
        self._bus, self._source, self._stop = bus, source, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            consumer = self._bus.consumer("workers", [self._source], member="workers-0")
            producer = self._bus.producer("workers-0")
            while not self._stop.is_set():
                try:
                    self._step(consumer, producer)
                except Unavailable:
                    self._begin_again(consumer)
                except Fenced:  # its transaction expired with the broker: the supervisor would start it again
                    producer.close()
                    producer = self._bus.producer("workers-0")
                    self._begin_again(consumer)
            consumer.close()
            producer.close()
        except BaseException as error:
            self.error = error

    def _step(self, consumer: Consumer, producer: Producer) -> None:
        records = consumer.poll(max_records=7, max_bytes=1 << 20, timeout=0.2)
        if records:
            offsets = {Partition(record.topic, record.partition): record.offset + 1 for record in records}
            outgoing = [Outgoing(f"{self._source}.out", record.key, record.value) for record in records]
            producer.publish(outgoing, settle=Settle(consumer, offsets))

    def _begin_again(self, consumer: Consumer) -> None:
        """A transaction whose end is unknown may have been committed: only the group's offsets say."""
        while not self._stop.wait(0.2):
            try:
                for partition in consumer.assignment():
                    consumer.seek(partition, consumer.committed(partition) or 0)
                return
            except RouterError:
                continue


@contextmanager
def killed_and_started_again(folder: Path) -> Iterator[tuple[Broker, Callable[[], None]]]:
    """A broker on a folder and a port of its own; the callable kills it and starts it again on both."""
    opened = [running_broker("--folder", str(folder))]
    broker = opened[0].__enter__()
    port = broker.servers.rpartition(":")[2]

    def strike() -> None:
        broker.kill()
        opened.pop().__exit__(None, None, None)
        opened.append(running_broker("--folder", str(folder), "--port", port))
        opened[0].__enter__()

    try:
        yield broker, strike
    finally:
        opened[0].__exit__(None, None, None)


@contextmanager
def frozen(folder: Path) -> Iterator[tuple[Broker, Callable[[], None]]]:
    """A broker, and a callable that stops it for longer than any session and any transaction of ours lasts."""
    with running_broker("--folder", str(folder)) as broker:

        def strike() -> None:
            broker.freeze()
            time.sleep(FROZEN_SECONDS)
            broker.thaw()

        yield broker, strike


@pytest.mark.parametrize("fault", [killed_and_started_again, frozen])
def test_every_record_passes_once(fault: Callable[[Path], AbstractContextManager[Any]], tmp_path: Path) -> None:
    """SIGKILL and restart of the broker, or 12 s of SIGSTOP: what was acknowledged passes once, in order."""
    source = f"in.{uuid.uuid4().hex[:10]}"
    acknowledged: list[bytes] = []
    with fault(tmp_path / "kafka") as (broker, strike):
        bus = KafkaBus(config(broker.servers, partitions=1))
        bus.create([TopicPlan(name, 1, 14 * DAY, 1 << 20) for name in (source, f"{source}.out")])
        with Worker(bus, source) as worker:
            feed(bus, source, 60, acknowledged)
            feeding = threading.Thread(target=feed, args=(bus, source, 120, acknowledged))
            feeding.start()
            strike()  # in this thread: what it starts ends with the thread that started it
            feeding.join()
            end = time.monotonic() + 600
            while sum(bus_lag(bus)) > 1:  # the last one is the marker of a transaction
                assert worker.error is None, worker.error
                assert time.monotonic() < end, bus_lag(bus)
                time.sleep(0.2)
        assert worker.error is None
        entered = [record.value for record in bus.scan(source)]
        passed = [record.value for record in bus.scan(f"{source}.out")]
        bus.close()
    assert passed == entered
    assert len(acknowledged) == 180
    assert set(acknowledged) <= set(entered)


def feed(bus: Bus, source: str, count: int, acknowledged: list[bytes]) -> None:
    """So many records, each as soon as the one before it was acknowledged; a refusal to serve is tried again."""
    producer, end = bus.producer("gateway-0"), time.monotonic() + 150
    while count and time.monotonic() < end:
        value = b"%d" % len(acknowledged)
        try:
            producer.publish([Outgoing(source, "k", value)])
        except Unavailable:
            continue
        acknowledged.append(value)
        count -= 1
    producer.close()


def bus_lag(bus: KafkaBus) -> list[int]:
    """Of the workers; one too many while the cluster can't say."""
    try:
        return list(bus.lag("workers").values()) or [2]
    except Unavailable:
        return [2]


def test_a_rebalance_while_a_worker_is_retrying(kafka_servers: str) -> None:  # noqa: F811
    """What stays with the worker stays paused and comes once; what moves is revoked first, then read by the other."""
    topic = f"in.{uuid.uuid4().hex[:10]}"
    bus = KafkaBus(config(kafka_servers))
    bus.create([TopicPlan(topic, 4, 14 * DAY, 1 << 20)])
    keys = {partition_of(key, 4): key for key in map(str, range(100))}
    producer = bus.producer("gateway-0")
    producer.publish([Outgoing(topic, keys[number], b"1") for number in range(4)])

    revoked: set[Partition] = set()
    one = bus.consumer(topic, [topic], member="sinks-0", revoked=revoked.update)
    held = drain(one, 4)
    assert len(held) == 4
    one.pause(one.assignment())  # every delivery waits for its next try; polling goes on

    other_bus = KafkaBus(config(kafka_servers))
    two = other_bus.consumer(topic, [topic], member="sinks-1")
    came, got = list[Record](), list[Record]()

    def until(truth: Callable[[], bool]) -> None:
        """Both poll, as workers always do: a member that does not holds up the rebalance of all."""
        end = time.monotonic() + 60
        while not truth():
            assert time.monotonic() < end, (one.assignment(), two.assignment(), came, got)
            came.extend(one.poll(max_records=10, max_bytes=1 << 20, timeout=0.1))
            got.extend(two.poll(max_records=10, max_bytes=1 << 20, timeout=0.1))

    until(lambda: len(two.assignment()) == 2 and len(got) == 2)
    assert came == []
    assert revoked == two.assignment()
    assert places(got) == two.assignment()
    assert one.assignment().isdisjoint(two.assignment())

    kept = one.assignment()
    producer.publish([Outgoing(topic, keys[number], b"2") for number in range(4)])
    until(lambda: len(got) == 4)
    assert came == [], "paused before the rebalance, paused after it"
    one.resume(kept)
    until(lambda: len(came) == 2)
    assert places(came) == kept
    assert {record.value for record in came} == {b"2"}
    for part in (one, two, producer, bus, other_bus):
        part.close()


def places(records: list[Record]) -> set[Partition]:
    return {Partition(record.topic, record.partition) for record in records}
