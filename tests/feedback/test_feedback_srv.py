"""Submission and mailbox are found by DNS, with the simulated operator's TLS (RFC 6186; ECO.1.1.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Attempt, SystemClock, Unobserved
from router.errors import OperatorFault
from router.feedback.mailbox import Mailbox
from router.feedback.proofs import Proofs
from router.feedback.reports import Reports
from router.feedback.worker import log_alert
from router.simulators.authority import Certificates, make_certificates
from router.simulators.mssante import MssanteConfig as OperatorConfig
from router.simulators.mssante import MssanteSimulator
from router.sinks.mssante.discovery import Discovery
from router.sinks.mssante.settings import FeedbackRules, MssanteConfig
from router.sinks.mssante.sink import MssanteSink
from tests.dns_server import Zone, hosts_are_here, serving
from tests.feedback.feedback_samples import SINK, Station
from tests.sinks.mssante_samples import MAILBOX, tools

DOMAINS = frozenset({"test-ci-sis.mssante.fr", "hopital-a.mssante.fr"})
PASSWORD = "secret"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {"750100125": "Hopital A"})


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    monkeypatch.setenv("BAL_PASSWORD", PASSWORD)
    made = Station(tmp_path / "station")
    yield made
    made.close()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Every host of the operator is this machine."""
    hosts_are_here(monkeypatch, "operateur.fr")
    with serving(Zone()) as one:
        yield one


def site(zone: Zone, certificates: Certificates, name: str) -> MssanteConfig:
    """Nobody listens at the configured ports. name: the one that the servers' certificate must bear"""
    login = {"auth": "plain", "password": {"env": "BAL_PASSWORD"}}
    return MssanteConfig.model_validate(
        {
            "host": name,
            "port": 1,
            "decouverte_srv": {"domaine": "operateur.fr", "serveurs": [zone.server], "timeout": 1},
            "tls": {"ca": certificates.ca},
            "login": login,
            "nil": "ABCD-1234",
            "imap": {"host": name, "port": 1, "login": login},
        }
    )


def reader(station: Station, config: MssanteConfig) -> Mailbox:
    assert config.imap is not None and config.decouverte_srv is not None
    return Mailbox(
        SINK,
        config.imap,
        Reports(station.correlator({SINK}), Proofs(station.ledger), {SINK: FeedbackRules()}, admits=lambda _: True),
        station.bus.producer("mailbox"),
        tls=config.tls,
        user=MAILBOX,
        clock=SystemClock(),
        observer=Unobserved(),
        alert=log_alert,
        discovery=Discovery(config.decouverte_srv, "imap", config.imap.mode, config.imap.host),
    )


async def _operated(certificates: Certificates, zone: Zone, story: Any) -> None:
    given = OperatorConfig(certificates=certificates, auth="plain", accounts={MAILBOX: PASSWORD}, domains=DOMAINS)
    async with MssanteSimulator(given) as operator:
        zone.records = {
            "_submission._tcp.operateur.fr": [f"0 0 {operator.smtp_port} smtp7.operateur.fr."],
            "_imap._tcp.operateur.fr": [f"0 0 {operator.imap_port} imap7.operateur.fr."],
        }
        await story(operator)


def test_a_mail_leaves_and_its_report_is_read_where_dns_says(
    station: Station, certificates: Certificates, zone: Zone
) -> None:
    """STARTTLS on both; the certificate bears the configured host, not the one that DNS names."""
    config, sent = site(zone, certificates, "localhost"), station.sent()

    async def story(operator: MssanteSimulator) -> None:
        sink = MssanteSink(SINK, config, tools(station.folder, domains=tuple(DOMAINS)))
        await sink.deliver(sent, Attempt(1, SystemClock().now()))
        await sink.close()
        assert len(operator.mails) == 1
        mailbox = reader(station, config)
        for _ in range(50):
            if await asyncio.to_thread(mailbox.poll):
                break
            await asyncio.sleep(0.05)
        assert len([*station.bus.scan("receipts")]) == 1

    asyncio.run(_operated(certificates, zone, story))


def test_a_mailbox_whose_server_bears_neither_name_is_not_read(
    station: Station, certificates: Certificates, zone: Zone
) -> None:
    """Nobody logs in there: the password is not said to a server that DNS alone names."""
    config = site(zone, certificates, "imap.operateur.fr")

    async def story(operator: MssanteSimulator) -> None:
        with pytest.raises(OperatorFault, match="MSS-IMAP at TLS"):
            await asyncio.to_thread(reader(station, config).poll)
        zone.records.clear()
        with pytest.raises(OperatorFault, match="MSS-SRV"):
            await asyncio.to_thread(reader(station, config).poll)

    asyncio.run(_operated(certificates, zone, story))
