"""Ledger or bus restored from a backup, or made anew: nothing acknowledged is lost, and nothing is delivered twice."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from router.contracts import Header, Outgoing, out_topic
from router.errors import OperatorFault, Refused, Unavailable
from router.exchange import State
from router.wire import read_journal
from tests.engine.sinks import delivery
from tests.runtime.stage import SHARED, SINK, Stage, some
from tests.services import kafka_servers  # noqa: F401


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "site")
    stage.start()
    yield stage
    stage.close()


def test_a_start_like_any_other_changes_nothing(stage: Stage) -> None:
    """What was delivered, refused and commanded leaves nothing to reconcile."""
    stage.sink.behaviour = lambda one, _: Refused("NO") if one.label == "bad" else None
    good, bad = some(0, 5), delivery(7, "lane-7", sink=SINK, label="bad")
    stage.publish(*good, bad, good[0])
    stage.receive(1)
    stage.deliver(*good, bad)
    headers = {Header.COMMAND: "discard", Header.DELIVERY: bad.id, Header.ID: bad.event_id}
    stage.bus.producer("test").publish([Outgoing(out_topic(SINK), bad.key, b"", headers)])
    stage.deliver(bad)
    before = stage.ledger.get([one.id for one in [*good, bad]])
    for _ in range(2):
        stage.close()
        stage.open()
        stage.start()
    assert stage.told() == []
    assert stage.ledger.get([one.id for one in [*good, bad]]) == before


def test_a_ledger_from_a_backup_learns_what_was_delivered_meanwhile(stage: Stage) -> None:
    """Done is done by its receipt, a dead letter keeps its bytes, and what was only read is delivered: once each."""
    stage.sink.behaviour = lambda one, _: Refused("NO") if one.label == "bad" else None
    early, late, bad = some(0, 3), some(3, 8), delivery(9, "lane-9", sink=SINK, label="bad")
    stage.publish(*early)
    stage.deliver(*early)
    stage.backup("ledger.db")
    stage.publish(*late, bad)
    stage.deliver(*late, bad)
    stage.restore("ledger.db")
    assert stage.state(late[0]) is None
    stage.start()
    assert stage.told() == ["ledger-behind"]
    assert {stage.state(one) for one in late} == {State.DONE}
    row = stage.ledger.get([bad.id])[bad.id]
    assert (row.state, row.code, row.bytes_at.topic) == (State.DEAD, "NO", f"dlq.{SINK}")
    done = stage.ledger.get([late[0].id])[late[0].id]
    assert done.evidence == {"message_id": late[0].id} and done.attempts == 1
    more = some(20, 22)
    stage.publish(*more, late[0])
    stage.deliver(*more)
    assert stage.delivered() == sorted(one.id for one in [*early, *late, *more])


def test_what_the_old_ledger_held_as_unfinished_is_not_repeated(stage: Stage) -> None:
    """A row that waited when the backup was made, and ended since, ends by its receipt."""
    stage.sink.behaviour = lambda _d, _a: 30.0
    (slow,) = some(0, 1)
    stage.publish(slow)
    with pytest.raises(TimeoutError):
        stage.deliver(slow, seconds=1.0)
    stage.backup("ledger.db")
    assert stage.state(slow) is State.BEGUN
    stage.sink.behaviour = lambda _d, _a: None
    more = some(1, 4)
    stage.publish(*more)
    stage.deliver(slow, *more)
    stage.restore("ledger.db")
    stage.start()
    stage.deliver(slow, *more)
    assert stage.delivered() == sorted(one.id for one in [slow, *more])


def test_what_waited_and_ended_since_is_not_repeated_when_nothing_else_came(stage: Stage) -> None:
    """The sink's topic shows no gap; an event that came since tells that the ledger is older: all rows are asked."""
    stage.sink.behaviour = lambda _d, _a: 30.0
    (slow,) = some(0, 1)
    stage.publish(slow)
    with pytest.raises(TimeoutError):
        stage.deliver(slow, seconds=1.0)
    stage.backup("ledger.db")
    stage.sink.behaviour = lambda _d, _a: None
    stage.deliver(slow)
    stage.receive(1)
    stage.restore("ledger.db")
    stage.start()
    assert stage.state(slow) is State.DONE
    stage.deliver(slow)
    assert stage.delivered() == [slow.id]


def test_what_nobody_remembers_is_delivered_as_an_unknown_outcome(stage: Stage) -> None:
    """Read by the old ledger's successor, begun perhaps, no receipt: the sink type says what to do, nothing is lost."""
    (first,) = some(0, 1)
    stage.publish(first)
    stage.deliver(first)
    stage.backup("ledger.db")
    stage.sink.behaviour = lambda _d, _a: 30.0
    lost = some(1, 4)
    stage.publish(*lost)
    with pytest.raises(TimeoutError):
        stage.deliver(*lost, seconds=2.0)
    stage.restore("ledger.db")
    stage.start()
    assert {stage.state(one) for one in lost} == {State.UNKNOWN}
    stage.sink.behaviour = lambda _d, _a: None
    stage.sink.calls.clear()
    stage.deliver(*lost)
    assert stage.delivered() == sorted(one.id for one in lost)
    assert all(call.attempt.unknown for call in stage.sink.calls)


def test_a_ledger_from_a_backup_gets_its_claims_back(stage: Stage) -> None:
    """A sender that repeats what came since the backup gets its stored ACK."""
    stage.receive(1)
    stage.backup("ledger.db")
    stage.receive(2)
    stage.restore("ledger.db")
    assert stage.ledger.acks([f"{2:032d}"]) == {}
    stage.start()
    assert stage.ledger.acks([f"{n:032d}" for n in (1, 2)]) == {f"{1:032d}": b"ACK1", f"{2:032d}": b"ACK2"}


def test_a_ledger_that_was_lost_altogether_is_made_anew(stage: Stage) -> None:
    """An empty ledger on a bus with a history: the receipts say what was delivered."""
    some_ = some(0, 4)
    stage.publish(*some_)
    stage.receive(1)
    stage.deliver(*some_)
    stage.remove("ledger.db")
    stage.start()
    assert {stage.state(one) for one in some_} == {State.DONE}
    assert set(stage.ledger.acks([f"{1:032d}"])) == {f"{1:032d}"}


@pytest.mark.parametrize("how", ["restored", "removed"])
def test_a_bus_without_what_the_ledger_knows_takes_repeats_anew(stage: Stage, how: str) -> None:
    """Its events are no longer known, what was delivered stays so, what was not is delivered when it comes again."""
    early = stage.receive(1)
    stage.backup("bus.db")
    event = stage.receive(2)
    stage.sink.behaviour = lambda one, _: 30.0 if one.label == "slow" else None
    done, slow = delivery(3, "lane-3", sink=SINK), delivery(4, "lane-4", sink=SINK, label="slow")
    stage.publish(done, slow)
    with pytest.raises(TimeoutError):
        stage.deliver(done, slow, seconds=1.5)
    stage.restore("bus.db") if how == "restored" else stage.remove("bus.db")
    stage.start()
    assert stage.told() == ["bus-behind"]
    assert stage.ledger.acks([event.id]) == {}
    assert (early.id in stage.ledger.acks([early.id])) is (how == "restored")
    lost = json.loads((stage.folder / "var" / "bytes-lost.json").read_text())
    assert event.id in [one["id"] for one in lost["events"]]
    assert [one["id"] for one in lost["deliveries"]] == [slow.id]
    said = [entry for entry in map(read_journal, stage.bus.scan("journal")) if entry.code == "BYTES-LOST"]
    assert event.id in [entry.event_id for entry in said]
    stage.sink.behaviour = lambda _d, _a: None
    stage.sink.calls.clear()
    stage.deliver(slow)
    assert stage.state(slow) is State.DEAD
    stage.publish(done, slow)
    stage.deliver(done, slow, by=(State.DONE,))
    assert stage.delivered() == [slow.id]
    stage.start()
    assert stage.told() == ["bus-behind"]


def test_a_repeat_before_the_dead_letter_is_enough(stage: Stage) -> None:
    """The bytes come again while the delivery still waits for its turn: it is delivered with them, once."""
    stage.backup("bus.db")
    stage.sink.behaviour = lambda _d, _a: 30.0
    (slow,) = some(4, 5)
    stage.publish(slow)
    with pytest.raises(TimeoutError):
        stage.deliver(slow, seconds=1.0)
    stage.restore("bus.db")
    stage.start()
    stage.publish(slow)
    stage.sink.behaviour = lambda _d, _a: None
    stage.sink.calls.clear()
    stage.deliver(slow)
    if stage.state(slow) is State.DEAD:  # its turn came before the repeat was read
        stage.publish(slow)
        stage.deliver(slow, by=(State.DONE,))
    assert stage.delivered() == [slow.id]


def test_a_worker_does_not_take_another_bus_by_itself(stage: Stage) -> None:
    """A file that was moved away for a moment must not be forgotten: a person starts the router again."""
    stage.receive(1)
    stage.remove("bus.db")
    with pytest.raises(OperatorFault, match="BUS-OTHER"):
        stage.start(adopt=False)
    assert stage.told() == []


@pytest.fixture
def on_kafka(tmp_path: Path, kafka_servers: str) -> Iterator[Stage]:  # noqa: F811
    bus = f"bus: {{type: kafka, servers: '{kafka_servers}', prefix: 'r{uuid.uuid4().hex[:8]}-', replication_factor: 1"
    stage = Stage(tmp_path / "site", f"{SHARED}{bus}, min_insync_replicas: 1, session_timeout: 6}}\n")
    with contextlib.suppress(Unavailable):  # of a broker that has never seen a group
        stage.start()
    yield stage
    stage.close()


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_ledger_from_a_backup_learns_from_kafka(on_kafka: Stage) -> None:
    """The same on a cluster: the group's offsets, the topic and the receipts tell what the ledger lacks."""
    stage, early, late = on_kafka, some(0, 3), some(3, 8)
    stage.publish(*early)
    stage.deliver(*early, seconds=60)
    stage.start()
    assert stage.told() == []
    stage.backup("ledger.db")
    stage.publish(*late)
    stage.deliver(*late, seconds=60)
    stage.restore("ledger.db")
    stage.start()
    assert stage.told() == ["ledger-behind"]
    assert {stage.state(one) for one in late} == {State.DONE}
    stage.start()
    assert stage.told() == ["ledger-behind"]
    assert stage.delivered() == sorted(one.id for one in [*early, *late])


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_topic_of_kafka_that_was_made_anew_is_not_the_one_of_before(on_kafka: Stage, kafka_servers: str) -> None:  # noqa: F811
    """Deleted by hand and created again: its name is the same, its id is not, and what is lost is told."""
    stage, done = on_kafka, some(0, 3)
    stage.publish(*done)
    stage.deliver(*done, seconds=60)
    stage.start()
    topic, known = out_topic(SINK), stage.bus.identities([out_topic(SINK)])
    stage.close()
    admin = KafkaAdminClient(bootstrap_servers=kafka_servers)
    admin.delete_topics([topic])
    admin.close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable, OperatorFault):
            stage.open()
            if stage.bus.identities([topic]).get(topic, "") not in ("", known[topic]):
                break
        stage.close()
        time.sleep(0.5)
    with pytest.raises(OperatorFault, match="BUS-OTHER"):
        stage.start(adopt=False)
    stage.start()
    assert stage.told() == ["bus-behind"]
    assert stage.ledger.seen(topic) and set(stage.ledger.seen(topic).values()) == {0}
    assert {stage.state(one) for one in done} == {State.DONE}
