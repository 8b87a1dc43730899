"""The configuration of an `hl7` sink: where the partner listens, and how its answers are waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from router.contracts.sink_type import SinkSettings
from router.secret import Secret
from router.strict import Strict


class Hl7TlsConfig(Strict):
    """TLS towards the partner. Files are read again at each new connection."""

    ca: Path = Field(description="PEM file of the authorities that may sign the partner's certificate.")
    certificate: Path | None = Field(None, description="PEM file of our client certificate and its chain.")
    key: Path | None = Field(None, description="PEM file of its private key; default: in `certificate`.")
    key_password: Secret | None = Field(None, description="Where the key's password is, when it has one.")
    crl: Path | None = Field(None, description="PEM of the revocation lists; none: revocation is not checked.")
    crl_expired: Literal["accepter", "refuser"] = Field(
        "accepter", description="What an expired list does: accepter still refuses what it names, and says so."
    )
    server_name: str = Field("", description="Name the partner's certificate must bear; default: `host`.")


class Hl7Config(SinkSettings):
    """Send HL7 messages to one system over MLLP and wait for its acknowledgement."""

    type: Literal["hl7"] = "hl7"
    host: str = Field(description="Host of the partner.")
    port: int = Field(ge=1, le=65535, description="Its MLLP port.")
    tls: Hl7TlsConfig | None = Field(None, description="Encrypt; without it the network must be trusted.")
    connections: int = Field(8, ge=1, le=256, description="Connections at most; each carries one message at a time.")
    connect_timeout: float = Field(10, gt=0, description="Seconds to open a connection.")
    timeout: float = Field(30, gt=0, description="Seconds to wait for an acknowledgement.")
    on_unknown: Literal["repeat", "hold"] = Field(
        "repeat", description="After a cut between message and answer: send again, or hold for a person."
    )
    retried: tuple[str, ...] = Field(
        ("206",), description="ERR-3 codes (table 0357) for which an AE is tried again, e.g. 206 (record locked)."
    )
    match_control_id: bool = Field(True, description="MSA-2 must be our MSH-10; false for partners that err there.")
