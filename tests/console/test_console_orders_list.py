"""The list of orders: who sees which, page by page."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from router.access.person import Person, Role
from router.console.orders import Act
from router.engine.dead_letters.listing import DeadLetter
from router.engine.dead_letters.operator_commands import Answer
from router.exchange import Origin
from tests.console.console_world import A, B, World, text_of

NONE = ""
MANY = 60


def ordered(world: World, *sets: Sequence[str], act: Act = "discard") -> list[str]:
    """Confirmed orders, one for each set of structures, the newest last."""
    ids = []
    for n, structures in enumerate(sets):
        letters = [DeadLetter("sink", "c", "X", Origin("dlq.s", 0, n), structure=one) for one in structures]
        answers = [Answer(dead_letter=letter, accepted=True, text="") for letter in letters]
        id_ = world.store.orders.plan(Person(name="jeanne"), act, answers, again=False, cause="c", query="", digest="d")
        assert world.store.orders.confirm(id_, "essai")
        ids.append(id_)
        world.clock.at += 1 if n % 3 else 0  # some were made at the same moment
    return ids


def test_older_orders_of_ones_own_are_found_behind_many_of_others(world: World) -> None:
    """Rights are part of the question: fifty newer orders of another hospital hide none of mine."""
    (mine,) = ordered(world, [A])
    ordered(world, *[[B]] * MANY)
    page = world.client("marie").get("/orders")
    assert re.findall(r'href="/orders/([^"?]+)"', page.text) == [mine]
    given = world.program({A: Role.READER}).get("/api/orders").json()
    assert [one["id"] for one in given["orders"]] == [mine] and given["next"] == ""


def test_each_order_stands_on_one_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, none twice and none left out; a place that is none begins at the beginning."""
    monkeypatch.setattr("router.console.pages.orders.ROWS", 3)
    ids = ordered(world, *[[A]] * 7, [A, B], [NONE])
    client, robot = world.client("jeanne"), world.program({"*": Role.READER})
    address, seen, counts = "/orders", [], []
    while address:
        page = client.get(address)
        found = re.findall(r'<a href="/orders/([^"?]+)"', page.text)
        seen += found
        counts.append(len(found))
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        address = following[1].replace("&amp;", "&") if following else ""
    assert sorted(seen) == sorted(ids) and counts == [3, 3, 3]
    assert seen[0] == ids[-1] and {*seen[1:3]} == {*ids[-3:-1]}
    after, told = "", []
    while True:
        given = robot.get(f"/api/orders?per=4&after={after}").json()
        told += [one["id"] for one in given["orders"]]
        if not (after := given["next"]):
            break
    assert told == seen
    for nonsense in ("x", "~", "nan~x", "1~\x00", "9" * 90):
        assert "discard" in text_of(client.get("/orders?after=" + nonsense.replace("\x00", "%00"))).lower()


def test_an_order_about_another_hospital_too_is_not_mine(world: World) -> None:
    """Nor is one about dead letters of no structure: all of them must be one's own."""
    ordered(world, [A, B], [A, NONE], [B])
    assert "/orders/" not in world.client("marie").get("/orders").text
    assert world.program({A: Role.READER}).get("/api/orders").json() == {"orders": [], "next": ""}
