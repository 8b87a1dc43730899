"""A broker that ends while we knock is away; one that is always silent speaks another language."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.bus.kafka.connection_diagnostics import refusal
from router.bus.settings import KafkaConfig, KafkaTls


@contextmanager
def silent(times: int) -> Iterator[KafkaConfig]:
    """A port that takes so many connections and ends each without a word; then nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(times):
                listening.accept()[0].close()
            listening.close()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        servers = f"127.0.0.1:{listening.getsockname()[1]}"
        yield KafkaConfig(servers=servers, replication_factor=1, min_insync_replicas=1, request_timeout=2)
        server.join(10)
        assert not server.is_alive(), "we did not knock so often"


@pytest.mark.parametrize("tls", [None, KafkaTls()], ids=["plain", "tls"])
def test_a_broker_that_ends_while_we_knock_is_away(tls: KafkaTls | None) -> None:
    """Nobody is told to change a setting that is right."""
    with silent(times=1) as config:
        assert refusal(config.model_copy(update={"tls": tls}), {}) is None


@pytest.mark.parametrize(
    ("tls", "said"), [(None, "speaks TLS: set bus.tls"), (KafkaTls(), "does not speak TLS")], ids=["plain", "tls"]
)
def test_a_broker_that_is_silent_each_time_wants_something_else(tls: KafkaTls | None, said: str) -> None:
    with silent(times=3) as config:
        fault = refusal(config.model_copy(update={"tls": tls}), {})
    assert fault is not None and said in fault.text
