"""Revocation of servers' certificates, by current and by expired lists, whoever connects."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from router.errors import OperatorFault
from router.simulators.authority import Authority
from router.sinks import revocation
from router.sinks.dmp.credentials import load_identity
from router.sinks.hl7.settings import Hl7TlsConfig
from router.sinks.hl7.tls import client_context as hl7_context
from router.sinks.mssante.settings import TlsConfig
from router.sinks.mssante.tls import client_context
from tests.sinks.dmp_world import config as dmp_config
from tests.sinks.dmp_world import hospitals


class Servers:
    """Two TLS servers of one authority, and lists that name the second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.pem())
        self.good = self.authority.issue("bon", "server", hosts=("localhost",))
        self.bad = self.authority.issue("mauvais", "server", hosts=("localhost",))
        for name, one in (("good", self.good), ("bad", self.bad)):
            one.write(folder, name)

    def list(self, *, expired: bool, serials: tuple[int, ...] | None = None) -> Path:
        now = dt.datetime.now(dt.UTC)
        end = now + dt.timedelta(days=-1 if expired else 1)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.certificate.subject)
        builder = builder.last_update(now - dt.timedelta(days=3)).next_update(end)
        for serial in serials if serials is not None else (self.bad.certificate.serial_number,):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - dt.timedelta(days=2))
            builder = builder.add_revoked_certificate(entry.build())
        path = self.folder / f"liste-{expired}-{serials}.pem"
        made = builder.sign(self.authority._key, hashes.SHA256())
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    return Servers(tmp_path_factory.mktemp("servers"))


async def _streams(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    listening = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=server)
    port = listening.sockets[0].getsockname()[1]
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
        writer.close()
    finally:
        listening.close()


def _sockets(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                server.wrap_socket(listening.accept()[0], server_side=True).close()
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with socket.create_connection(listening.getsockname(), 5) as raw:
            client.wrap_socket(raw, server_hostname="localhost").close()
        thread.join(5)


def accepted(servers: Servers, name: str, client: ssl.SSLContext, way: str) -> bool:
    try:
        if way == "streams":
            asyncio.run(_streams(servers.context(name), client))
        else:
            _sockets(servers.context(name), client)
    except ssl.SSLCertVerificationError:
        return False
    return True


@pytest.mark.parametrize("way", ["streams", "sockets"])
@pytest.mark.parametrize("expired", [False, True], ids=["current", "expired"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_accepter_refuses_what_the_list_names(servers: Servers, way: str, expired: bool, lasting: bool) -> None:
    """Also when the list has expired: others are accepted, the revoked server is not."""
    for name, welcome in (("good", True), ("bad", False)):
        client = ssl.create_default_context(cafile=str(servers.ca))
        assert revocation.check(client, servers.list(expired=expired), "accepter", lasting=lasting)
        assert accepted(servers, name, client, way) is welcome


def test_refuser_takes_no_expired_list(servers: Servers) -> None:
    """A current one is checked by OpenSSL, an expired one is told."""
    client = ssl.create_default_context(cafile=str(servers.ca))
    assert not revocation.check(client, servers.list(expired=True), "refuser")
    assert revocation.check(client, servers.list(expired=False), "refuser")
    assert accepted(servers, "good", client, "streams") and not accepted(servers, "bad", client, "streams")


def clients(servers: Servers, factory: Any, crl: Path, expired: Any) -> list[ssl.SSLContext]:
    """The contexts of SMTP and IMAP, of the DMP and of a HL7 partner."""
    dmp = dmp_config(hospitals(factory), "750100125", "https://localhost:1/x", crl=crl, crl_expired=expired)
    dmp = dmp.model_copy(update={"server_ca": servers.ca, "ciphers": "ECDHE+AESGCM"})
    return [
        client_context(TlsConfig(ca=servers.ca, crl=crl, crl_expired=expired)),
        load_identity(dmp).context,
        hl7_context(Hl7TlsConfig(ca=servers.ca, crl=crl, crl_expired=expired)),
    ]


def test_every_client_has_the_same_options(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SMTP, IMAP, DMP and HL7: `crl` and `crl_expired` mean the same."""
    for expired in (False, True):
        for client in clients(servers, tmp_path_factory, servers.list(expired=expired), "accepter"):
            assert accepted(servers, "good", client, "streams")
            assert not accepted(servers, "bad", client, "streams")
    with pytest.raises(OperatorFault, match="MSS-CRL"):
        clients(servers, tmp_path_factory, servers.list(expired=True), "refuser")
