"""A journal that is too slow: every page and every operation ends, and says so in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.access.person import EVERY, Role
from router.console.api.operation import BASE, all_operations
from router.console.registry import all_pages
from router.database import TooSlow
from tests.console.console_world import EVENT_A, World, text_of
from tests.console.worklist_world import moved_identity, silent

_CUT = "This took too long"
PARTS = {"id": EVENT_A, "name": "documents", "list": "not-received", "cause": "x", "rank": "0", "page": "1.png"}


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with something to look at, whose journal answers nothing."""
    world.fill()
    world.write_pipeline()
    silent(world)
    moved_identity(world)
    world.watch.latest()
    database = world.services.journal._database

    @contextmanager
    def cut(seconds: float | None = None) -> Iterator[None]:
        raise TooSlow("JOURNAL-SLOW", "", "the database took too long to answer: ask for less")
        yield

    monkeypatch.setattr(database, "read", cut)
    return world


def _at(path: str) -> str:
    for name, value in PARTS.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def test_every_page_ends_and_says_that_it_was_cut(slow: World) -> None:
    """None fails, and none claims that nothing was found: in its place or in its head stands why."""
    client = slow.client("marie")
    for page in all_pages():
        if page.show is None or page.open or "{" in _at(page.path):
            continue
        answer = client.get(_at(page.path))
        assert answer.status_code in (200, 303, 403, 404, 503), page.name
        if answer.headers.get("content-type", "").startswith("text/html") and answer.status_code == 200:
            assert "nothing to look at" not in text_of(answer), page.name
        if page.name in ("search", "message", "worklist"):
            assert answer.status_code == 503 or "Cut after 5 s" in answer.text, page.name
    page_ = text_of(client.get(f"/messages/{EVENT_A}"))
    assert _CUT in page_ and "JOURNAL-SLOW" in page_ and "The database is away" not in page_
    assert "be looked at: JOURNAL-SLOW" in text_of(client.get("/"))


def test_every_reading_operation_ends_and_says_that_it_was_cut(slow: World) -> None:
    """A program is told by its own code that it asked for too much."""
    program = slow.program({EVERY: Role.ADMINISTRATOR})
    told = {}
    for one in all_operations():
        if one.method == "GET" and "{" not in _at(one.path):
            told[one.name] = program.get(BASE + _at(one.path))
    assert {answer.status_code for answer in told.values()} <= {200, 404, 422, 503}
    cut = program.get(f"{BASE}/messages/{EVENT_A}")
    assert cut.status_code == 503 and cut.json()["code"] == "API-SLOW" and "too long" in cut.json()["detail"]
