"""The bus on a real Kafka broker keeps the contract of every bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from router.bus.kafka.kafka_bus import KafkaBus
from router.bus.settings import KafkaConfig
from tests.contracts.bus_contract import BusContract
from tests.services import kafka_servers  # noqa: F401

pytestmark = pytest.mark.integration


def one_broker(servers: str, prefix: str = "") -> KafkaConfig:
    return KafkaConfig(
        servers=servers, prefix=prefix, replication_factor=1, min_insync_replicas=1, session_timeout=6, partitions=4
    )


class TestKafkaBus(BusContract):
    """The contract, on Kafka."""

    wait = 30.0

    @pytest.fixture
    def again(
        self,
        kafka_servers: str,  # noqa: F811
        request: pytest.FixtureRequest,
    ) -> Iterator[Callable[[], KafkaBus]]:
        opened: list[KafkaBus] = []

        def open_again() -> KafkaBus:
            opened.append(KafkaBus(one_broker(kafka_servers, f"{request.node.name}-{id(opened)}-")))
            return opened[-1]

        yield open_again
        for other in opened:
            other.close()

    @pytest.fixture
    def bus(self, again: Callable[[], KafkaBus]) -> KafkaBus:
        return again()
