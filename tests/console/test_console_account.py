"""A person's own account in the console: her sessions, her password, her second factor; and the login with a code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyotp
import pytest

from tests.console.console_world import PASSWORD, Browser, World

NEW = "cinq-loutres-au-violon"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def did(client: Browser, **fields: str) -> httpx.Response:
    """A form of the page, sent as the page would send it."""
    page = client.get("/account").text
    token = re.findall(r'name="_token" value="([^"]+)"', page)[-1]
    return client.post("/account", data={"_token": token, **fields})


def enters(world: World, password: str, code: str = "") -> int:
    """The status of a login of Marie's: 303 for one that succeeds."""
    data = {"name": "marie", "password": password, "code": code, "next": "/"}
    return world.client().post("/login", data=data).status_code


def test_a_person_sees_where_she_is_logged_in_and_ends_it(world: World) -> None:
    """Her own sessions alone; the others' ids do nothing."""
    mine, other, pauls = world.client("marie"), world.client("marie"), world.client("paul")
    page = mine.get("/account").text
    (id_,) = re.findall(r'name="id" value="([0-9a-f]+)"', page)
    assert "Hôpital A (750100125)" in page and "paul" not in page
    assert did(pauls, do="end", id=id_).status_code == 303 and other.get("/account").status_code == 200
    assert did(mine, do="end", id=id_).status_code == 303
    assert other.get("/account").status_code == 303 and mine.get("/account").status_code == 200
    again = world.client("marie")
    assert did(mine, do="end-others").status_code == 303
    assert again.get("/account").status_code == 303


def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(world: World) -> None:
    """The session that changed it goes on under another cookie."""
    mine, other = world.client("marie"), world.client("marie")
    before = mine.cookies["segur"]
    assert did(mine, do="password", current="faux", new=NEW, again=NEW).status_code == 403
    assert did(mine, do="password", current=PASSWORD, new=NEW, again="autre").status_code == 400
    short = did(mine, do="password", current=PASSWORD, new="court", again="court")
    assert short.status_code == 400 and "12 characters" in short.text and "court" not in short.text
    assert did(mine, do="password", current=PASSWORD, new=NEW, again=NEW).status_code == 303
    assert mine.cookies["segur"] != before and mine.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert (enters(world, PASSWORD), enters(world, NEW)) == (403, 303)
    told = [(one.action, one.refused, one.detail) for one in world.audit if one.action == "account"]
    assert told == [("account", True, "LOGIN-REFUSED"), ("account", False, "password")]


def test_a_second_factor_is_added_and_asked_for(world: World) -> None:
    """It counts once its first code was given; then each login asks for a code, and says so."""
    mine = world.client("marie")
    assert did(mine, do="totp", current="faux").status_code == 403, "who found an open session does not know it"
    assert '<code class="id">' not in mine.get("/account").text
    assert did(mine, do="totp", current=PASSWORD).status_code == 303
    (secret,) = re.findall(r'<code class="id">([A-Z2-7]+)</code>', mine.get("/account").text)
    assert did(mine, do="totp-confirm", first="000").status_code == 400
    assert enters(world, PASSWORD) == 303, "not yet"
    assert did(mine, do="totp-confirm", first=pyotp.TOTP(secret).at(int(world.clock.at))).status_code == 303
    assert secret not in mine.get("/account").text
    world.clock.at += 60
    asked = world.client().post("/login", data={"name": "marie", "password": PASSWORD, "next": "/"})
    assert asked.status_code == 403 and "authenticator" in asked.text and PASSWORD not in asked.text
    code = pyotp.TOTP(secret).at(int(world.clock.at))
    assert enters(world, PASSWORD, code) == 303
    world.clock.at += 60
    code = pyotp.TOTP(secret).at(int(world.clock.at))
    assert did(mine, do="totp-off", current=PASSWORD, code="").status_code == 403
    assert did(mine, do="totp-off", current=PASSWORD, code=code).status_code == 303
    assert enters(world, PASSWORD) == 303


def test_five_wrong_passwords_make_a_name_wait(world: World) -> None:
    """The page says how long, and the answer is 429; a name that nobody has is treated the same."""
    for name in ("marie", "personne"):
        client = world.client()
        wrong = {"name": name, "password": "faux", "next": "/"}
        assert [client.post("/login", data=wrong).status_code for _ in range(6)] == [403] * 5 + [429]
        assert "try again in 30 s" in client.post("/login", data=wrong).text


@pytest.mark.parametrize("do", ["", "remove", "password"])
def test_a_form_that_is_none_of_the_page_does_nothing(world: World, do: str) -> None:
    """Unknown deeds are not found; a form without its session's token is refused."""
    mine = world.client("marie")
    assert mine.post("/account", data={"do": do, "current": PASSWORD, "new": NEW, "again": NEW}).status_code == 400
    if do != "password":
        assert did(mine, do=do).status_code == 404
    assert enters(world, PASSWORD) == 303
