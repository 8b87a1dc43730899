"""From the bus section of the site file to the bus itself. Only the chosen bus and its client library are imported."""

from __future__ import annotations

from router.bus.settings import BusConfig, SqliteBusConfig
from router.contracts import Bus


def open_bus(config: BusConfig) -> Bus:
    """The bus that `config` describes. Kafka is connected to when it is first used.

    Raises `OperatorFault` for a file that can't be used, or for a password or certificate that is missing;
    `Unavailable` when the file can't be used now.
    """
    if isinstance(config, SqliteBusConfig):
        from router.bus.sqlite.sqlite_bus import SqliteBus

        return SqliteBus(config.path, partitions=config.partitions)
    from router.bus.kafka.kafka_bus import KafkaBus

    return KafkaBus(config)
