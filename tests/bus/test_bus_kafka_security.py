"""TLS with client certificates and SASL, on a real broker: the bus works over each, and a refusal says what to mend."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from router.contracts import Outgoing, Partition, Record, Settle, TopicPlan
from router.errors import OperatorFault, Unavailable
from router.simulators.authority import Authority
from tests.services import Broker, running_broker

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "350000030-auth"
DAY = 86_400.0

SITE = """\
environment: qualification
data: {data}
admin: {{port: 0}}
feeds: {{sil: {{kind: relay, mllp: {{port: 0}}}}}}
sinks: {{hl7.sil: {{type: hl7, host: 127.0.0.1, port: 2675}}}}
bus:
  type: kafka
  servers: {servers}
  replication_factor: 1
  min_insync_replicas: 1
  tls: {{ca: {ca}}}
  sasl: {{username: routeur, password_file: {password}}}
"""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker with every listener: without TLS, with TLS, with TLS and SASL."""
    with running_broker("--tls", "--sasl") as broker:
        yield broker


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUS_PASSWORD", "essai")
    monkeypatch.setenv("BUS_WRONG_PASSWORD", "un-secret-qui-est-faux")


def pair(broker: Broker, name: str) -> dict[str, Path]:
    folder = broker.certificates
    return {"ca": folder / "ca.pem", "certificate": folder / f"{name}.pem", "key": folder / f"{name}.key"}


def over(broker: Broker, way: str, **changes: Any) -> KafkaConfig:
    """The settings of one way in: `tls`, or a SASL mechanism; `changes` go over them."""
    settings: dict[str, Any] = {
        "replication_factor": 1,
        "min_insync_replicas": 1,
        "session_timeout": 6,
        "partitions": 2,
    }
    if way == "tls":
        settings |= {"servers": broker.tls, "tls": pair(broker, CLIENT)}
    else:
        ours = {"mechanism": way, "username": "routeur", "password_env": "BUS_PASSWORD"}
        settings |= {"servers": broker.sasl, "tls": {"ca": broker.certificates / "ca.pem"}, "sasl": ours}
    return KafkaConfig.model_validate(settings | changes)


@pytest.mark.parametrize("way", ["tls", "SCRAM-SHA-512", "PLAIN"])
def test_the_bus_works_over_it(guarded: Broker, way: str) -> None:
    """Topics, a batch, a group, a transaction, a record of 20 MB, a scan, the lag: everything the stages do."""
    topic = f"in.{uuid.uuid4().hex[:10]}"
    plans = [TopicPlan(topic, 2, 14 * DAY, 32 << 20), TopicPlan(f"{topic}.out", 2, 14 * DAY, 32 << 20)]
    bus = KafkaBus(over(guarded, way))
    bus.create(plans)
    assert list(bus.check(plans)) == []
    large = bytes(20 << 20)
    producer = bus.producer("gateway-0")
    producer.publish([Outgoing(topic, "k", b"1", {"id": "a"}), Outgoing(topic, "k", large)])
    consumer = bus.consumer("security", [topic], member=f"m-{topic}")
    records: list[Record] = []
    end = time.monotonic() + 60
    while len(records) < 2:
        assert time.monotonic() < end, "the records did not arrive"
        records += consumer.poll(max_records=10, max_bytes=64 << 20, timeout=0.5)
    assert [record.value for record in records] == [b"1", large]
    settle = Settle(consumer, {Partition(topic, records[1].partition): records[1].offset + 1})
    worker = bus.producer("pipelines-0")
    (origin,) = worker.publish([Outgoing(f"{topic}.out", "k", b"2")], settle=settle)
    found = bus.read(origin)
    assert found is not None
    assert found.value == b"2"
    assert [record.value for record in bus.scan(f"{topic}.out")] == [b"2"]
    assert sum(bus.lag("security").values()) == 0
    for part in (consumer, producer, worker, bus):
        part.close()


@pytest.mark.parametrize(
    ("way", "changes", "said"),
    [
        ("tls", {"tls": {"certificate": None, "key": None}}, "refuses our certificate: it is missing"),
        ("tls", {"tls": "350000030-auth-expired"}, "refuses our certificate: it is missing, has expired"),
        ("tls", {"tls": {"ca": "other"}}, "an authority that bus.tls.ca does not hold"),
        ("tls", {"servers": "127.1"}, "does not bear the name in bus.servers"),
        ("tls", {"tls": {"key": "server.key"}}, "belong together"),
        ("tls", {"tls": {"ca": "nowhere.pem"}}, "bus.tls.ca: this file can't be read"),
        ("tls", {"servers": "plain"}, "does not speak TLS"),
        ("tls", {"tls": None}, "speaks TLS: set bus.tls"),
        ("SCRAM-SHA-512", {"sasl": {"password_env": "BUS_WRONG_PASSWORD"}}, "refuses? our name or password"),
        ("PLAIN", {"sasl": {"password_env": "BUS_WRONG_PASSWORD"}}, "refuses? our name or password"),
        ("SCRAM-SHA-512", {"sasl": {"mechanism": "SCRAM-SHA-256"}}, "does not speak this (SASL )?mechanism"),
        ("SCRAM-SHA-512", {"sasl": None}, "wants a password: set bus.sasl"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(next(iter(value.items()))),
)
def test_a_refusal_says_what_to_mend(
    guarded: Broker, tmp_path: Path, way: str, changes: dict[str, Any], said: str
) -> None:
    """Each mistake is an operator's fault in one sentence that names the setting, told by every way in at once."""
    (tmp_path / "other.pem").write_bytes(Authority("AUTRE AUTORITE").pem())
    config = over(guarded, way, **_resolved(guarded, tmp_path, way, changes))
    for enter in (
        lambda bus: bus.check([]),
        lambda bus: bus.producer("p").publish([Outgoing("in.a", "k", b"1")]),
        lambda bus: bus.consumer("g", ["in.a"], member="m-0"),
        lambda bus: list(bus.scan("in.a")),
    ):
        bus = KafkaBus(config)
        with pytest.raises(OperatorFault, match=said) as caught:
            enter(bus)
        assert "\n" not in str(caught.value)
        assert "faux" not in f"{caught.value!r}"
        bus.close()


def _resolved(broker: Broker, folder: Path, way: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Names in a row of the table above become settings of this run's broker."""
    found = dict(changes)
    if "servers" in found:
        port = broker.tls.rpartition(":")[2]
        found["servers"] = broker.servers if found["servers"] == "plain" else f"{found['servers']}:{port}"
    if isinstance(found.get("sasl"), dict):
        found["sasl"] = {"username": "routeur", "password_env": "BUS_PASSWORD", "mechanism": way} | found["sasl"]
    if isinstance(found.get("tls"), str):
        found["tls"] = pair(broker, found["tls"])
    if isinstance(found.get("tls"), dict):
        places = {"other": folder / "other.pem", "server.key": broker.certificates / "server.key"}
        found["tls"] = pair(broker, CLIENT) | {name: places.get(v, v) for name, v in found["tls"].items()}
    return found


def test_a_user_without_rights_is_told_so(guarded: Broker) -> None:
    """A name the cluster knows but grants nothing: the fault names the ACLs."""
    restricted = {"username": "restreint", "password_env": "BUS_PASSWORD", "mechanism": "SCRAM-SHA-512"}
    bus = KafkaBus(over(guarded, "SCRAM-SHA-512", sasl=restricted))
    with pytest.raises(OperatorFault, match="check the ACLs of our user"):
        bus.producer("p").publish([Outgoing("in.forbidden", "k", b"1")])
    with pytest.raises(OperatorFault, match="check the ACLs of our user"):
        bus.create([TopicPlan("in.forbidden", 2, 14 * DAY, 1 << 20)])
    bus.close()


#: The rights of `docs/kafka.md` for the router's own name, then those that only `topics apply` adds.
RUNNING = {
    ResourceType.TOPIC: ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS", "DELETE"),
    ResourceType.GROUP: ("READ", "DESCRIBE"),
    ResourceType.TRANSACTIONAL_ID: ("WRITE", "DESCRIBE"),
    ResourceType.CLUSTER: ("DESCRIBE", "DESCRIBE_CONFIGS"),
}
APPLYING = {ResourceType.TOPIC: ("CREATE", "ALTER_CONFIGS")}


def grant(broker: Broker, user: str, prefix: str, rights: Mapping[Any, tuple[str, ...]]) -> None:
    """Give rights on whatever begins with `prefix`, by the listener that has them all; returns once in force."""
    admin = KafkaAdminClient(bootstrap_servers=broker.servers)
    wanted = [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[operation],
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, "kafka-cluster", ACLResourcePatternType.LITERAL)
            if kind is ResourceType.CLUSTER
            else ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED),
        )
        for kind, operations in rights.items()
        for operation in operations
    ]
    admin.create_acls(wanted)
    admin.close()


def patiently(work: Callable[[], Any]) -> Any:
    """Rights come into force a moment after they were given."""
    end = time.monotonic() + 30
    while True:
        try:
            return work()
        except OperatorFault:
            assert time.monotonic() < end, "the rights that the documentation names do not suffice"
            time.sleep(0.2)


def test_the_documented_rights_suffice(guarded: Broker) -> None:
    """An operator with the rights to apply makes the topics; then the router works with its own, and no more."""
    ours = uuid.uuid4().hex[:10]
    topics = [f"{ours}.in", f"{ours}.out"]
    plans = [TopicPlan(topic, 2, 14 * DAY, 1 << 20) for topic in topics]
    restricted = {"username": "restreint", "password_env": "BUS_PASSWORD", "mechanism": "SCRAM-SHA-512"}
    bus = KafkaBus(over(guarded, "SCRAM-SHA-512", sasl=restricted, prefix=f"{ours}."))
    grant(guarded, "restreint", ours, RUNNING)
    assert patiently(lambda: bus.check(plans)) == [
        f"topic {topic} does not exist: `segur-router topics apply` creates it" for topic in topics
    ]
    with pytest.raises(OperatorFault, match="check the ACLs of our user"):
        bus.create(plans)
    KafkaBus(over(guarded, "PLAIN")).create(plans)
    bus.create(plans)
    producer, worker = bus.producer("gateway-0"), bus.producer("pipelines-0")
    (first,) = producer.publish([Outgoing(topics[0], "k", b"1")])
    consumer = bus.consumer("pipelines", [topics[0]], member="pipelines-0")
    records, end = list[Record](), time.monotonic() + 60
    while not records:
        assert time.monotonic() < end, "the record did not arrive"
        records += consumer.poll(max_records=1, max_bytes=100, timeout=0.5)
    settle = Settle(consumer, {Partition(topics[0], first.partition): first.offset + 1})
    worker.publish([Outgoing(topics[1], "k", b"2")], settle=settle)
    assert sum(bus.lag("pipelines").values()) == 0
    bus.trim(Partition(topics[0], first.partition), first.offset + 1)
    assert bus.read(first) is None
    assert list(bus.check(plans)) == []
    consumer.close()
    grant(guarded, "restreint", ours, APPLYING)
    patiently(lambda: bus.create([TopicPlan(f"{ours}.dlq", 2, None, 1 << 20)]))
    bus.close()


def test_a_broker_that_is_away_is_nobodys_fault(guarded: Broker) -> None:
    """Where nothing listens there is nothing to mend in our settings: the bus is unavailable."""
    bus = KafkaBus(over(guarded, "tls", servers="127.0.0.1:9", request_timeout=1))
    with pytest.raises(Unavailable):
        bus.check([])
    bus.close()


@pytest.mark.parametrize("command", [["topics", "plan"], ["topics", "apply"], ["run"]])
def test_the_command_line_says_it_in_one_sentence(guarded: Broker, tmp_path: Path, command: list[str]) -> None:
    """A wrong password ends the command at once with 2, without a traceback: nothing retries in silence."""
    password, site = tmp_path / "password", tmp_path / "router.yaml"
    password.write_text("un-secret-qui-est-faux\n")
    site.write_text(
        SITE.format(data=tmp_path / "var", servers=guarded.sasl, ca=guarded.certificates / "ca.pem", password=password)
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "router.cli.main", *command, "--site", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "our name or password" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
