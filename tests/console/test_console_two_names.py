"""The rule of two persons against one person with two names, and against one who has lost her rights since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.access.person import Person, Role
from router.audit.event import Action
from router.console.orders import OrderState
from tests.console.console_world import API, A, B, Browser, World, text_of, token
from tests.console.sink_worker import dead
from tests.console.test_console_dead_letters import SINK, confirm, dry_run, worked_off
from tests.console.test_console_two_people import above


def state(world: World, address: str) -> OrderState | None:
    order = world.store.orders.order(address.rpartition("/")[2])
    return order.state if order is not None else None


def program(world: World, name: str, maker: str) -> Browser:
    """A program of hospital A with a token that this person made."""
    text, _ = world.access.tokens.create(
        name, scopes=API, expires=world.clock.now() + 3600, by=maker, rights={A: Role.OPERATOR}
    )
    return Browser(world.app, {"authorization": f"Bearer {text}", "accept-language": "en"})


def asked_by(client: Browser, count: int) -> str:
    """The address of an order that this program made and confirmed."""
    cause = client.get("/api/dead-letters").json()["causes"][0]["cause"]
    id_ = client.send("/api/orders", {"act": "discard", "cause": cause, "first": count}).json()["id"]
    answer = client.send(f"/api/orders/{id_}/confirm", {"count": count, "reason": "boîte fermée"})
    assert answer.status_code == 200, answer.text
    return f"/orders/{id_}"


def test_a_token_and_its_maker_are_one_person(world: World) -> None:
    """What a token of Marie's asked she can decline, and not confirm; Luc confirms it."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    address = asked_by(program(world, "robot", "marie"), 2)
    marie, luc = world.client("marie"), world.client("luc")
    form = {"_token": token(marie.get("/account")), "do": "confirm", "count": "2"}
    assert marie.post(address, form).status_code == 403
    assert state(world, address) is OrderState.SECOND
    assert confirm(luc, address, count="2").status_code == 303
    assert state(world, address) is OrderState.RUNNING


def test_two_tokens_of_one_maker_are_one_person(world: World) -> None:
    """Also where one token made the other: the names that stand behind both are compared."""
    ends = world.clock.now() + 3600

    def made(name: str, maker: str) -> str:
        _, kept = world.access.tokens.create(name, scopes=API, expires=ends, by=maker)
        return kept.person.name

    one, other = made("un", "marie"), made("autre", "luc")
    second, third = made("deux", "marie"), made("trois", one)
    same = world.access.behind.same
    assert same(one, second) and same(third, second) and same(third, "marie")
    assert not same(one, other) and not same("marie", "luc") and not same(other, "marie")


@pytest.mark.parametrize(
    "lost",
    [
        lambda world: world.access.accounts.lock("marie"),
        lambda world: world.access.accounts.remove("marie"),
        lambda world: world.access.accounts.set_rights("marie", {A: Role.READER, B: Role.OPERATOR}),
    ],
    ids=["locked", "removed", "moved"],
)
def test_who_asked_must_still_be_an_operator_there(world: World, lost: Callable[[World], None]) -> None:
    """A second person confirms nothing for somebody who may not order it any more, and reads why."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    marie, luc = world.client("marie"), world.client("luc")
    address = dry_run(marie)
    confirm(marie, address, count="2")
    lost(world)
    answer = confirm(luc, address, count="2")
    assert answer.status_code == 422 and "marie, who asked for this, may not order it any more" in text_of(answer)
    assert state(world, address) is OrderState.SECOND


def test_a_token_that_has_ended_asks_for_nothing(world: World) -> None:
    """Its order waits for a second person; revoked meanwhile, nobody can be that one."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    address = asked_by(program(world, "robot", "rosa"), 2)
    world.access.tokens.revoke(world.access.tokens.all()[0].id)
    assert confirm(world.client("luc"), address, count="2").status_code == 422


def test_somebody_of_the_identity_provider_asks_until_she_logs_out(world: World) -> None:
    """She has no account: what her open session says counts."""
    known = world.access.behind.today
    assert known("oidc:dr.martin") == []
    person = Person(name="oidc:dr.martin", id="oidc:5e1f", rights={A: Role.OPERATOR})
    secret = world.access.begin(person, "127.0.0.1", local=False)
    assert [one.rights for one in known("oidc:dr.martin")] == [{A: Role.OPERATOR}]
    world.access.end(secret)
    assert known("oidc:dr.martin") == []


def test_an_order_that_is_split_needs_a_second_person_too(world: World) -> None:
    """What one person, or her token, began within the hour counts together; another's does not; later she is alone."""
    dead(world, 6, sink=SINK, structure=A)
    above(world, 3)
    first = asked_by(program(world, "robot", "marie"), 2)
    worked_off(world)
    marie = world.client("marie")
    second = dry_run(marie, "discard", first="2")
    assert "asks two people for so many" in text_of(marie.get(second))
    confirm(marie, second, count="2")
    luc = world.client("luc")
    other = dry_run(luc, "discard", first="2")
    confirm(luc, other, count="2")
    assert [state(world, one) for one in (first, second, other)] == [
        OrderState.DONE,
        OrderState.SECOND,
        OrderState.RUNNING,
    ]
    worked_off(world)
    world.clock.at += 3601
    marie = world.client("marie")
    later = dry_run(marie, "discard", first="2")
    confirm(marie, later, count="2")
    assert state(world, later) is OrderState.RUNNING


def test_stop_and_resume_are_audited_before_for_each_structure(world: World) -> None:
    """While the audit is away the order stays as it is."""
    dead(world, 2, sink=SINK, structure=A)
    marie = world.client("marie")
    address = dry_run(marie)
    confirm(marie, address, count="2")
    form = {"_token": token(marie.get(address))}
    world.audit_away = True
    assert marie.post(address, form | {"do": "stop"}).status_code == 503
    assert state(world, address) is OrderState.RUNNING
    world.audit_away = False
    marie.post(address, form | {"do": "stop"})
    marie.post(address, form | {"do": "resume"})
    marie.post(address, form | {"do": "resume"})
    lines = [(one.structure, one.detail, one.refused) for one in world.audit if one.action is Action.REPLAYED]
    assert lines[1:] == [(A, "stop", False), (A, "resume", False)]


def test_the_audit_says_when_a_decision_came_too_late(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marie takes her order away while Luc confirms it: his line is followed by one that says "refused"."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    marie, luc = world.client("marie"), world.client("luc")
    address = dry_run(marie)
    confirm(marie, address, count="2")
    decided = world.store.orders.second

    def meanwhile(id_: str, persons: str) -> bool:
        world.store.orders.decline(id_)
        return decided(id_, persons)

    monkeypatch.setattr(world.store.orders, "second", meanwhile)
    assert confirm(luc, address, count="2").status_code == 303
    assert state(world, address) is OrderState.DECLINED
    lines = [(one.refused, one.detail.endswith("too-late")) for one in world.audit if one.who == "luc"]
    assert lines[-2:] == [(False, False), (True, True)]


def test_the_bell_counts_an_order_that_waits_for_a_second_person(world: World) -> None:
    """For whoever sees its structures, on each page, with a link from the state; not once it is declined."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    marie, luc, paul = world.client("marie"), world.client("luc"), world.client("paul")

    def counted(client: Browser) -> str:
        page = client.get("/account").text
        return page.partition('class="bell')[2].partition("</a>")[0].rpartition(">")[2]

    before = counted(luc), counted(paul)
    address = dry_run(marie)
    confirm(marie, address, count="2")
    assert counted(luc) != before[0] and counted(paul) == before[1]
    said = f'<a href="{address}">'
    assert said in luc.get("/").text and said not in paul.get("/").text
    world.clock.at += 5 * 3600
    assert counted(world.client("luc")) == before[0]
