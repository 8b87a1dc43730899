"""`segur-router topics` against a real cluster: what it says of one that differs, and what it mends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from router.cli.main import app
from router.cli.output import one_sentence
from router.contracts import Outgoing, Partition, Settle, in_topic, out_topic
from tests.services import Broker, running_broker

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000

SITE = """\
environment: qualification
data: {data}
limits: {{partitions: {partitions}}}
feeds: {{{feed}: {{kind: relay, raw_topic: true}}}}
sinks: {{hl7.{feed}: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
bus: {{type: kafka, servers: "{servers}", replication_factor: {copies}, min_insync_replicas: {insync}}}
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker of our own: the topics that all sites share must be those of this module."""
    with running_broker("--set", "log.retention.check.interval.ms=300000") as own:
        yield own


@pytest.fixture
def feed() -> str:
    return f"f{uuid.uuid4().hex[:10]}"


@pytest.fixture
def admin(broker: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker.servers)
    yield client
    client.close()


class Place:
    """A site file on the broker, and the commands on it."""

    def __init__(self, folder: Path, broker: Broker, feed: str, said: pytest.CaptureFixture[str]) -> None:
        self._said = said
        self.file = folder / "router.yaml"
        self._known: dict[str, Any] = {"data": folder / "var", "feed": feed, "servers": broker.servers}
        self.write()

    def write(self, *, partitions: int = 8, copies: int = 1, insync: int = 1) -> None:
        text = SITE.format(**self._known, partitions=partitions, copies=copies, insync=insync)
        self.file.write_text(text, encoding="utf-8")

    def topics(self, *words: str) -> tuple[int, str]:
        """Exit code and everything said."""
        words = ("topics", *words, "--site", str(self.file))
        with pytest.raises(SystemExit) as ended, one_sentence():
            app(list(words))
        said = self._said.readouterr()
        return int(ended.value.code or 0), said.out + said.err


@pytest.fixture
def place(tmp_path: Path, broker: Broker, feed: str, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, broker, feed, capsys)


def test_missing_topics_are_told_then_made(place: Place, feed: str) -> None:
    """plan ends with 1 and names each missing topic; apply makes them; plan then ends with 0."""
    code, said = place.topics("plan")
    assert code == 1
    for topic in (f"raw.{feed}", in_topic(feed), f"out.hl7.{feed}", f"held.hl7.{feed}", f"dlq.hl7.{feed}"):
        assert f"topic {topic} does not exist: `segur-router topics apply` creates it" in said
    assert place.topics("apply")[0] == 0
    code, said = place.topics("plan")
    assert (code, "≠" in said) == (0, False), said


def test_a_topic_made_by_hand_is_told_and_put_right(place: Place, feed: str, admin: KafkaAdminClient) -> None:
    """One day of retention and 1 MB a record lose what groups have not consumed and refuse what senders may send."""
    settings = {"retention.ms": DAY_MS, "max.message.bytes": 1_048_588, "unclean.leader.election.enable": "true"}
    topic = f"raw.{feed}"
    admin.create_topics(
        {topic: {"num_partitions": 8, "replication_factor": 1, "configs": settings}}, wait_for_metadata=True
    )
    code, said = place.topics("plan")
    assert code == 1
    assert f"topic {topic}: retention.ms={DAY_MS} (1 day), {14 * DAY_MS} (14 days) needed" in said
    assert f"topic {topic}: max.message.bytes=1048588 (1.0 MiB)" in said
    assert f"topic {topic}: unclean.leader.election.enable=true, false needed: `segur-router topics apply`" in said
    code, said = place.topics("apply")
    assert code == 0, said
    assert place.topics("plan")[0] == 0


def test_what_an_operator_made_larger_stays(place: Place, feed: str, admin: KafkaAdminClient) -> None:
    """A longer retention than planned keeps every promise: plan is silent, apply leaves it."""
    assert place.topics("apply")[0] == 0
    resource = ConfigResource(ConfigResourceType.TOPIC, in_topic(feed), {"retention.ms": str(400 * DAY_MS)})
    assert admin.alter_configs([resource]) == {"topic": {in_topic(feed): "OK"}}
    end = time.monotonic() + 30
    while setting(admin, in_topic(feed), "retention.ms") != str(400 * DAY_MS):
        assert time.monotonic() < end, "the broker did not take the setting"
        time.sleep(0.1)
    assert place.topics("plan")[0] == 0
    assert place.topics("apply")[0] == 0
    assert setting(admin, in_topic(feed), "retention.ms") == str(400 * DAY_MS)


def setting(admin: KafkaAdminClient, topic: str, name: str) -> str:
    """What the broker says is in force."""
    (entries,) = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]).values()
    return str(entries[topic][name]["value"])


def test_one_broker_can_not_keep_the_promises_of_production(place: Place, feed: str, admin: KafkaAdminClient) -> None:
    """Three copies on one broker: plan says what lacks, topic by topic and for Kafka's own; apply refuses."""
    assert place.topics("apply")[0] == 0
    place.write(copies=3, insync=2)
    code, said = place.topics("plan")
    assert code == 1
    assert "the cluster has 1 broker, bus.replication_factor asks for 3: add brokers" in said
    assert "offsets.topic.replication.factor=1, 3 is needed" in said
    assert "transaction.state.log.replication.factor=1, 3 is needed" in said
    assert "transaction.state.log.min.isr=1: set it to 2" in said
    assert f"topic {in_topic(feed)} has 1 replica, 3 are needed" in said
    assert f"topic {in_topic(feed)}: min.insync.replicas=1, 2 needed" in said
    code, said = place.topics("apply")
    assert code == 2
    assert f"topic {in_topic(feed)} has 1 replica, 3 are needed" in said
    copies = setting(admin, in_topic(feed), "min.insync.replicas")
    assert copies == "1", "what is refused is left alone: with 2 nobody could write any more"


def test_settings_of_the_brokers_that_break_a_promise_are_told(
    tmp_path: Path, feed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offsets forgotten after a day, requests too small, transactions and sessions too short: each with its remedy."""
    settings = (
        "offsets.retention.minutes=1440",
        "socket.request.max.bytes=20000000",
        "transaction.max.timeout.ms=10000",
        "group.max.session.timeout.ms=10000",
    )
    with running_broker(*(word for setting in settings for word in ("--set", setting))) as weak:
        code, said = Place(tmp_path, weak, feed, capsys).topics("plan")
    assert code == 1
    assert "forget the offsets of a stopped group after 1 day (offsets.retention.minutes=1440): set it to 20160" in said
    assert "requests of 20000000 bytes at most (socket.request.max.bytes): set it to 52428800 or more" in said
    assert "transactions of 10 s (transaction.max.timeout.ms), bus.publish_timeout is 30 s" in said
    assert "sessions of 1 to 10 s (group.min/max.session.timeout.ms), bus.session_timeout is 15 s" in said


def test_a_topic_is_migrated_once_it_is_drained(place: Place, feed: str, broker: Broker) -> None:
    """More partitions: apply refuses, migrate refuses while a record waits or a member reads, then makes it anew.

    What is drained ends with the marker of a transaction, which nobody consumes.
    """
    assert place.topics("apply")[0] == 0
    bus = KafkaBus(KafkaConfig(servers=broker.servers, replication_factor=1, min_insync_replicas=1, session_timeout=6))
    inside, outside = in_topic(feed), out_topic(f"hl7.{feed}")
    bus.producer("gateway-0").publish([Outgoing(inside, "k", b"1")])
    place.write(partitions=12)

    code, said = place.topics("plan")
    assert code == 1
    assert f"topic {inside} has 8 partitions, planned: 12" in said
    code, said = place.topics("apply")
    assert code == 2
    assert "`segur-router topics migrate`" in said

    code, said = place.topics("migrate", inside)
    assert code == 2
    assert f"topic {inside} still holds 1 record" in said

    reader = bus.consumer("pipelines", [inside], member="pipelines-0")
    records, end = list(reader.poll(max_records=1, max_bytes=100, timeout=1)), time.monotonic() + 60
    while not records:
        assert time.monotonic() < end, "the record did not arrive"
        records += reader.poll(max_records=1, max_bytes=100, timeout=1)
    settle = Settle(reader, {Partition(inside, records[0].partition): records[0].offset + 1})
    bus.producer("pipelines-0").publish([Outgoing(outside, "k", b"2")], settle=settle)
    code, said = place.topics("migrate", inside)
    assert code == 2
    assert "a member of group pipelines still reads it: stop the router" in said
    reader.close()

    code, said = place.topics("migrate", outside)
    assert code == 2
    assert f"topic {outside} still holds" in said
    sink = bus.consumer(outside, [outside], member="sinks-0")
    records = []
    while not records:
        assert time.monotonic() < end, "the delivery did not arrive"
        records += sink.poll(max_records=1, max_bytes=100, timeout=1)
    sink.commit({Partition(outside, records[0].partition): records[0].offset + 1})
    sink.close()

    code, said = place.topics("migrate", inside, outside, f"raw.{feed}")
    assert code == 0, said
    assert "topics made anew: 3 of 3" in said
    assert "has 8 partitions, planned: 12; a keyed topic never changes" not in place.topics("plan")[1]
    (origin,) = (
        KafkaBus(KafkaConfig(servers=broker.servers, replication_factor=1, min_insync_replicas=1))
        .producer("gateway-0")
        .publish([Outgoing(inside, "k", b"3")])
    )
    assert origin.offset == 0
    bus.close()
