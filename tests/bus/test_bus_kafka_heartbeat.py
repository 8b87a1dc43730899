"""An answer to a heart-beat counts from when it was asked for."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.coordinator import heartbeat as theirs
from kafka.coordinator.base import BaseCoordinator, Generation

from router.bus.kafka import consumer as ours
from router.bus.kafka.consumer import KafkaConsumer
from router.bus.kafka.patches.heartbeat import watch
from router.contracts import Partition


def coordinator() -> Any:
    """As much of the client's own as these tests need."""
    return SimpleNamespace(
        heartbeat=theirs.Heartbeat(group_id="g"),
        _generation=Generation(7, "m", "p"),
        time_to_next_poll=lambda: 0.0,
        _process_sync_group_response=lambda response, send_time: b"share",
        _handle_heartbeat_response=lambda response, send_time: None,
    )


def test_a_join_proves_as_much_as_a_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """From when it was asked for: its answer too may have lain in the socket."""
    now = 100.0
    monkeypatch.setattr(theirs, "time", SimpleNamespace(monotonic=lambda: now))
    client = coordinator()
    beat = watch(SimpleNamespace(_coordinator=client, _manager=SimpleNamespace(_net=None, wait_for=None)))
    now = 160.0
    assert client._process_sync_group_response(object(), 100.0) == b"share"
    beat.reset_timeouts()
    assert beat.proven == 100.0


def test_an_old_answer_read_late_proves_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at 100, frozen, read at 107: we were a member at 100; the next question changes nothing until answered."""
    now = 100.0
    monkeypatch.setattr(theirs, "time", SimpleNamespace(monotonic=lambda: now))
    beat = watch(SimpleNamespace(_coordinator=coordinator()))
    beat.sent_heartbeat()
    now = 107.0
    beat.received_heartbeat()
    assert (beat.last_receive, beat.proven) == (107.0, 100.0)
    beat.sent_heartbeat()
    assert beat.proven == 100.0
    now = 107.1
    beat.received_heartbeat()
    assert beat.proven == 107.0


def test_where_the_coordinator_is_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen, or cut off, for longer than the session: a broker tells where the coordinator is, and of us nothing.

    The client looks for it right after it wakes (its session has expired, so it calls the coordinator dead), and begins
    to count anew when it is told.
    """
    now = 100.0
    monkeypatch.setattr(theirs, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(ours, "time", SimpleNamespace(monotonic=lambda: now))
    raw = SimpleNamespace(_coordinator=coordinator(), _manager=SimpleNamespace(_net=None, wait_for=None))
    consumer = KafkaConsumer(
        raw, group="g", session=15, give_up=30, assigned=None, revoked=None, leave=lambda member: None
    )
    consumer._owned = frozenset({Partition("out.x", 0)})
    heart = raw._coordinator.heartbeat
    heart.sent_heartbeat()
    heart.received_heartbeat()
    assert consumer.owns(Partition("out.x", 0))
    now = 160.0
    assert not consumer.owns(Partition("out.x", 0))
    client = SimpleNamespace(
        _lock=threading.RLock(),
        _cluster=SimpleNamespace(add_coordinator=lambda *found: "node"),
        _client=SimpleNamespace(maybe_connect=lambda node: None),
        group_id="g",
        heartbeat=heart,
    )
    found = SimpleNamespace(coordinators=[SimpleNamespace(error_code=0)])
    BaseCoordinator._handle_find_coordinator_response(client, found)
    assert not consumer.owns(Partition("out.x", 0)), "nobody said that we are still a member"
    consumer._client_thread.drop()


def test_a_consumer_knows_for_how_long_the_broker_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from its last proof; without end before it has joined, and once another has its name."""
    now = 100.0
    monkeypatch.setattr(theirs, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(ours, "time", SimpleNamespace(monotonic=lambda: now))
    raw = SimpleNamespace(_coordinator=coordinator(), _manager=SimpleNamespace(_net=None, wait_for=None))
    consumer = KafkaConsumer(
        raw, group="g", session=15, give_up=30, assigned=None, revoked=None, leave=lambda member: None
    )
    assert consumer.silence == float("inf")
    raw._coordinator._process_sync_group_response(object(), 101.0)
    now = 116.0
    assert consumer.silence == 15.0
    raw._coordinator.heartbeat.fenced = True
    assert consumer.silence == float("inf")
