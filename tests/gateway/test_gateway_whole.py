"""The gateway as one: real bus and ledger, TLS with client certificates and renewal, start and stop."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Claim, Header, SystemClock
from router.errors import Fenced, OperatorFault
from router.exchange import Origin
from router.gateway.gateway import Gateway
from router.gateway.settings import HttpConfig, MllpConfig, TlsConfig
from router.ledger.store import SqlLedger
from tests.gateway.gateway_parts import PSEUDONYMS, Client, Counted, MemoryBus, hl7, relay


class Authority:
    """A throw-away certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(
            self._sign(self._name, self._key, authority=True).public_bytes(serialization.Encoding.PEM)
        )

    def issue(self, name: str, file: str = "") -> tuple[Path, Path]:
        """Certificate and key of a name, in files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, secret = self._folder / f"{file or name}.crt", self._folder / f"{file or name}.key"
        certificate.write_bytes(self._sign(subject, key).public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return certificate, secret

    def _sign(self, subject: x509.Name, key: Any, *, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def opened(tmp_path: Path, **ways: Any) -> Gateway:
    return Gateway(
        bus=SqliteBus(tmp_path / "bus.db"),
        ledger=SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}"),
        clock=SystemClock(),
        pseudonyms=PSEUDONYMS,
        observer=Counted(),
        feeds=[relay()],
        drain=3,
        **ways,
    )


def play(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, 40))


async def served_name(port: int, authority: Path, certificate: Any = None) -> str:
    """The serial of the certificate that the listener shows, after one message."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate:
        context.load_cert_chain(*certificate)
    client = await Client.connect(port, ssl=context, server_hostname="localhost")
    assert (await client.ask(hl7("tls")))[1] == "MSA|AA|tls"
    found = client.writer.get_extra_info("peercert")["serialNumber"]
    client.close()
    return str(found)


def test_run_serves_until_told_to_stop(tmp_path: Path) -> None:
    """`run` listens, answers, and ends soon after `stop`; what it answered is on the bus."""

    async def story() -> None:
        gateway, stop = opened(tmp_path, mllp={"sil": MllpConfig(port=0)}, http=HttpConfig(port=0)), asyncio.Event()
        listening = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop, listening.set))
        await asyncio.wait_for(listening.wait(), 5)
        client = await Client.connect(gateway.ports["sil"])
        assert (await client.ask(hl7("1")))[1] == "MSA|AA|1"
        stop.set()
        await asyncio.wait_for(running, 5)
        assert [record.value for record in gateway.intake.bus.scan("in.sil")] == [hl7("1")]

    play(story())


def test_E14_the_ledger_remembers_over_a_restart(tmp_path: Path) -> None:
    """What the pipelines claimed is recognised by a new process, and answered with the stored bytes."""

    async def story() -> None:
        first = opened(tmp_path, mllp={"sil": MllpConfig(port=0)})
        await first.start()
        client = await Client.connect(first.ports["sil"])
        lines = await client.ask(hl7("1"))
        await first.close()
        (event,) = first.intake.bus.scan("in.sil")
        stored = ("\r".join(lines) + "\r").encode()
        SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}").claim(
            [Claim(event.headers[Header.ID], Origin("in.sil", 0, 0), stored, 1.0)]
        )
        second = opened(tmp_path, mllp={"sil": MllpConfig(port=0)})
        await second.start()
        assert await (await Client.connect(second.ports["sil"])).ask(hl7("1")) == lines
        await second.close()
        assert len(list(second.intake.bus.scan("in.sil"))) == 1

    play(story())


def test_a_second_gateway_of_the_same_name_fences_the_first(tmp_path: Path) -> None:
    """The first stops with `Fenced` and answers AR until then."""

    async def story() -> None:
        first = opened(tmp_path, mllp={"sil": MllpConfig(port=0)})
        listening = asyncio.Event()
        running = asyncio.create_task(first.run(asyncio.Event(), listening.set))
        await asyncio.wait_for(listening.wait(), 5)
        client = await Client.connect(first.ports["sil"])
        await client.ask(hl7("1"))
        second = opened(tmp_path, mllp={"sil": MllpConfig(port=0)})
        await second.start()
        await (await Client.connect(second.ports["sil"])).ask(hl7("2"))
        assert (await client.ask(hl7("3")))[1] == "MSA|AR|3"
        with pytest.raises(Fenced):
            await running
        await second.close()

    play(story())


def test_a_stopped_bus_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """With a write that hangs, the gateway still ends within its time to drain."""

    async def story() -> None:
        bus = MemoryBus()
        gateway = Gateway(
            bus=bus,  # type: ignore[arg-type]
            ledger=SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}"),
            clock=SystemClock(),
            pseudonyms=PSEUDONYMS,
            observer=Counted(),
            feeds=[relay()],
            mllp={"sil": MllpConfig(port=0)},
            drain=0.5,
        )
        await gateway.start()
        bus.gate.clear()
        client = await Client.connect(gateway.ports["sil"])
        await client.send(hl7("1"))
        await asyncio.sleep(0.1)
        started = asyncio.get_running_loop().time()
        await gateway.close()
        assert asyncio.get_running_loop().time() - started < 1.0
        with pytest.raises(ConnectionError):
            await client.answer()
        bus.gate.set()

    play(story())


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """`OperatorFault` names the address; nothing is left listening."""

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            gateway = opened(tmp_path, http=HttpConfig(port=0), mllp={"sil": MllpConfig(port=port)})
            with pytest.raises(OperatorFault) as caught:
                await gateway.start()
        assert caught.value.code == "LISTEN" and str(port) in caught.value.place

    play(story())


def test_client_certificates_and_renewal(tmp_path: Path) -> None:
    """A client without a certificate, or of another name, is turned away; a renewed certificate is shown at once."""

    async def story() -> None:
        authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
        certificate, key = authority.issue("localhost", "server")
        sil, ris = clients.issue("sil"), clients.issue("ris")
        tls = TlsConfig(certificate=certificate, key=key, client_ca=clients.path, client_names=("sil",))
        gateway = opened(tmp_path, mllp={"sil": MllpConfig(port=0, tls=tls)})
        await gateway.start()
        port = gateway.ports["sil"]
        before = await served_name(port, authority.path, sil)
        for other in (ris, None):
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await served_name(port, authority.path, other)
        authority.issue("localhost", "server")
        await gateway._tick()
        assert await served_name(port, authority.path, sil) != before
        certificate.write_bytes(b"broken")
        await gateway._tick()
        await served_name(port, authority.path, sil)
        await gateway.close()

    play(story())


def test_a_missing_certificate_is_one_sentence(tmp_path: Path) -> None:
    """`OperatorFault` (`TLS`) at the start."""
    tls = TlsConfig(certificate=tmp_path / "none.crt", key=tmp_path / "none.key")
    with pytest.raises(OperatorFault) as caught:
        opened(tmp_path, mllp={"sil": MllpConfig(port=0, tls=tls)})
    assert caught.value.code == "TLS"
