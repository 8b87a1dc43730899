"""`raw.<feed>` on Kafka: a producer that knows nothing of us writes, a gateway in a process of its own takes.

The producer is kafka-python's, without key or header unless the request of a CDA must be said.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer as PlainProducer

from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.plans import default_plan
from router.bus.settings import KafkaConfig
from router.contracts import Header, Record, in_topic, raw_topic
from router.errors import Unavailable
from router.hl7.ack import parse_ack
from router.simulators.sender.maker import Maker
from router.simulators.sender.people import HOPITAL_A
from tests.gateway.gateway_parts import hl7
from tests.services import kafka_servers  # noqa: F401

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]

SITE = """\
environment: qualification
data: {data}
limits: {{partitions: 8}}
structures: {{"{finess}": {{name: "{name}", source_oid: 1.2.250.1.213.1.4.99.10, ipp_oid: {ipp}}}}}
feeds:
  {relay}: {{kind: relay, raw_topic: true, ack_topic: answers.{relay}}}
  {documents}:
    kind: documents
    raw_topic: true
    ack_topic: answers.{documents}
    rules: {{trust-ins-status: true, structures: ["{finess}"], autorites: {{"{namespace}&{ipp}&ISO": {ipp}}}}}
sinks: {{hl7.dpi: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
bus: {{type: kafka, servers: "{servers}", replication_factor: 1, min_insync_replicas: 1, session_timeout: 6}}
"""


class Place:
    """A site with two raw feeds; `relay` and `documents` are their names."""

    def __init__(self, folder: Path, servers: str) -> None:
        unique = uuid.uuid4().hex[:8]
        self.servers, self.relay, self.documents = servers, f"r{unique}", f"d{unique}"
        self.site, self.folder = folder / "router.yaml", folder
        known = {"finess": HOPITAL_A.finess, "name": HOPITAL_A.name, "ipp": HOPITAL_A.ipp_oid}
        self.site.write_text(
            SITE.format(
                data=folder / "var",
                servers=servers,
                relay=self.relay,
                documents=self.documents,
                namespace=HOPITAL_A.ipp_namespace,
                **known,
            ),
            encoding="utf-8",
        )
        self.bus = KafkaBus(KafkaConfig(servers=servers, replication_factor=1, min_insync_replicas=1, partitions=8))
        self.bus.create([default_plan(raw_topic(feed), 8) for feed in (self.relay, self.documents)])

    def write(self, feed: str, *values: bytes, headers: dict[str, str] | None = None) -> None:
        """As any program of the hospital would."""
        producer = PlainProducer(bootstrap_servers=self.servers, max_request_size=40 << 20)
        said = [(name, value.encode()) for name, value in (headers or {}).items()]
        for sent in [producer.send(raw_topic(feed), value=value, headers=said) for value in values]:
            sent.get(timeout=60)
        producer.close()

    def read(self, topic: str) -> list[Record]:
        return list(self.bus.scan(topic))

    @contextmanager
    def gateway(self) -> Iterator[subprocess.Popen[bytes]]:
        """The gateway's process, under the same name each time."""
        with (self.folder / "gateway.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "router.runtime.process", str(self.site), "gateway", "0"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self.process = process
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def until(self, truth: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not truth():
            assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-3000:]
            assert time.monotonic() < end, (self.folder / "gateway.log").read_text()[-3000:]
            time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path, kafka_servers: str) -> Iterator[Place]:  # noqa: F811
    made = Place(tmp_path, kafka_servers)
    yield made
    made.bus.close()


def test_a_producer_that_knows_nothing_of_us_is_served_like_a_listener(place: Place) -> None:
    """ER7 and CDA without key: on in.<feed> with id and key, or in dlq.intake; answered either way."""
    maker = Maker(5)
    document = maker.document("biology", maker.patient())
    good = maker.message(document)
    other = maker.document("biology", maker.patient())
    with place.gateway():
        place.write(place.documents, good, b"bonjour", good)
        place.write(place.documents, other.content)
        place.write(
            place.documents, other.content, headers={"request-id": "demande-1", "ins-status": "VALI", "dmp": "Y"}
        )
        place.until(lambda: len(place.read(f"answers.{place.documents}")) == 5)
    events = place.read(in_topic(place.documents))
    assert sorted(event.headers[Header.KIND] for event in events) == ["cda", "hl7"]
    assert all(event.key and event.headers[Header.ID] for event in events)
    assert {event.headers[Header.SOURCE] for event in events} == {"raw"}
    answers = [parse_ack(record.value).code for record in place.read(f"answers.{place.documents}")]
    assert sorted(answers) == ["AA", "AA", "AA", "AE", "AE"]
    refused = [one for one in place.read("dlq.intake") if one.headers.get(Header.FEED) == place.documents]
    dead_letters = [one.value for one in refused]
    assert b"bonjour" in dead_letters
    assert any(dead_letter.endswith(other.content) for dead_letter in dead_letters), "a CDA stands behind its request"
    assert len(dead_letters) == 2


def test_each_record_is_taken_once_whatever_is_killed(place: Place) -> None:
    """SIGKILL of the gateway between its transactions and within them: every record has one outcome and one answer."""
    good = [hl7(f"{number:05d}") for number in range(2500)]
    bad = [b"illisible %d" % number for number in range(25)]
    mixed = [*good]
    for rank, value in enumerate(bad):
        mixed.insert(rank * 100, value)
    place.write(place.relay, *mixed)
    group = f"raw-{place.relay}"
    for left in (2000, 1000):
        with place.gateway() as process:
            place.until(lambda left=left: _behind(place, group, len(mixed)) <= left)  # type: ignore[misc]
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
    answers = f"answers.{place.relay}"
    with place.gateway():
        place.until(lambda: len(place.read(answers)) >= len(mixed))
    events = [event.headers[Header.CONTROL] for event in place.read(in_topic(place.relay))]
    assert sorted(events) == [f"{number:05d}" for number in range(2500)]
    refused = [one.value for one in place.read("dlq.intake") if one.headers.get(Header.FEED) == place.relay]
    assert sorted(refused) == sorted(bad)
    assert len(place.read(answers)) == len(mixed)


def _behind(place: Place, group: str, count: int) -> int:
    """Records that the group has not taken; all of them before its first transaction."""
    try:
        told = place.bus.lag(group)
    except Unavailable:  # the cluster makes its own topics when a group first asks
        return count
    return sum(told.values()) if told else count
