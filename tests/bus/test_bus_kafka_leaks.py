"""What could not be opened leaves nothing behind, without a broker."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.coordinator.heartbeat import Heartbeat

from router.bus.kafka import kafka_bus
from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from router.errors import Unavailable


class Unknowing:
    """A client whose brokers let it in and then know nothing of its topics."""

    opened: list[Unknowing]

    def __init__(self, **_: Any) -> None:
        self.closed = False
        self._coordinator = SimpleNamespace(
            heartbeat=Heartbeat(),
            time_to_next_poll=None,
            _process_sync_group_response=None,
            _handle_heartbeat_response=None,
        )
        self._manager = SimpleNamespace(_net=None, wait_for=None)
        self.opened.append(self)

    def subscribe(self, **_: Any) -> None: ...

    def partitions_for_topic(self, _: str) -> None: ...

    def group_metadata(self) -> Any:
        return SimpleNamespace(member_id="")

    def close(self, **_: Any) -> None:
        self.closed = True


def test_a_group_that_could_not_be_joined_leaves_no_client_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers try again every few seconds for as long as it takes: each client has threads and connections."""
    monkeypatch.setattr(Unknowing, "opened", [], raising=False)
    monkeypatch.setattr(kafka_bus, "RawConsumer", Unknowing)
    monkeypatch.setattr(kafka_bus, "refusal", lambda *_: None)
    bus = KafkaBus(KafkaConfig(servers="nowhere:1", request_timeout=1, publish_timeout=2))
    monkeypatch.setattr(bus._topics, "counts", lambda names: dict.fromkeys(names, 4))
    before = set(threading.enumerate())
    with pytest.raises(Unavailable):
        bus.consumer("g", ["in.x"], member="m-0")
    assert [raw.closed for raw in Unknowing.opened] == [True]
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert set(threading.enumerate()) <= before
