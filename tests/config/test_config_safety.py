"""What a site may not run with: `check` and `run` refuse it with the same sentences (decisions D12)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from router.config.safety import refusals
from router.config.site import Site
from router.gateway.settings import loopback
from router.simulators.authority import make_certificates

A, B = "750100125", "690123456"
EVERYWHERE, EVERYWHERE_6 = "0.0.0.0", "::"  # noqa: S104
TLS = {"certificate": "l.pem", "key": "l.key"}
MUTUAL = TLS | {"client_ca": "clients.pem", "client_names": ["sil"]}
MAIL = {"type": "mssante", "host": "smtp.operateur.mssante.fr", "tls": {"ca": "ca.pem"}, "nil": "N-1"}
IMAP = {"host": "imap.operateur.mssante.fr"}


def site(folder: Path, environment: str = "production", *, feed: Any = None, **changes: Any) -> Path:
    """One hospital, one feed, one mail sink: a site that may run unless `changes` say otherwise."""
    written: dict[str, Any] = {
        "environment": environment,
        "pipelines": "pipelines",
        "structures": {
            A: {"name": "A", "source_oid": "1.2.3.4", "mssante": "mssante.a", "mailbox": "pfi@a.mssante.fr"}
        },
        "feeds": {"sil": feed or {"mllp": {"host": EVERYWHERE, "port": 2575, "tls": MUTUAL}}},
        "sinks": {"mssante.a": MAIL | {"imap": IMAP}},
    }
    (folder / "pipelines").mkdir(exist_ok=True)
    path = folder / "router.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(written | changes, file)
    return path


def told(path: Path) -> list[str]:
    return [f"{one.path}: {one.text}" for one in refusals(Site(path))]


def test_a_production_site_that_knows_its_clients_may_run(tmp_path: Path) -> None:
    """TLS with client names, TLS to the operator, NIL."""
    assert told(site(tmp_path)) == []


LISTENERS: dict[str, tuple[Any, list[str]]] = {
    "in clear": (
        {"mllp": {"host": EVERYWHERE, "port": 2575}},
        ["feeds.sil.mllp: listens on 0.0.0.0 without TLS: required in production"],
    ),
    "anybody": (
        {"mllp": {"host": "10.1.2.3", "port": 2575, "tls": TLS}},
        ["feeds.sil.mllp.tls: knows none of its clients: required in production"],
    ),
    "any certificate": (
        {"mllp": {"host": EVERYWHERE_6, "port": 2575, "tls": TLS | {"client_ca": "clients.pem"}}},
        ["feeds.sil.mllp.tls: knows none of its clients: required in production"],
    ),
    "names of the feed": (
        {"mllp": {"host": EVERYWHERE, "port": 2575, "tls": TLS | {"client_ca": "c.pem"}}, "clients": {"sil": [A]}},
        [],
    ),
    "loopback": ({"mllp": {"port": 2575}}, []),
}


@pytest.mark.parametrize(("feed", "sentences"), LISTENERS.values(), ids=LISTENERS)
def test_mllp_listeners_of_production(tmp_path: Path, feed: Any, sentences: list[str]) -> None:
    """Reachable from elsewhere: TLS, and clients of a name that the site gives."""
    assert told(site(tmp_path, feed=feed)) == sentences


def test_http_listeners_of_production(tmp_path: Path) -> None:
    """A token of the port is enough for one feed; where several share it each has its own."""
    http = {"host": EVERYWHERE, "port": 8080, "token": {"env": "T"}}
    both = {"sil": {"http": True}, "ris": {"http": True, "token": {"env": "R"}}}
    assert told(site(tmp_path, feed={"http": True}, http=http)) == [
        "http: listens on 0.0.0.0 without TLS: required in production"
    ]
    http["tls"] = TLS
    assert told(site(tmp_path, feed={"http": True}, http=http)) == []
    assert told(site(tmp_path, feeds=both, http=http)) == [
        "feeds.sil.http: knows none of its HTTP clients: required on anything but the loopback"
    ]
    assert told(site(tmp_path, feeds=both, http=http | {"host": "127.0.0.1"})) == []
    assert told(site(tmp_path, feeds=both, http=http | {"api_tokens": True})) == []


def test_http_clients_of_qualification_are_known_too(tmp_path: Path) -> None:
    """Whoever could post to a trial could send mails from it; the loopback stays open."""
    http = {"host": EVERYWHERE, "port": 8080}
    named = {"directory": {"liste_blanche": {"source": "liste.xml"}}, "feed": {"http": True}}
    sentence = "feeds.sil.http: knows none of its HTTP clients: required on anything but the loopback"
    assert told(site(tmp_path, "qualification", http=http, **named)) == [sentence]
    assert told(site(tmp_path, "qualification", http=http | {"token": {"env": "T"}}, **named)) == []
    assert told(site(tmp_path, "qualification", http=http | {"host": "localhost"}, **named)) == []


def test_mail_of_production(tmp_path: Path) -> None:
    """SMTP and IMAP have TLS, NIL is set; qualification may do without."""
    sink = {"type": "mssante", "host": "smtp.a.fr", "mode": "plain", "imap": IMAP | {"mode": "plain"}}
    assert told(site(tmp_path, sinks={"mssante.a": sink})) == [
        "sinks.mssante.a.nil: is required in production: X-MSS-NIL names the product to the espace de confiance",
        "sinks.mssante.a.mode: SMTP without TLS: qualification only",
        "sinks.mssante.a.imap.mode: IMAP without TLS: qualification only",
    ]
    named = {"liste_blanche": {"source": "liste.xml"}}
    assert told(site(tmp_path, "qualification", sinks={"mssante.a": sink}, directory=named)) == []


def test_qualification_asks_nothing_of_an_address_that_is_not_named(tmp_path: Path) -> None:
    """The public liste blanche and the public annuaire are no silent defaults of a trial."""
    fhir = {"fhir": {"key": {"env": "K"}}}
    sentence = "must be named in qualification: nothing is asked of an address that this file does not name"
    assert told(site(tmp_path, "qualification", directory=fhir)) == [
        f"directory.liste_blanche.source: {sentence}",
        f"directory.fhir.url: {sentence}",
    ]
    assert told(site(tmp_path, directory=fhir)) == []


def test_a_dmp_sink_has_the_certificates_of_its_structure(tmp_path: Path) -> None:
    """Another hospital's certificate is told at the start, in every environment, not by the DMP's AUTHENTIFICATION."""
    made = make_certificates(tmp_path / "made", {A: "A", B: "B"})
    pairs = {what: made.pair(f"{finess}-{what}") for what, finess in (("auth", A), ("sign", B))}
    sink: dict[str, Any] = {"type": "dmp", "url": "https://127.0.0.1:1/dmp", "lps": {"homologation": "T"}}
    sink |= {what: {"certificate": str(one), "key": str(key)} for what, (one, key) in pairs.items()}
    structures = {A: {"name": "A", "source_oid": "1.2.3.4", "dmp": "dmp.a"}}
    for environment in ("production", "qualification"):
        hosts = ["127.0.0.1"] if environment == "production" else ["lps2.dmp.gouv.fr"]
        sinks = {"dmp.a": sink | {"production_hosts": hosts}}
        path = site(tmp_path, environment, structures=structures, sinks=sinks)
        text = f"is the certificate of structure 1{B}, not of 1{A}, which this sink speaks for"
        assert [one for one in told(path) if "demonstration" not in one] == [f"sinks.dmp.a.sign.certificate: {text}"]


def test_check_and_run_say_the_same(tmp_path: Path) -> None:
    """Every sentence, with its line; `run` starts nothing and makes no data folder."""
    path = site(tmp_path, feed={"mllp": {"host": EVERYWHERE, "port": 2575}}, sinks={"mssante.a": MAIL | {"nil": ""}})
    sentences = [str(one) for one in refusals(Site(path))]
    assert len(sentences) == 2
    for word in ("check", "run"):
        ran = subprocess.run(
            [sys.executable, "-m", "router.cli.main", word, "--site", str(path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said = ran.stdout + ran.stderr
        assert ran.returncode == 2, said
        flat = " ".join(said.split())
        assert all(" ".join(one.split()) in flat for one in sentences), said
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost")),
        *((host, False) for host in (EVERYWHERE, EVERYWHERE_6, "10.0.0.1", "routeur.chu.fr", "")),
    ],
)
def test_who_can_reach_an_address(host: str, here: bool) -> None:
    """All addresses of the machine, and names that may mean any of them, count as reachable."""
    assert loopback(host) is here
