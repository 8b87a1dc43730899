"""What the site file says of the bus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from router.bus.plans import MAX_BYTES, MIB
from router.errors import OperatorFault
from router.strict import Strict


class SqliteBusConfig(Strict):
    """The embedded bus: one file, shared by the processes of one machine."""

    type: Literal["sqlite"] = "sqlite"
    path: Path = Field(Path("var/bus.db"), description="The file; its locks stand in a folder beside it.")
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of a topic that was not planned.")


class KafkaTls(Strict):
    """TLS towards the brokers, with a client certificate when they ask for one."""

    ca: Path | None = Field(None, description="PEM file of the authorities to trust; default: the system's.")
    certificate: Path | None = Field(None, description="PEM file of our certificate and its chain.")
    key: Path | None = Field(None, description="PEM file of our private key.")
    check_hostname: bool = Field(True, description="The broker's certificate must bear its name.")


class KafkaSasl(Strict):
    """A name and a password towards the brokers. The password is named here, never held."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = Field(description="Our name.")
    password_env: str = Field("", description="Environment variable that holds the password.")
    password_file: Path | None = Field(None, description="File whose first line is the password.")

    def password(self) -> str:
        """Read it now. Raises `OperatorFault` when it is nowhere."""
        if self.password_env and self.password_env in os.environ:
            return os.environ[self.password_env]
        if self.password_file is not None and self.password_file.is_file():
            return self.password_file.read_text().splitlines()[0]
        raise OperatorFault("KAFKA-PASSWORD", "bus.sasl", "no password: set password_env or password_file")


class KafkaConfig(Strict):
    """Apache Kafka 3.0 or newer."""

    type: Literal["kafka"] = "kafka"
    servers: str = Field(description="Brokers to begin with: `host:port,host:port`.")
    tls: KafkaTls | None = None
    sasl: KafkaSasl | None = None
    client_id: str = Field("segur-router", description="How we are named in the brokers' logs and quotas.")
    prefix: str = Field("", description="Put before the names of groups and transactions, when a cluster is shared.")
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="Of what we write. Documents in base64 shrink by a quarter, at the price of our CPU."
    )
    partitions: int = Field(24, ge=1, le=1024, description="Partitions of a topic that was not planned.")
    replication_factor: int = Field(3, ge=1, description="Copies of each topic that we create, and check.")
    min_insync_replicas: int = Field(2, ge=1, description="Copies that hold a record before it is acknowledged.")
    max_bytes: int = Field(MAX_BYTES, ge=MIB, description="Largest record that we write or read.")
    session_timeout: float = Field(15, ge=1, description="Seconds of silence after which a member has lost its share.")
    request_timeout: float = Field(10, ge=1, description="Seconds one request to a broker may take.")
    publish_timeout: float = Field(30, ge=2, description="Seconds until a batch or a transaction is given up.")
    fetch_bytes: int = Field(
        8 * MIB, ge=MIB, description="Bytes asked for at once (one larger record alone); a process's sinks share them."
    )

    def shared_fetch(self, readers: int) -> int:
        """Bytes that each of a process's readers asks for at once: each holds twice as many, and copies them."""
        return max(MIB, self.fetch_bytes // max(1, readers))

    @model_validator(mode="after")
    def _copies(self) -> KafkaConfig:
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas can't be more than replication_factor")
        return self

    @model_validator(mode="after")
    def _patience(self) -> KafkaConfig:
        if self.publish_timeout < self.request_timeout:
            raise ValueError(
                "publish_timeout can't be shorter than request_timeout, one of whose requests it waits for"
            )
        return self


BusConfig = Annotated[SqliteBusConfig | KafkaConfig, Field(discriminator="type")]
"""`type` chooses the bus."""
