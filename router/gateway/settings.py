"""What the site file says of the ways in. Ports that are not encrypted belong on trusted networks only."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from router.secret import Secret
from router.strict import Strict

MEBIBYTE = 2**20


def loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name counts as reachable, but for `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class TlsConfig(Strict):
    """TLS of a listener. The files are read again when they change: a new certificate needs no restart."""

    certificate: Path = Field(description="PEM file of our certificate and its chain.")
    key: Path = Field(description="PEM file of its private key.")
    key_password: Secret | None = Field(None, description="Where the key's password is, when it has one.")
    client_ca: Path | None = Field(
        None, description="PEM file of the authorities whose client certificates are asked for; none = not asked for."
    )
    client_names: tuple[str, ...] = Field(
        (), description="Names (CN or DNS) a client certificate must bear one of; empty = any name of `client_ca`."
    )
    crl: Path | None = Field(
        None, description="PEM of the revocation lists of `client_ca`; none: clients' revocation is not checked."
    )
    crl_expired: Literal["accepter", "refuser"] = Field(
        "accepter", description="What an expired list does: accepter still refuses the clients it names; refuser, all."
    )

    @model_validator(mode="after")
    def _need_certificates(self) -> TlsConfig:
        if self.client_names and self.client_ca is None:
            raise ValueError("client_names needs client_ca: without it no client certificate is asked for")
        if self.crl and self.client_ca is None:
            raise ValueError("crl needs client_ca: without it no client certificate is asked for")
        return self


class MllpConfig(Strict):
    """A listener for HL7 over MLLP: one port, one feed."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")
    tls: TlsConfig | None = Field(None, description="Encrypt, and ask for client certificates.")
    max_frame: int = Field(
        32 * MEBIBYTE, ge=1024, description="Bytes of the largest message taken; a bigger one gets AE."
    )
    idle_timeout: float = Field(300, gt=0, description="Seconds without a byte after which a connection is closed.")
    frame_timeout: float = Field(60, gt=0, description="Seconds without a byte in the middle of a message.")
    max_connections: int = Field(
        200,
        ge=1,
        description="Connections at once; for one more, one that has brought nothing ends, else it is closed at once.",
    )
    pipelining: int = Field(64, ge=1, description="Messages of one connection in work before it is left unread.")


class HttpConfig(Strict):
    """The HTTP port of the site: `POST /feeds/<name>` for the feeds that say `http: true`."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(ge=0, le=65535, description="TCP port; 0 takes a free one.")
    tls: TlsConfig | None = Field(None, description="Encrypt, and ask for client certificates.")
    token: Secret | None = Field(
        None,
        description="Where the bearer token is that every request must carry. On anything but the loopback a request "
        "carries a token, or its client shows a certificate.",
    )
    api_tokens: bool = Field(
        False,
        description="Also admit the API tokens of the site that are bound to the feed (`segur-router token create`).",
    )
    max_body: int = Field(32 * MEBIBYTE, ge=1024, description="Bytes of the largest body taken; beyond: 413.")
    idle_timeout: float = Field(60, gt=0, description="Seconds without a byte in the middle of a request.")
    request_timeout: float = Field(300, gt=0, description="Seconds in which a whole request must come.")
    max_connections: int = Field(
        200,
        ge=1,
        description="Connections at once; for one more, one that has brought nothing ends, else it gets 503.",
    )


class FolderConfig(Strict):
    """A watched folder: files are taken once complete, answered beside their moved selves in `done` or `refused`."""

    path: Path = Field(description="The folder; `done` and `refused` are made in it.")
    interval: float = Field(1.0, gt=0, description="Seconds between two looks.")
    settle: float = Field(
        2.0, ge=0, description="Seconds a file must stay unchanged before it is taken (writers that rename: 0)."
    )
    readable_by: Literal["owner", "group"] = Field(
        "owner",
        description="Who may read the answers and the files moved: we alone (0600), or the folder's group too (0640).",
    )
    max_file: int = Field(64 * MEBIBYTE, ge=1024, description="Bytes of the largest file taken.")
