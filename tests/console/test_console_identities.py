"""A name is for reading: what belongs to somebody, and what somebody may, goes by an id that is never given again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from router.access.person import Person, Role
from router.audit.event import Action
from router.console.store import ConsoleStore
from tests.console.console_world import API, PASSWORD, SITE, A, B, Browser, World, problem, token

NEW = "quatre-loutres-au-violin"
SEARCH = {"name": "grief", "feed": "sil", "recipient": "adam.hoda@x.mssante.fr"}
#: Both feeds by HTTP.
BY_HTTP = SITE.replace("mllp: {port: 2575}", "http: true").replace("mllp: {port: 2576}", "http: true")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, BY_HTTP.replace("feeds:\n", "http: {port: 2580, host: 127.0.0.1}\nfeeds:\n"))
    yield world
    world.close()


def browser(world: World, person: Person, *, local: bool = True) -> Browser:
    """Somebody who has logged in."""
    client = Browser(world.app, {"accept-language": "en", "sec-fetch-site": "same-origin"})
    client.cookies.set("segur", world.access.begin(person, "10.0.0.7", local=local), domain="testserver.local")
    return client


def sent(client: Browser, address: str, body: Mapping[str, object]) -> httpx.Response:
    """As a script of our own pages sends it."""
    csrf = token(client.get("/account"))
    more = {"content-type": "application/json", "x-csrf-token": csrf}
    return client.request("POST", address, json.dumps(body).encode(), **more)


def bearer(world: World, answer: httpx.Response) -> Browser:
    """The program of a token that was just made."""
    return Browser(world.app, {"authorization": f"Bearer {answer.json()['token']}", "accept-language": "en"})


def searches(client: Browser) -> list[str]:
    return [one["name"] for one in client.get("/api/searches").json()["searches"]]


def test_a_local_account_shadows_nobody_of_the_provider(world: World) -> None:
    """Another hospital's account of the same name sees and ends nothing of hers, and she still logs in."""
    martin = Person(id="oidc:1", name="oidc:dr.martin", shown="Dr Martin", rights={A: Role.OPERATOR})
    theirs = browser(world, martin, local=False)
    assert sent(theirs, "/api/searches", SEARCH).status_code == 201
    world.access.accounts.add("dr.martin", NEW, {B: Role.READER})
    other = browser(world, world.access.login("dr.martin", NEW))
    assert searches(other) == [] and other.get("/account").text.count("10.0.0.7") == 1
    other.post("/account", {"_token": token(other.get("/account")), "do": "end-others"})
    assert theirs.get("/api/me").status_code == 200 and searches(theirs) == ["grief"]
    assert searches(browser(world, martin, local=False)) == ["grief"]


def test_two_tokens_of_one_name_share_nothing(world: World) -> None:
    """Neither searches nor the rate of an operation; the audit tells the two apart."""
    one = world.program({A: Role.OPERATOR})
    first = world.robot
    other = world.program({B: Role.OPERATOR})
    assert one.send("/api/searches", SEARCH).status_code == 201 and searches(other) == []
    while other.send("/api/exports/messages", {}).status_code == 200:
        pass
    assert one.send("/api/exports/messages", {}).status_code == 200
    assert {line.who for line in world.audit if line.action is Action.EXPORTED} == {first, world.robot}


def test_a_name_given_again_inherits_nothing(world: World) -> None:
    """Neither the private searches of the removed account, nor how it liked the pages."""
    marie = world.client("marie")
    assert sent(marie, "/api/searches", SEARCH).status_code == 201
    marie.post("/choices", {"_token": token(marie.get("/choices")), "theme": "dark"})
    world.access.accounts.remove("marie")
    again = world.access.accounts.add("marie", NEW, {B: Role.READER}).person
    assert searches(browser(world, again)) == [] and not world.store.choices(again.id)


def test_a_token_ends_with_the_account_that_made_it(world: World) -> None:
    """It loses what its maker loses, and is none once she is removed."""
    rosa = world.access.accounts.add("rosa", PASSWORD, {A: Role.ADMINISTRATOR}).person
    body = {"name": "robot", "scopes": list(API), "rights": {A: "administrator"}}
    robot = bearer(world, sent(browser(world, rosa), "/api/tokens", body))
    assert robot.get("/api/accounts").status_code == 200
    world.access.accounts.set_rights("rosa", {A: Role.READER})
    assert (robot.get("/api/accounts").status_code, robot.get("/api/me").status_code) == (403, 200)
    world.access.accounts.remove("rosa")
    problem(robot.get("/api/me"), 401, "API-TOKEN")


def test_a_token_made_by_a_token_ends_with_it(world: World) -> None:
    """However long it was asked for, and at once when its parent is revoked."""
    parent = world.program({A: Role.ADMINISTRATOR})
    body = {"name": "long", "days": 732, "scopes": list(API), "rights": {A: "administrator"}}
    made = parent.send("/api/tokens", body)
    kept = {one.name: one for one in world.access.tokens.all()}
    assert kept["long"].expires == kept["robot"].expires
    child = bearer(world, made)
    assert child.get("/api/me").status_code == 200
    world.access.tokens.revoke(kept["robot"].id)
    problem(child.get("/api/me"), 401, "API-TOKEN")


@pytest.mark.parametrize(
    ("unknown", "others"),
    [
        (
            {"scopes": ["api:read"], "rights": {"999999999": "reader"}},
            {"scopes": ["api:read"], "rights": {B: "reader"}},
        ),
        ({"scopes": ["feed:send"], "feeds": ["nada"]}, {"scopes": ["feed:send"], "feeds": ["labo"]}),
    ],
)
def test_what_is_unknown_answers_as_what_is_another_hospitals(
    world: World, unknown: dict[str, object], others: dict[str, object]
) -> None:
    """Neither a structure nor a feed is told, and nothing of the site is listed."""
    mine = world.program({A: Role.ADMINISTRATOR})
    answers = [mine.send("/api/tokens", {"name": "x1", **body}) for body in (unknown, others)]
    assert answers[0].text == answers[1].text
    for answer in answers:
        problem(answer, 403, "API-ROLE")
    if "feeds" not in unknown:
        account = {"name": "zoe", "password": NEW, "rights": unknown["rights"]}
        assert mine.send("/api/accounts", account).text == answers[0].text


def test_a_feed_that_takes_no_http_is_told_with_ones_own(tmp_path: Path) -> None:
    """The sentence lists the feeds that this person may give, and does not say again what was named."""
    with closing(World(tmp_path, SITE.replace("mllp: {port: 2576}", "http: true").replace(
        "feeds:\n", "http: {port: 2580, host: 127.0.0.1}\nfeeds:\n"))) as world:  # fmt: skip
        body = {"name": "x1", "scopes": ["feed:send"], "feeds": ["sil"]}
        told = problem(world.program({A: Role.ADMINISTRATOR}).send("/api/tokens", body), 422, "ACCESS-FEED")
        assert "labo" not in told["detail"] and "sil" not in told["detail"]


def test_a_name_that_another_hospital_took_is_not_told(world: World) -> None:
    """The answer is one sentence that says no more than that it can't be taken."""
    body = {"name": "paul", "password": NEW, "rights": {A: "reader"}}
    told = problem(world.program({A: Role.ADMINISTRATOR}).send("/api/accounts", body), 409, "ACCESS-TAKEN")
    assert told["detail"] == "this name can't be taken: choose another one"


def test_a_token_for_feeds_alone_is_audited_where_they_are(world: World) -> None:
    """An administrator of that hospital sees it made and revoked."""
    mine = world.program({A: Role.ADMINISTRATOR})
    made = mine.send("/api/tokens", {"name": "labo", "scopes": ["feed:send"], "feeds": ["sil"]})
    assert made.status_code == 201
    assert mine.send(f"{made.headers['location']}/revoke", {}).status_code == 200
    told = [(line.structure, line.detail.split()[0]) for line in world.audit if line.action is Action.TOKEN]
    assert told == [(A, "create"), (A, "revoke")]


def test_searches_of_before_are_nobodys(tmp_path: Path, world: World) -> None:
    """A console of version 1 kept them under names: shared ones are still seen, private ones have no owner."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    with closing(ConsoleStore(url, world.clock)) as old:
        old.save("marie", "mine", "?feed=sil", None, by="", shared=False)
        old.save("marie", "ours", "?feed=sil", None, by="", shared=True)
        old.choose("marie", {"theme": "dark"})
        with old._database.write() as db:
            db.exec_driver_sql('ALTER TABLE console_searches DROP COLUMN "by"')
            for column in ("asker", "second"):  # of version 3
                db.exec_driver_sql(f"ALTER TABLE console_orders DROP COLUMN {column}")
            db.exec_driver_sql("UPDATE schema_versions SET version=1 WHERE room='console'")
    with closing(ConsoleStore(url, world.clock)) as store:
        assert [(one.name, one.by) for one in store.searches("marie", None)] == [("ours", "marie")]
        assert not store.choices("marie")
