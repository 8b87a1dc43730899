"""What the site file says of the console and of the people who use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.access.person import EVERY, Role
from router.config.console_models import OperatorsConfig
from router.config.operators import may_administer, may_withdraw, operator
from router.config.safety import refusals
from router.config.site import Site, SiteFile
from router.errors import ConfigFault
from tests.config.test_config_safety import EVERYWHERE, TLS, A, site

NAMED = {"liste_blanche": {"source": "liste.xml"}}
OIDC = {"issuer": "https://idp.chu.example/realms/chu", "client_id": "router", "client_secret": {"env": "S"}}
PUBLIC = {"address": "https://router.chu.example"}


def told(folder: Path, console: Any, environment: str = "qualification", **changes: Any) -> list[str]:
    path = site(folder, environment, console=console, directory=NAMED, **changes)
    return [f"{one.path}: {one.text}" for one in refusals(Site(path))]


@pytest.mark.parametrize("environment", ["production", "qualification"])
def test_a_console_that_others_reach_is_encrypted(tmp_path: Path, environment: str) -> None:
    """In every environment: passwords would pass in clear. On the loopback a proxy may stand before it."""
    sentence = "console: listens on 0.0.0.0 without TLS: passwords would pass in clear"
    assert told(tmp_path, {"host": EVERYWHERE, "port": 8443}, environment) == [sentence]
    assert told(tmp_path, {"host": EVERYWHERE, "port": 8443, "tls": TLS}, environment) == []
    assert told(tmp_path, {"port": 8443}, environment) == []


def test_people_of_an_identity_provider_come_back_somewhere(tmp_path: Path) -> None:
    """`oidc` needs the address under which browsers reach the console, encrypted in production."""
    sentence = "console.address: is required with `oidc`: the identity provider sends people back to it"
    assert told(tmp_path, {"port": 1, "oidc": OIDC}) == [sentence]
    assert told(tmp_path, {"port": 1, "oidc": OIDC, **PUBLIC}) == []
    plain = {"port": 1, "oidc": OIDC, "address": "http://router.chu.example"}
    assert told(tmp_path, plain, "production") == ["console.address: is not encrypted: required in production"]
    simulated = {"port": 1, "oidc": OIDC | {"issuer": "http://127.0.0.1:9081"}, **PUBLIC}
    assert told(tmp_path, simulated) == []
    assert told(tmp_path, simulated, "production") == ["console.oidc.issuer: is not encrypted: required in production"]


@pytest.mark.parametrize(
    ("oidc", "words"),
    [
        ({"issuer": "http://idp.chu.example"}, "asked by https"),
        ({"scopes": ["profile"]}, "`openid` must be among"),
        ({"groups": {"DIM": {"75": "reader"}}}, "groups"),
        ({"groups": {"DIM": {"*": "boss"}}}, "groups"),
        ({"client_secret": "in clear"}, "client_secret"),
    ],
)
def test_an_identity_provider_that_can_not_work_is_refused(tmp_path: Path, oidc: Any, words: str) -> None:
    """Each mistake is told where it stands; a secret in clear is one."""
    with pytest.raises(ConfigFault, match=words):
        Site(site(tmp_path, console={"port": 1, **PUBLIC, "oidc": OIDC | oidc}))


def test_rights_in_a_structure_that_the_site_has_not_are_told(tmp_path: Path) -> None:
    """A warning, at the place: people would see nothing and wonder."""
    groups = {"DIM": {A: "reader", "690123456": "operator"}, "DSI": {"*": "administrator"}}
    path = site(
        tmp_path,
        console={"port": 1, **PUBLIC, "oidc": OIDC | {"groups": groups}},
        operators={"accounts": {"m.durand": {"690123456": "operator"}}},
    )
    assert [(one.path, one.severity) for one in SiteFile(path).problems] == [
        ("console.oidc.groups.DIM.690123456", "warning"),
        ("operators.accounts.m.durand.690123456", "warning"),
    ]


def test_the_role_of_the_console_runs_where_it_is_configured(tmp_path: Path) -> None:
    """One process with `console`, none without or with `roles: {console: 0}`."""
    assert Site(site(tmp_path)).config.processes["console"] == 0
    assert Site(site(tmp_path, console={"port": 1})).config.processes["console"] == 1
    assert Site(site(tmp_path, console={"port": 1}, roles={"console": 0})).config.processes["console"] == 0


def test_two_listeners_do_not_share_the_port_of_the_console(tmp_path: Path) -> None:
    """The second is told whose port it is."""
    path = site(tmp_path, console={"port": 2575})
    assert [one.text for one in SiteFile(path).problems] == ["port 2575 is already that of feed 'sil'"]


def test_without_accounts_a_command_may_what_it_always_could() -> None:
    """Replay, discard and the accounts of the console; to withdraw is given by name."""
    config = OperatorsConfig(withdraw=["m.durand"])
    assert operator(config, "n.petit").may(Role.OPERATOR, A) and may_administer(config, "n.petit")
    assert may_withdraw(config, "m.durand", A) and not may_withdraw(config, "n.petit", A)


def test_with_accounts_each_may_what_is_written() -> None:
    """Per structure; who is not named may nothing, and the old list of `withdraw` still counts."""
    config = OperatorsConfig.model_validate(
        {
            "accounts": {
                "m.durand": {A: "administrator"},
                "n.petit": {"*": "operator"},
                "chef": {"*": "administrator"},
            },
            "withdraw": ["vieux"],
        }
    )
    assert operator(config, "n.petit").rights == {EVERY: Role.OPERATOR}
    assert not operator(config, "inconnu").may(Role.READER, A)
    assert may_withdraw(config, "m.durand", A) and not may_withdraw(config, "m.durand", "690123456")
    assert may_withdraw(config, "vieux", A) and not may_withdraw(config, "n.petit", A)
    assert may_administer(config, "chef") and not may_administer(config, "m.durand")
