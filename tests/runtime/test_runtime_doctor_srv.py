"""`doctor` says which servers DNS names for an operator, and tries each of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.config.site import Site
from router.language import in_language, translated
from router.runtime.doctor import network
from router.runtime.doctor.check import Installation
from tests.dns_server import Zone, hosts_are_here, serving

SITE = """environment: qualification
feeds: {{r: {{kind: relay, mllp: {{port: 0}}}}}}
sinks:
  mssante.a:
    type: mssante
    host: mail.operateur.fr
    mode: plain
    imap: {{host: imap.operateur.fr, mode: plain}}
    decouverte_srv: {{domaine: operateur.fr, serveurs: ["{server}"], timeout: 0.5}}
directory: {{liste_blanche: {{source: liste.xml}}}}
"""


@pytest.fixture
def zone() -> Iterator[Zone]:
    with serving(Zone()) as one:
        yield one


@pytest.fixture
def installation(zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Every host of the operator is this machine."""
    hosts_are_here(monkeypatch, "operateur.fr")
    path = tmp_path / "router.yaml"
    path.write_text(SITE.format(server=zone.server), encoding="utf-8")
    return Installation(Site(path), False)


def test_each_server_that_dns_names_is_tried(zone: Zone, installation: Installation) -> None:
    """What was asked, what DNS said in the order to try, and what a connection to each shows."""
    with socket.create_server(("127.0.0.1", 0)) as up, socket.create_server(("127.0.0.1", 0)) as other:
        port, closed = up.getsockname()[1], other.getsockname()[1]
        other.close()
        zone.records = {
            "_submission._tcp.operateur.fr": [f"2 0 {port} b.operateur.fr.", f"1 0 {closed} a.operateur.fr."],
            "_imap._tcp.operateur.fr": [f"0 0 {port} imap9.operateur.fr."],
        }
        found = [(one.level, one.subject, one.text.partition(" in ")[0]) for one in network.peers(installation)]
    assert found == [
        (
            "good",
            "mssante.a _submission._tcp.operateur.fr",
            f"DNS names a.operateur.fr:{closed}, b.operateur.fr:{port}",
        ),
        ("wrong", f"mssante.a a.operateur.fr:{closed}", "nobody listens there, or a firewall refuses"),
        ("good", f"mssante.a b.operateur.fr:{port}", "answers"),
        ("good", "mssante.a/imap _imap._tcp.operateur.fr", f"DNS names imap9.operateur.fr:{port}"),
        ("good", f"mssante.a/imap imap9.operateur.fr:{port}", "answers"),
    ]


def test_an_answer_that_can_not_be_used_is_told_with_the_command(zone: Zone, installation: Installation) -> None:
    """No record, or a server elsewhere; the configured host is only a name, so nobody looks it up or tries it."""
    zone.records = {"_imap._tcp.operateur.fr": ["0 0 143 imap.ailleurs.fr."]}
    first, second = network.peers(installation)
    assert (first.level, first.fix) == ("wrong", "dig SRV _submission._tcp.operateur.fr")
    assert first.text.startswith("ses serveurs ne sont pas connus : MSS-SRV le DNS ne connaît aucun enregistrement SRV")
    outside = "le serveur imap.ailleurs.fr est hors du domaine et absent de `cibles`"
    assert second.text == f"ses serveurs ne sont pas connus : MSS-SRV {outside}"
    assert network.hosts_of(installation.site) == {}
    with in_language("en"):
        told = translated(second.text)
    assert told == (
        "its servers are not known: MSS-SRV the server imap.ailleurs.fr is outside the domain and not among `cibles`"
    )
