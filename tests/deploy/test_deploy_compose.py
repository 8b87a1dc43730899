"""deploy/compose.yaml: everything that it names exists, nothing is open to other machines, and its site is right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from router.config.site import Site
from router.simulators.authority import Authority, Certificates
from tests.deploy.chart import ROOT, read

FOLDER = ROOT / "deploy"
(COMPOSE,) = read((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, one in SERVICES.items() if one["image"].startswith("segur-router:")]


def test_images_have_versions() -> None:
    """No image is `latest`, and ours is the version of the chart."""
    (chart,) = read((FOLDER / "helm" / "segur-router" / "Chart.yaml").read_text())
    for one in SERVICES.values():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", one["image"])
    assert {SERVICES[name]["image"] for name in OURS} == {f"segur-router:{chart['appVersion']}"}


def test_ports_are_published_on_this_machine_only() -> None:
    """Every port is published on 127.0.0.1."""
    published = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_hardened(name: str) -> None:
    """Not root, read-only root, no capability, no new privileges, and the time to drain."""
    one = SERVICES[name]
    assert one["user"] == "10001:10001"
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert int(one["stop_grace_period"].removesuffix("s")) >= 15


def test_what_is_mounted_exists() -> None:
    """Named volumes are declared and used; folders of the checkout are there."""
    used = set()
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).is_dir(), source
                assert volume.endswith(":ro")
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_who_waits_for_whom_exists() -> None:
    """Dependencies and shared networks name services; a service that must be healthy has a check."""
    for one in SERVICES.values():
        for other, condition in one.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[other]
        if "network_mode" in one:
            assert one["network_mode"].removeprefix("service:") in SERVICES


def site(tmp_path: Path) -> Path:
    """The site of the stack, its mounts put where they are on this machine."""
    text = (FOLDER / "compose" / "site" / "router.yaml").read_text()
    text = text.replace("/etc/segur-router/pipelines", str(ROOT / "pipelines"))
    path = tmp_path / "router.yaml"
    path.write_text(text.replace("/var/lib/segur-router", str(tmp_path)))
    return path


def test_the_site_of_the_stack_is_right(tmp_path: Path) -> None:
    """Its site file and the shipped pipelines pass `check` and `test`."""
    environment = {**os.environ, **SERVICES["router"]["environment"]}
    for words in (["check", "--in-container", "--files-elsewhere"], ["test"]):
        done = subprocess.run(
            [sys.executable, "-m", "router.cli.main", *words, "--site", str(site(tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_published_is_listened_to(tmp_path: Path) -> None:
    """Published ports are those of the site file; partners on the loopback are simulators that listen there."""
    config = Site(site(tmp_path)).config
    assert config.http is not None and config.console is not None
    listened = {feed.mllp.port for feed in config.feeds.values() if feed.mllp}
    listened |= {config.http.port, config.admin.port, config.console.port}
    published: set[int] = set()
    for port in SERVICES["dmp"]["ports"]:
        first, _, last = port.rpartition(":")[2].partition("-")
        published |= set(range(int(first), int(last or first) + 1))
    assert published == listened
    endpoints = {int(one["command"][3]) for one in SERVICES.values() if one.get("command", [""])[1:2] == ["endpoint"]}
    assert {sink.port for sink in config.sinks.values() if sink.type == "hl7"} == endpoints


def test_the_console_has_the_certificate_of_the_simulators(tmp_path: Path) -> None:
    """Its certificate and key are files that the simulators make, for the name under which browsers reach it."""
    console = Site(site(tmp_path)).config.console
    assert console is not None and console.tls is not None and console.address is not None
    folder = tmp_path / "simulators"
    folder.mkdir()
    authority, made = Authority(), Certificates(folder)
    made.issue(authority, "server")
    assert (console.tls.certificate, console.tls.key) == made.pair("server")
    named = x509.load_pem_x509_certificate(console.tls.certificate.read_bytes())
    hosts = named.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert urlsplit(console.address).hostname in hosts.get_values_for_type(x509.DNSName)
    assert urlsplit(console.address).port == console.port


def test_the_environment_of_the_site_is_given(tmp_path: Path) -> None:
    """Every variable that the site file names is given to the router."""
    named = set(re.findall(r"env: (\w+)", site(tmp_path).read_text()))
    assert named == set(SERVICES["router"]["environment"])


@pytest.mark.integration
def test_prometheus_reads_its_configuration(tmp_path: Path) -> None:
    """promtool takes the configuration and the rules that the stack mounts."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    for path in (FOLDER / "compose" / "prometheus").iterdir():
        text = path.read_text().replace("/etc/segur-router/rules", str(FOLDER / "prometheus" / "rules"))
        (folder / path.name).write_text(text)
    command = ["promtool", "check", "config", str(folder / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.integration
def test_rules_fire_when_they_should_and_only_then() -> None:
    """promtool plays the unit tests of every rule file."""
    tests = sorted((FOLDER / "prometheus" / "tests").glob("*.yaml"))
    assert tests
    done = subprocess.run(["promtool", "test", "rules", *map(str, tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
