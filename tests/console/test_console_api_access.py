"""Accounts and tokens by the API: nobody gives more than she has, each change is audited before it is made."""

from __future__ import annotations

import pyotp
import pytest

from router.access import totp
from router.access.person import EVERY, Role
from router.access.tokens import API_ADMINISTER, API_CONTENT, API_READ
from router.audit.event import Action
from tests.console.console_world import API, PASSWORD, A, B, World, problem

NEW = "cinq-castors-au-piano"
ADMINISTERS = {A: Role.ADMINISTRATOR}


def test_an_account_is_made_changed_and_removed(world: World) -> None:
    """What it may is seen at once; its password stands in no answer; a name is taken once."""
    client = world.program(ADMINISTERS)
    body = {"name": "nadia", "password": NEW, "rights": {A: "reader"}, "shown": "Nadia"}
    made = client.send("/api/accounts", body)
    address = made.headers["location"]
    assert (made.status_code, made.json()["rights"], NEW in made.text) == (201, {A: "reader"}, False)
    problem(client.send("/api/accounts", body), 409, "ACCESS-TAKEN")
    assert world.access.login("nadia", NEW).rights == {A: Role.READER}
    assert client.send(f"{address}/rights", {"rights": {A: "operator"}}).json()["rights"] == {A: "operator"}
    problem(client.send(f"{address}/password", {"password": "nadia"}), 422, "ACCESS-PASSWORD")
    assert client.send(f"{address}/password", {"password": PASSWORD}).status_code == 200
    assert client.send(f"{address}/lock", {}).json()["locked"]
    assert not client.send(f"{address}/unlock", {}).json()["locked"]
    secret = totp.new_secret()
    world.access.accounts.set_totp("nadia", secret, pyotp.TOTP(secret).at(int(world.clock.at)))
    assert client.get(address).json()["totp"]
    assert not client.send(f"{address}/totp-off", {}).json()["totp"]
    assert client.send(f"{address}/remove", {}).status_code == 200
    problem(client.send(f"{address}/remove", {}), 404, "API-UNKNOWN")
    told = [(one.who, one.structure, one.detail) for one in world.audit if one.action is Action.ACCOUNT]
    words = (f"add {A}=reader", f"rights {A}=operator", "password", "lock", "unlock", "totp off", "remove")
    assert told == [(world.robot, A, word) for word in words]


def test_without_the_audit_no_account_and_no_token_is_made(world: World) -> None:
    """Nor is one changed."""
    client = world.program(ADMINISTERS)
    world.audit_away = True
    for path, body in (
        ("/api/accounts", {"name": "nadia", "password": NEW, "rights": {A: "reader"}}),
        ("/api/accounts/marie/lock", {}),
        ("/api/accounts/marie/remove", {}),
        ("/api/tokens", {"name": "nadia", "scopes": [API_READ], "rights": {A: "reader"}}),
    ):
        problem(client.send(path, body), 503, "API-AWAY")
    marie = world.access.accounts.find("marie")
    assert marie is not None and not marie.locked
    assert world.access.accounts.find("nadia") is None and len(world.access.tokens.all()) == 1


def test_the_accounts_of_a_hospital_are_listed_page_by_page(world: World) -> None:
    """One that has a right elsewhere too is managed by who administers both."""
    world.access.accounts.set_rights("luc", {A: Role.OPERATOR, B: Role.READER})
    assert [one["name"] for one in world.program(ADMINISTERS).get("/api/accounts").json()["accounts"]] == ["marie"]
    everywhere, seen, after = world.program({EVERY: Role.ADMINISTRATOR}), [], ""
    while True:
        page = everywhere.get(f"/api/accounts?per=2&after={after}").json()
        seen += [one["name"] for one in page["accounts"]]
        if not (after := page["next"]):
            break
    assert seen == ["jeanne", "luc", "marie", "paul"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/accounts", {"name": "nadia", "password": NEW, "rights": {A: "reader"}}),
        ("/api/accounts/marie/password", {"password": NEW}),
        ("/api/accounts/marie/rights", {"rights": {A: "administrator"}}),
        ("/api/tokens", {"name": "nadia", "scopes": [API_CONTENT], "rights": {A: "reader"}}),
        ("/api/tokens", {"name": "nadia", "scopes": [API_ADMINISTER, API_READ], "rights": {A: "reader"}}),
    ],
)
def test_a_program_gives_no_scope_that_it_lacks(world: World, path: str, body: dict[str, object]) -> None:
    """An account has no scopes: who gives one, or its password, needs all of them. A person gives what the role has."""
    problem(world.program(ADMINISTERS, [API_ADMINISTER]).send(path, body), 403, "API-ROLE")
    assert world.program(ADMINISTERS, API).send(path, body).status_code in (200, 201)


def test_a_token_is_made_used_and_revoked(world: World) -> None:
    """Shown once; revoking it a second time tells the first; the list has those in use."""
    client = world.program(ADMINISTERS)
    made = client.send("/api/tokens", {"name": "bilan", "scopes": [API_READ], "rights": {A: "reader"}, "days": 30})
    address, text = made.headers["location"], made.json()["token"]
    assert made.status_code == 201 and text not in client.get(address).text
    mine = {"authorization": f"Bearer {text}"}
    assert world.client().get("/api/me", mine).json()["name"] == f"token:bilan:{made.json()['id']}"
    assert [one["name"] for one in client.get("/api/tokens").json()["tokens"]] == ["bilan", "robot"]
    first = client.send(f"{address}/revoke", {}).json()
    world.clock.at += 5
    assert client.send(f"{address}/revoke", {}).json()["revoked"] == first["revoked"]
    problem(world.client().get("/api/me", mine), 401, "API-TOKEN")
    assert [one["name"] for one in client.get("/api/tokens").json()["tokens"]] == ["robot"]
    assert [one["name"] for one in client.get("/api/tokens?all=true").json()["tokens"]] == ["bilan", "robot"]
    told = [one.detail for one in world.audit if one.action is Action.TOKEN]
    assert told == [f"create api:read {A}=reader", f"revoke {address.rpartition('/')[2]}"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scopes": [API_READ]}, "ACCESS-RIGHT"),
        ({"scopes": [API_READ], "rights": {"750000000": "reader"}}, "ACCESS-STRUCTURE"),
        ({"scopes": ["feed:send"]}, "ACCESS-FEED"),
        ({"scopes": ["feed:send"], "feeds": ["sil"]}, "ACCESS-FEED"),
        ({"scopes": ["all"]}, "API-VALUES"),
        ({"scopes": [API_READ], "rights": {A: "reader"}, "days": 0}, "API-VALUES"),
        ({"scopes": [API_READ], "rights": {A: "king"}}, "API-VALUES"),
    ],
)
def test_a_token_that_could_never_be_used_is_not_made(world: World, body: dict[str, object], code: str) -> None:
    """The same sentences as on the command line."""
    client = world.program({EVERY: Role.ADMINISTRATOR})
    problem(client.send("/api/tokens", {"name": "bilan", **body}), 422, code)
    assert len(world.access.tokens.all()) == 1
