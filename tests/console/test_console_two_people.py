"""Orders that two people confirm where the site says so; and a discard that is taken back, from pages and commands."""

from __future__ import annotations

import time

import pytest

from router.audit.event import Action
from router.audit.rows import Wanted
from router.console.ordering import SECOND_WITHIN
from router.console.orders import OrderState
from router.engine.delivery.command_handler import TAKEN_BACK_WITHIN, take_back_refusal
from router.exchange import State
from tests.cli.cli import command
from tests.console.console_world import A, B, World, text_of, token
from tests.console.sink_worker import dead, full, work
from tests.console.test_console_dead_letters import SINK, confirm, dry_run, worked_off


def above(world: World, limit: int) -> None:
    """The site asks a second person for more than so many."""
    object.__setattr__(world.services.config.operators, "second_person_above", limit)


def test_many_are_replayed_once_a_second_person_confirms(world: World) -> None:
    """Who asked can't be the second; nothing goes before; both names stand in the order, and each in the audit."""
    ids = dead(world, 3, sink=SINK, structure=A)
    above(world, 2)
    marie, luc = world.client("marie"), world.client("luc")
    address = dry_run(marie)
    assert "asks two people for so many" in text_of(marie.get(address))
    assert confirm(marie, address, count="3").status_code == 303
    assert not world.runner.step()
    asked = text_of(marie.get(address))
    assert "waits for a second person" in asked and "other than marie" in asked and "boîte vidée" in asked
    form = {"_token": token(marie.get(address)), "do": "confirm", "count": "3"}
    assert marie.post(address, form).status_code == 403
    assert "waits for a second person" in text_of(luc.get("/orders"))
    assert world.client("paul").get(address).status_code == 404
    assert confirm(luc, address, count="2").status_code == 422
    assert confirm(luc, address, count="3").status_code == 303
    worked_off(world)
    work(world, SINK, ids, State.DONE)
    assert "ordered by marie + luc" in text_of(marie.get(address))
    lines = [(one.who, one.detail) for one in world.audit if one.action is Action.REPLAYED]
    assert [who for who, _ in lines] == ["marie", "luc"]
    assert "asks-second-person" in lines[0][1] and "second-person-for=marie" in lines[1][1]


def test_few_need_one_person(world: World) -> None:
    """At the limit one confirmation is enough."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 2)
    marie = world.client("marie")
    address = dry_run(marie)
    assert "two people" not in text_of(marie.get(address))
    confirm(marie, address, count="2")
    assert world.runner.step()


@pytest.mark.parametrize("how", ["declined", "taken away", "late"])
def test_what_nobody_confirms_is_never_ordered(world: World, how: str) -> None:
    """The second declines, the first takes it away, or four hours go by; later confirmations change nothing."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 0)
    world.clock.at = time.time()
    marie, luc = world.client("marie"), world.client("luc")
    address = dry_run(marie)
    confirm(marie, address, count="2")
    if how == "late":
        world.clock.at += SECOND_WITHIN + 1
        marie, luc = world.client("marie"), world.client("luc")
        assert "nobody confirmed this in 4 hours" in text_of(luc.get(address))
    else:
        who = luc if how == "declined" else marie
        who.post(address, {"_token": token(who.get(address)), "do": "decline"})
        assert "It was declined" in text_of(marie.get(address))
    again = luc.post(address, {"_token": token(luc.get("/account")), "do": "confirm", "count": "2"})
    assert again.status_code in (303, 422)
    assert not world.runner.step()
    order = world.store.orders.order(address.rpartition("/")[2])
    assert order is not None and order.state is (OrderState.SECOND if how == "late" else OrderState.DECLINED)


def test_a_discard_is_taken_back_and_replayed(world: World) -> None:
    """From the page of its order: a dead letter again, of the same cause, and nothing sent before its replay."""
    ids = dead(world, 2, sink=SINK, structure=A)
    marie = world.client("marie")
    before = marie.get("/dead-letters").text
    address = dry_run(marie, "discard")
    assert "taken back for 7 days" in text_of(marie.get(address))
    confirm(marie, address, count="2")
    worked_off(world)
    work(world, SINK, ids, State.SUPERSEDED)
    page = marie.get(address)
    assert "Dry run of taking it back" in page.text and "No dead letter." in marie.get("/dead-letters").text
    back = marie.post("/orders", {"_token": token(page), "act": "take-back", "of": address.rpartition("/")[2]})
    there = back.headers["location"]
    assert "2 of 2 would be ordered" in text_of(marie.get(there))
    since = time.time()
    assert confirm(marie, there, count="2", reason="").status_code == 422  # a reason is needed
    confirm(marie, there, count="2")
    worked_off(world)
    work(world, SINK, ids, State.DEAD, since=since)
    assert "MSS-552" in marie.get("/dead-letters").text and "MSS-552" in before
    assert [one.reason for one in world.audit if one.action is Action.TAKEN_BACK] == ["boîte vidée"]
    since = time.time()
    replay = dry_run(marie)
    confirm(marie, replay, count="2")
    worked_off(world)
    work(world, SINK, ids, State.DONE, since=since)
    late = marie.post("/orders", {"_token": token(marie.get(address)), "act": "take-back", "of": address[8:]})
    assert "0 of 2 would be ordered" in text_of(marie.get(late.headers["location"]))


def test_only_a_discard_of_the_last_days_is_taken_back(world: World) -> None:
    """Seven days; not what was overtaken; not where the order of a feed was kept."""
    from dataclasses import replace

    (id_,) = dead(world, 1, sink=SINK, structure=A)
    row = world.desk.rows([id_])[id_]
    given_up = replace(row, state=State.SUPERSEDED, code="DISCARDED", evidence={"before": "dead"})
    now = given_up.updated
    assert take_back_refusal(given_up, now + TAKEN_BACK_WITHIN) == ""
    assert take_back_refusal(given_up, now + TAKEN_BACK_WITHIN + 1) == "TAKE-BACK-LATE"
    assert take_back_refusal(replace(given_up, code="SUPERSEDED"), now) == "TAKE-BACK-NONE"
    assert take_back_refusal(replace(given_up, evidence={}), now) == "TAKE-BACK-NONE"
    assert take_back_refusal(row, now) == "TAKE-BACK-NONE"
    strict = replace(given_up, delivery=replace(given_up.delivery, strict=True))
    assert take_back_refusal(strict, now) == "TAKE-BACK-ORDER"


def test_the_command_line_takes_a_discard_back_and_leaves_many_to_two_people(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dlq take-back` of what `dlq discard` gave up; `second_person_above` refuses, and lets a dry run."""
    ids = dead(world, 2, sink=SINK, structure=A)
    site = world.services.site.path
    given = ("--reason", "trop vite", "--yes", "--site", str(site), "--lang", "en")
    assert command("dlq", "discard", ids[0], *given).code == 0
    work(world, SINK, [ids[0]], State.SUPERSEDED)
    since = time.time()
    said = command("dlq", "take-back", ids[0], *given)
    assert (said.code, "1 ordered, 0 refused" in said.out) == (0, True)
    work(world, SINK, [ids[0]], State.DEAD, since=since)
    refused = command("dlq", "take-back", ids[0], *given)
    assert refused.code == 1 and "TAKE-BACK-NONE" in command("dlq", "take-back", ids[0], *given, "--json").out
    assert command("dlq", "take-back", "unknown", *given).code == 1
    site.write_text(f"{site.read_text()}operators: {{second_person_above: 1}}\n", encoding="utf-8")
    many = command("dlq", "replay", "all", *given)
    assert many.code == 1 and "need a second person" in many.err
    dry = command("dlq", "replay", "all", *given, "--dry-run")
    assert (dry.code, "2 would be done" in dry.out) == (0, True)


def _state(world: World, address: str) -> OrderState | None:
    order = world.store.orders.order(address.rpartition("/")[2])
    return order.state if order is not None else None


def test_commands_that_split_an_order_count_together_with_the_console(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, by one account of the machine and by the person of its name in the console: within the hour
    their sum needs a second person; what was refused, and another act, do not count. The audit has each of them."""
    world.clock.at = time.time()
    for room in ("rights", "two_people", "audited", "dlq", "dlq_take_back"):
        monkeypatch.setattr(f"router.cli.{room}.account", lambda: "marie")
    ids = dead(world, 5, sink=SINK, structure=A)
    above(world, 3)
    site = world.services.site.path
    site.write_text(f"{site.read_text()}operators: {{second_person_above: 3}}\n", encoding="utf-8")
    given = ("--reason", "inutile", "--yes", "--site", str(site), "--lang", "en")
    assert command("dlq", "discard", ids[0], *given).code == 0
    assert command("dlq", "discard", ids[1], *given).code == 0
    confirm(marie := world.client("marie"), first := dry_run(marie, "discard", first="3"), count="3")
    assert _state(world, first) is OrderState.SECOND
    work(world, SINK, ids[:2], State.SUPERSEDED)
    assert command("dlq", "discard", ids[1], *given).code == 1  # refused: it is given up
    assert command("dlq", "discard", ids[2], *given).code == 0
    split = command("dlq", "discard", ids[3], *given)
    assert (split.code, "you ordered 3; with these (1) they are more than 3" in split.err) == (1, True)
    assert command("dlq", "discard", ids[3], *given, "--dry-run").code == 0
    since = time.time()
    assert command("dlq", "replay", ids[3], *given).code == 0
    confirm(luc := world.client("luc"), other := dry_run(luc, "discard", first="1"), count="1")
    assert _state(world, other) is OrderState.RUNNING
    rows = [row.event for row in world.services.audit.rows(Wanted(actions=(Action.DISCARDED,)))]
    assert ("cause", "count=1 lately=3 second-person") in [(one.kind, one.detail) for one in rows if one.refused]
    assert {(one.structure, one.role) for one in rows} == {(A, "operator")}
    dead(world, 1, sink=SINK, structure=B, start=50)
    work(world, SINK, [ids[3]], State.DEAD, fault=full, since=since)
    work(world, SINK, [ids[2]], State.SUPERSEDED)
    assert command("dlq", "replay", "all", *given, "--dry-run").code == 0
    several = command("dlq", "replay", "all", *given[:-1], "fr")
    assert (several.code, "demandez ceux-ci dans la console" in several.err) == (1, True), several
    rows = [row.event for row in world.services.audit.rows(Wanted(refused=True, kind="cause"))]
    assert {(one.structure, one.object, one.detail) for one in rows[1:]} == {
        (A, "all", "count=2 lately=1 second-person"),
        (B, "all", "count=1 lately=1 second-person"),
    }


def test_an_order_about_two_hospitals_is_audited_in_each_with_its_own_number(world: World) -> None:
    """Whoever reads the audit of one of them learns nothing of how many the other one has."""
    dead(world, 2, sink=SINK, structure=A)
    dead(world, 1, sink=SINK, structure=B, start=50)
    jeanne = world.client("jeanne")
    confirm(jeanne, dry_run(jeanne), count="3")
    lines = {one.structure: one.detail.split(" ")[:3] for one in world.audit if one.action is Action.REPLAYED}
    assert lines == {A: ["2", "of", "2"], B: ["1", "of", "1"]}
