"""`doctor` looks at who can log in to the console, and at tokens that end."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.access.person import EVERY, Role
from router.access.tokens import API_READ
from router.config.site import Site
from router.runtime.doctor import people
from router.runtime.doctor.check import Installation
from router.runtime.site_services import SiteServices
from tests.access.access_samples import GOOD

SITE = """environment: {environment}
data: var
admin: {{port: 0}}
feeds: {{sil: {{kind: relay, mllp: {{port: 0}}}}}}
sinks: {{hl7.dpi: {{type: hl7, host: 127.0.0.1, port: 1}}}}
"""
OIDC = """console:
  port: 1
  address: https://router.chu.example
  oidc: {issuer: "https://idp.chu.example", client_id: x, client_secret: {env: S}%s}
"""


def told(folder: Path, console: str, *, environment: str = "qualification", demo: bool | None = None) -> list[str]:
    """Level and subject of each finding; demo: there is an account, of the demo or not."""
    path = folder / "router.yaml"
    path.write_text(SITE.format(environment=environment) + console)
    site = Site(path)
    if demo is not None:
        services = SiteServices(site)
        services.access.accounts.add("durand", GOOD, {EVERY: Role.ADMINISTRATOR}, demo=demo)
        now = services.clock.now()
        services.access.tokens.create("vieux", scopes=[API_READ], expires=now + 5 * 86400, by="durand")
        services.access.tokens.create("jeune", scopes=[API_READ], expires=now + 50 * 86400, by="durand")
        services.close()
    return [f"{one.level} {one.subject.partition(' ')[0]}" for one in people.look(Installation(site, running=False))]


@pytest.mark.parametrize(
    ("console", "found"),
    [
        ("", []),
        ("console: {port: 1}\n", ["wrong console"]),
        (OIDC % "", ["wrong console.oidc.groups", "note console"]),
        (OIDC % ', groups: {pfi: {"*": reader}}', ["note console"]),
    ],
)
def test_a_console_that_nobody_can_enter_is_told(tmp_path: Path, console: str, found: list[str]) -> None:
    """Without accounts and groups; being looked at makes no database."""
    assert told(tmp_path, console) == found
    assert not (tmp_path / "var" / "access.db").exists()


def test_accounts_and_tokens_are_told(tmp_path: Path) -> None:
    """An account of one's own lets in; a token that ends in five days is told, one of fifty is not."""
    assert told(tmp_path, "console: {port: 1}\n", demo=False) == ["note token", "good console"]


def test_an_account_of_the_demo_is_wrong_in_production(tmp_path: Path) -> None:
    """And counts for nobody there."""
    found = told(tmp_path, "console: {port: 1}\n", environment="production", demo=True)
    assert found == ["wrong accounts", "note token", "wrong console"]
