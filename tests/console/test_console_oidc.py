"""Logging in with the hospital's accounts: the whole way, and everything that may be wrong on it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from router.access.faults import LoginRefused
from router.access.person import EVERY, Role
from router.console import oidc_person, oidc_provider
from router.console.app import console_app
from router.console.oidc import Arrived, Oidc
from router.simulators.idp import IdpConfig, IdpPerson, IdpSimulator, Wrong
from tests.console.console_world import A, B, Browser, MovedClock, World
from tests.console.idp_world import configured, provided

HOME = "http://127.0.0.1:8443"


@pytest.fixture(scope="module")
def idp() -> Iterator[IdpSimulator]:
    with provided() as simulator:
        yield simulator


@pytest.fixture
def oidc(idp: IdpSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Oidc]:
    yield Oidc(configured(idp.issuer, monkeypatch), HOME, MovedClock())
    idp.misbehave()
    idp.go_down(False)


def arrived(oidc: Oidc, idp: IdpSimulator, name: str = "omar.geste", **changes: str) -> Arrived:
    """Leave, log in there, come back; changes: of the return's parameters."""
    leaving = oidc.leave()
    query = dict(parse_qsl(urlsplit(idp.login(leaving.address, name)).query))
    return oidc.arrive(query | changes, leaving.values)


def refused(oidc: Oidc, idp: IdpSimulator, name: str = "omar.geste", **changes: str) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        arrived(oidc, idp, name, **changes)
    return caught.value


def test_groups_become_rights(oidc: Oidc, idp: IdpSimulator) -> None:
    """Per structure, by the site file; nobody gets a right that no group of hers gives."""
    person = arrived(oidc, idp).person
    assert (person.name, person.shown) == ("oidc:omar.geste", "Omar GESTE (exploitant)")
    assert person.rights == {A: Role.OPERATOR, B: Role.READER}
    assert arrived(oidc, idp, "ada.clef").person.rights == {EVERY: Role.ADMINISTRATOR}
    assert refused(oidc, idp, "noe.dehors").code == "LOGIN-OIDC-GROUPS"


def test_what_proves_the_return_is_new_each_time(oidc: Oidc) -> None:
    """State, nonce and verifier are random; the address carries the challenge alone, never the verifier."""
    one, other = oidc.leave(), oidc.leave()
    asked = dict(parse_qsl(urlsplit(one.address).query))
    assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code"
    assert asked["redirect_uri"] == f"{HOME}/login/oidc/return"
    assert not set(one.values.values()) & set(other.values.values())
    assert str(one.values["oidc_verifier"]) not in one.address
    assert min(len(str(value)) for value in one.values.values()) >= 43


WRONGS: dict[Wrong, str] = {
    "none": "LOGIN-OIDC-TOKEN",
    "secret": "LOGIN-OIDC-TOKEN",
    "signature": "LOGIN-OIDC-TOKEN",
    "key": "LOGIN-OIDC-TOKEN",
    "issuer": "LOGIN-OIDC-TOKEN",
    "audience": "LOGIN-OIDC-TOKEN",
    "azp": "LOGIN-OIDC-TOKEN",
    "expired": "LOGIN-OIDC-TOKEN",
    "early": "LOGIN-OIDC-TOKEN",
    "nonce": "LOGIN-OIDC-TOKEN",
    "no-nonce": "LOGIN-OIDC-TOKEN",
    "at-hash": "LOGIN-OIDC-TOKEN",
    "answer-issuer": "LOGIN-OIDC-STATE",
    "state": "LOGIN-OIDC-STATE",
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_answer_lets_nobody_in(oidc: Oidc, idp: IdpSimulator, wrong: Wrong) -> None:
    """Unsigned, signed by another, for another, over, replayed: refused, and the sentence quotes nothing of it."""
    idp.misbehave(wrong)
    fault = refused(oidc, idp)
    assert fault.code == WRONGS[wrong]
    assert "omar" not in fault.text.lower() and "http" not in fault.text


def test_a_return_is_good_once(oidc: Oidc, idp: IdpSimulator) -> None:
    """A code that was used is refused, and so is a return whose values the session gave already."""
    leaving = oidc.leave()
    query = dict(parse_qsl(urlsplit(idp.login(leaving.address, "omar.geste")).query))
    assert oidc.arrive(query, leaving.values).person.name == "oidc:omar.geste"
    for kept, code in ((leaving.values, "LOGIN-IDP-REFUSED"), ({}, "LOGIN-OIDC-STATE")):
        with pytest.raises(LoginRefused, match=code):
            oidc.arrive(query, kept)


def test_a_code_of_another_login_is_refused(oidc: Oidc, idp: IdpSimulator) -> None:
    """A code that was stolen, or planted, does not fit the verifier of this login (PKCE)."""
    stolen = dict(parse_qsl(urlsplit(idp.login(oidc.leave().address, "ada.clef")).query))["code"]
    assert refused(oidc, idp, code=stolen).code == "LOGIN-IDP-REFUSED"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": ""}, "LOGIN-OIDC-STATE"),
        ({"state": "é"}, "LOGIN-OIDC-STATE"),
        ({"error": "access_denied", "error_description": "<b>Omar</b>"}, "LOGIN-OIDC-DENIED"),
        ({"code": ""}, "LOGIN-OIDC-CODE"),
    ],
)
def test_a_return_that_says_no_code_has_its_sentence(
    oidc: Oidc, idp: IdpSimulator, changes: dict[str, str], code: str
) -> None:
    """The provider's own words are not shown."""
    fault = refused(oidc, idp, **changes)
    assert fault.code == code and "Omar" not in fault.text


def test_a_new_key_of_the_provider_is_taken_up(oidc: Oidc, idp: IdpSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a token names a key that we do not know, the keys are read again; not more than twice a minute."""
    assert arrived(oidc, idp)
    idp.rotate()
    assert refused(oidc, idp).code == "LOGIN-OIDC-TOKEN", "read less than half a minute ago"
    monkeypatch.setattr(oidc_provider, "HURRIED", 0.0)
    assert arrived(oidc, idp)


def test_a_provider_that_is_away_is_told_in_a_sentence(
    oidc: Oidc, idp: IdpSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 503, or nothing listens there; local accounts are named as the way in."""
    idp.go_down()
    with pytest.raises(LoginRefused, match="LOGIN-IDP-AWAY") as caught:
        oidc.leave()
    assert "local account" in caught.value.text
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = Oidc(configured(f"http://127.0.0.1:{port}", monkeypatch), HOME, MovedClock())
    with pytest.raises(LoginRefused, match="LOGIN-IDP-AWAY"):
        nobody.leave()
    assert nobody.logout_address("token") is None


def test_a_provider_under_another_name_is_not_ours(idp: IdpSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its description must name the issuer that the site file names."""
    other = Oidc(configured(idp.issuer.replace("127.0.0.1", "localhost"), monkeypatch), HOME, MovedClock())
    with pytest.raises(LoginRefused, match="LOGIN-IDP-ISSUER"):
        other.leave()


def test_groups_may_be_said_by_userinfo_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is asked with the access token, and must speak of the same person; Keycloak's paths are names too."""
    people = (IdpPerson("omar.geste", "Omar", ("/pfi-lecture",)), IdpPerson("Nom Espace", "N", ("pfi-lecture",)))
    with provided(IdpConfig(groups_in="userinfo", people=people)) as idp:
        oidc = Oidc(configured(idp.issuer, monkeypatch), HOME, MovedClock())
        assert arrived(oidc, idp).person.rights == {A: Role.READER}
        assert refused(oidc, idp, "Nom Espace").code == "LOGIN-OIDC-NAME"
        idp.misbehave("subject")
        assert refused(oidc, idp).code == "LOGIN-OIDC-TOKEN"


# ------------------------------------------------------------------------------------------- in the browser


@pytest.fixture
def world(tmp_path: Path, oidc: Oidc) -> Iterator[World]:
    made = World(tmp_path)
    made.app = console_app(replace(made.tools, oidc=oidc))
    yield made
    made.close()


def gone(client: Browser, there: str = "/state") -> httpx.Response:
    return client.get(f"/login/oidc?{urlencode({'next': there})}")


def back(client: Browser, idp: IdpSimulator, leaving: httpx.Response, name: str = "omar.geste") -> httpx.Response:
    """What the browser does when the provider sends it back: a GET from another site, with Lax cookies."""
    place = urlsplit(idp.login(leaving.headers["location"], name))
    return client.get(f"{place.path}?{place.query}", headers={"sec-fetch-site": "cross-site"})


def test_a_person_of_the_hospital_gets_the_page_she_asked_for(world: World, idp: IdpSimulator) -> None:
    """Through the provider and back; the session is a new one, and the login stands in the audit."""
    client = world.client()
    assert "/login/oidc?next=%2F" in client.get("/login").text
    leaving = gone(client, "/?per=50")
    waiting = client.cookies["segur"]
    assert (
        "samesite=lax" in leaving.headers["set-cookie"].lower() and "httponly" in leaving.headers["set-cookie"].lower()
    )
    answer = back(client, idp, leaving)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?per=50")
    assert client.cookies["segur"] != waiting and world.access.person_of(waiting) is None
    assert "Omar GESTE" in client.get("/").text
    assert [(one.who, one.action, one.refused) for one in world.audit] == [("oidc:omar.geste", "login", False)]


def test_a_return_without_the_session_that_left_is_refused(world: World, idp: IdpSimulator) -> None:
    """Another browser, or a login planted by somebody else's link: nobody gets in, and the form says to begin again."""
    leaving = gone(world.client())
    answer = back(world.client(), idp, leaving)
    assert answer.status_code == 403 and "begin again" in answer.text
    mine = world.client()
    gone(mine)
    assert back(mine, idp, leaving).status_code == 403
    assert [(one.who, one.refused, one.detail) for one in world.audit] == [("?", True, "LOGIN-OIDC-STATE")] * 2


def test_the_return_is_used_up(world: World, idp: IdpSimulator) -> None:
    """`Back` and `reload` after a login lead to no second one."""
    client = world.client()
    leaving = gone(client)
    place = urlsplit(idp.login(leaving.headers["location"], "omar.geste"))
    address = f"{place.path}?{place.query}"
    assert client.get(address).status_code == 303
    assert client.get(address).status_code == 403
    assert "Omar GESTE" in client.get("/").text, "the session that began goes on"


def test_nobody_is_led_to_another_site_after_a_login(world: World, idp: IdpSimulator) -> None:
    """Whatever `next` says."""
    for there in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        client = world.client()
        assert back(client, idp, gone(client, there)).headers["location"] == "/"


def test_a_local_account_is_never_taken_over_by_the_provider(world: World, idp: IdpSimulator) -> None:
    """Somebody whom the provider calls like a local account gets in as herself, with the rights of her groups alone."""
    account = world.access.accounts.add("omar.geste", "quatre-loutres-au-violon", {EVERY: Role.ADMINISTRATOR})
    client = world.client()
    assert back(client, idp, gone(client)).status_code == 303
    told = client.get("/api/me").json()
    assert (told["name"], told["rights"]) == ("oidc:omar.geste", {A: "operator", B: "reader"})
    assert not world.access.sessions.of(account.id)


def test_who_somebody_is_does_not_go_by_her_name(oidc: Oidc, idp: IdpSimulator) -> None:
    """Issuer and subject say it: another subject of the same name is somebody else, who inherits nothing."""
    claims = {"sub": "s1", "preferred_username": "omar.geste", "groups": ["pfi-exploitation"]}
    first, renamed, other = (
        oidc_person.person(oidc._config, claims | more)
        for more in ({}, {"preferred_username": "omar.autre"}, {"sub": "s2"})
    )
    assert first.id == renamed.id != other.id and "s1" not in first.id
    assert arrived(oidc, idp).person.id.startswith("oidc:")
    with pytest.raises(LoginRefused, match="LOGIN-OIDC-NAME"):
        oidc_person.person(oidc._config, {**claims, "sub": ""})


def test_logging_out_ends_both_sessions(world: World, idp: IdpSimulator) -> None:
    """Ours at once; the provider's by a link, for the headers stop a form that leads to another site."""
    client = world.client()
    back(client, idp, gone(client))
    token = world.access.person_of(client.cookies["segur"])
    assert token is not None
    answer = client.post("/logout", data={"_token": token.csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.get("/").status_code == 303
    assert 'href="/logout/oidc"' in client.get("/login").text
    there = client.get("/logout/oidc").headers["location"]
    assert there.startswith(f"{idp.issuer}/logout?")
    assert httpx.get(there, trust_env=False).headers["location"] == f"{HOME}/login"
    assert idp.ended == ["omar.geste"]
    assert client.get("/logout/oidc").headers["location"] == "/login"


def test_a_site_without_a_provider_has_no_such_page(tmp_path: Path) -> None:
    """404, and no link to it."""
    world = World(tmp_path)
    try:
        client = world.client()
        assert gone(client).status_code == 404
        assert "/login/oidc" not in client.get("/login").text
    finally:
        world.close()
