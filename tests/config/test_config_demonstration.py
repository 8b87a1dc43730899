"""Certificates, passwords and numbers of a demonstration are refused by name in production."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from router.config.demonstration import NUMBER, SECRETS
from router.config.safety import refusals
from router.config.site import Site
from router.simulators.authority import Authority
from router.starter.profiles import PROFILES
from router.starter.write import write_site
from tests.config.test_config_safety import site

ROOT = Path(__file__).parents[2]


def _told(path: Path) -> dict[str, str]:
    found = {one.path: one.text for one in refusals(Site(path))}
    return {place: text for place, text in found.items() if "demonstration" in text}


def test_a_site_of_init_does_not_become_one_of_production(tmp_path: Path) -> None:
    """Whoever changes `environment` alone reads of each certificate, authority and number where it stands."""
    write_site(tmp_path / "site", PROFILES["minimal"])
    path = tmp_path / "site" / "router.yaml"
    assert _told(path) == {}
    path.write_text(path.read_text(encoding="utf-8").replace(": qualification", ": production"), encoding="utf-8")
    told = _told(path)
    keys = re.findall(r"^ *(?:\w+: \{)?(\w+): certificates/\S+\.pem", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(place.rpartition(".")[2] for place in told) == sorted([*keys, "nil", "homologation"])
    assert "AUTORITE JETABLE" in told["sinks.mssante.hopital-a.tls.ca"]
    assert NUMBER in told["sinks.mssante.hopital-a.nil"]


def test_a_certificate_of_another_authority_is_taken(tmp_path: Path) -> None:
    """The name of the authority counts, not that a file was made by hand."""
    Authority("IGC-SANTE ELEMENTAIRE").keep(tmp_path)
    mail = {"type": "mssante", "host": "smtp.mssante.fr", "tls": {"ca": "ca.pem"}, "nil": "N-1"}
    assert _told(site(tmp_path, sinks={"mssante.a": mail})) == {}
    Authority().keep(tmp_path)
    assert list(_told(site(tmp_path, sinks={"mssante.a": mail}))) == ["sinks.mssante.a.tls.ca"]


SECRET: dict[str, tuple[dict[str, Any], str, str]] = {
    "pseudonyms": ({"secret": {"env": "KEY"}}, "a-key-for-trying-only", "secret"),
    "database": (
        {"database": {"url_secret": {"env": "KEY"}}},
        "postgresql+psycopg://segur:essai@postgresql/segur",
        "database.url_secret",
    ),
    "bus": (
        {
            "secret": {"env": "OTHER"},
            "database": {"url": "postgresql+psycopg://router@db/router"},
            "bus": {"type": "kafka", "servers": "k:9092", "sasl": {"username": "u", "password_env": "KEY"}},
        },
        "essai",
        "bus.sasl",
    ),
    "of one's own": ({"secret": {"env": "KEY"}}, "f3b1c2d4e5a697788990", ""),
}


@pytest.mark.parametrize(("changes", "value", "place"), SECRET.values(), ids=SECRET)
def test_passwords_of_deploy_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Any, value: str, place: str
) -> None:
    """At the place that names the secret, and without its value."""
    monkeypatch.setenv("KEY", value)
    told = _told(site(tmp_path, **changes))
    assert list(told) == ([place] if place else [])
    assert not any(secret in text for text in told.values() for secret in SECRETS)
    assert _told(site(tmp_path, "qualification", **changes)) == {}


def test_every_password_of_deploy_is_known(tmp_path: Path) -> None:
    """Those of the compose file, of the chart's demonstration and of the broker for trying."""
    compose = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")
    values = [str(value) for one in compose["services"].values() for name, value in _environment(one)
              if re.search("PASSWORD|PSEUDONYMS|MAILBOX|DATABASE", name)]  # fmt: skip
    demo = YAML(typ="safe").load(ROOT / "deploy" / "helm" / "segur-router" / "values-demo.yaml")
    values += [one["value"] for one in demo["extraEnv"]]
    values += re.findall(r"password `(\w+)`", (ROOT / "deploy" / "dev" / "kafka" / "broker").read_text())
    passwords = {value.partition("://")[2].partition(":")[2].partition("@")[0] or value for value in values}
    assert passwords == SECRETS


def _environment(service: dict[str, Any]) -> list[tuple[str, Any]]:
    found = service.get("environment", {})
    return list(found.items()) if isinstance(found, dict) else [tuple(one.split("=", 1)) for one in found]
