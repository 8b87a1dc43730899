"""What holds for every page: who gets in, what an answer carries, and what a stranger learns."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router.audit.event import Action
from router.console.rates import LOGIN_OF_NAME
from router.console.registry import all_pages
from router.errors import Unavailable
from tests.console.console_world import PASSWORD, World, text_of, token

_NONCE = re.compile(r"nonce-[\w-]+|nonce=\"[\w-]+\"")


def test_every_answer_has_the_strict_headers(world: World) -> None:
    """Pages, redirections, errors and files: nothing from elsewhere is loaded, nothing is kept, nobody is told."""
    client = world.client("marie")
    css = re.search(r'href="(/assets/[^"]+\.css)"', client.get("/").text)
    assert css
    for path in ("/", "/login", "/nothing", css[1], "/assets/0/console.css"):
        headers = client.get(path).headers
        assert re.fullmatch(
            r"default-src 'none'; script-src 'nonce-[\w-]{22}'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            r"form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            r"require-trusted-types-for 'script'; trusted-types segur-router",
            headers["content-security-policy"],
        )
        assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")
        assert headers["cache-control"] == ("no-store" if path != css[1] else "public, max-age=31536000, immutable")
    first, second = (client.get("/").headers["content-security-policy"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("page", [one for one in all_pages() if one.show and not one.open], ids=lambda one: one.name)
def test_no_page_opens_without_a_session(world: World, page: Any) -> None:
    """A stranger is sent to the form, which leads back to the page asked for."""
    path = page.path.replace("{id}", "x")
    answer = world.client().get(f"{path}?since=today")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2F")


def test_the_login_leads_to_the_page_that_was_asked_for(world: World) -> None:
    """With its question; and never out of the console."""
    client = world.client()
    form = {"name": "marie", "password": PASSWORD}
    assert client.post("/login", form | {"next": "/search?since=today"}).headers["location"] == "/search?since=today"
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "/login", "x"):
        assert world.client().post("/login", form | {"next": elsewhere}).headers["location"] == "/"


def test_a_wrong_password_is_told_and_audited_without_the_name(world: World) -> None:
    """The form comes back with the name; the audit says that somebody was refused: people type passwords as names."""
    answer = world.client().post("/login", {"name": "marie", "password": "wrong", "next": "/"})
    assert answer.status_code == 403
    assert "name, password or code is wrong" in answer.text and 'value="marie"' in answer.text
    (event,) = world.audit
    assert (event.who, event.action, event.refused, event.detail) == ("?", Action.LOGIN, True, "LOGIN-REFUSED")


def test_a_name_is_tried_ten_times_in_five_minutes(world: World) -> None:
    """The eleventh is not looked at, also for a name that no account has."""
    client = world.client()
    tries = int(LOGIN_OF_NAME.partition("/")[0])
    codes = [client.post("/login", {"name": "nobody", "password": "x"}).status_code for _ in range(tries + 1)]
    assert codes[0] == 403 and codes[-1] == 429


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {}, 400),
        ({}, {"_token": "0" * 64}, 400),
        ({"sec-fetch-site": "cross-site"}, None, 400),
        ({"sec-fetch-site": "same-site"}, None, 400),
        ({"sec-fetch-site": "", "origin": "http://evil.example"}, None, 400),
        ({"sec-fetch-site": "", "origin": "null"}, None, 400),
        ({"sec-fetch-site": "", "origin": "http://testserver"}, None, 303),
        ({}, None, 303),
    ],
)
def test_only_our_own_forms_act(
    world: World, headers: dict[str, str], form: dict[str, str] | None, status: int
) -> None:
    """Without the token of this session, or from another site, nothing is done."""
    client = world.client("marie")
    sent = {"theme": "dark", **(form if form is not None else {"_token": token(client.get("/choices"))})}
    assert client.post("/choices", sent, headers).status_code == status
    assert world.store.choices(world.id_of("marie")) == ({"theme": "dark"} if status == 303 else {})


def test_the_token_of_another_session_is_worth_nothing(world: World) -> None:
    """It is bound to the session, not to the site."""
    other, mine = world.client("paul"), world.client("marie")
    assert mine.post("/choices", {"theme": "dark", "_token": token(other.get("/"))}).status_code == 400


@pytest.mark.parametrize(("kind", "body", "status"), [("text/plain", "a=b", 415), ("", "x" * 70_000, 413)])
def test_only_small_forms_are_read(world: World, kind: str, body: str, status: int) -> None:
    """Anything else ends before the page hears of it."""
    client = world.client("marie")
    headers = {"content-type": kind} if kind else {}
    assert client.post("/choices", {"theme": body}, headers).status_code == status


def test_logging_out_ends_the_session_on_the_server(world: World) -> None:
    """The old cookie opens nothing."""
    client = world.client("marie")
    secret = client.cookies["segur"]
    assert client.post("/logout", {"_token": token(client.get("/"))}).headers["location"] == "/login"
    assert world.client().get("/", {"cookie": f"segur={secret}"}).status_code == 303
    assert [event.action for event in world.audit] == [Action.LOGOUT]


def test_a_page_that_asks_for_itself_again_keeps_no_session_alive(world: World) -> None:
    """Live numbers on a screen that nobody looks at end with the session."""
    client = world.client("marie")
    for _ in range(4):
        world.clock.at += 600
        answer = client.get("/", {"x-live": "1"})
    assert answer.status_code == 303
    client = world.client("marie")
    for _ in range(4):
        world.clock.at += 600
        assert client.get("/").status_code == 200


def test_what_there_is_not_and_what_is_anothers_look_the_same(world: World) -> None:
    """The same bytes but for the nonce: an answer tells nobody what another hospital has."""
    client = world.client("marie")
    pages = [_NONCE.sub("", client.get(path).text) for path in ("/nothing", "/x/y?z=1")]
    assert pages[0] == pages[1]
    assert "Unknown, or outside your structures" in pages[0]


def test_a_page_that_fails_gives_a_reference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says what still works; the log has the reference and the fault."""
    monkeypatch.setattr(world.watch, "latest", lambda: 1 / 0)
    answer = world.client("marie").get("/")
    assert answer.status_code == 500
    assert re.search(r"Reference: [0-9a-f]{8}", text_of(answer))


def test_a_database_that_is_away_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nobody can say whose session it is."""
    client = world.client("marie")

    def away(*_: object, **__: object) -> None:
        raise Unavailable("ACCESS-AWAY", "database", "away")

    monkeypatch.setattr(world.access, "person_of", away)
    answer = client.get("/")
    assert answer.status_code == 503 and "The database is away" in answer.text and "ACCESS-AWAY" in answer.text


def test_the_language_is_the_persons_then_the_browsers(world: World) -> None:
    """A choice holds on every machine."""
    client = world.client("marie", language="fr-FR,fr;q=0.9,en;q=0.5")
    assert '<html lang="fr"' in client.get("/").text
    client.post("/choices", {"_token": token(client.get("/")), "language": "en", "density": "airy", "theme": "x"})
    again = world.client("marie", language="fr").get("/").text
    assert '<html lang="en" data-density="airy">' in again


def test_each_page_is_declared_once() -> None:
    """Names, addresses and letters name one page."""
    pages = all_pages()
    for names in ([page.name for page in pages], [page.letter for page in pages if page.letter]):
        assert len(names) == len(set(names))
    assert all((page.show or page.act) and page.title for page in pages)


def test_the_audit_says_in_words_what_was_done(world: World) -> None:
    """As `audit ls` does, in the reader's language; the address holds the name of the action."""
    page = world.client("jeanne", language="fr").get("/audit").text
    assert re.search(r'<option value="viewed"[^>]*>a vu le contenu</option>', page)
