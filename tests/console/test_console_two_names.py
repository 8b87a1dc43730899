"""The rule of two persons against one person with two names, and against one who has lost her rights since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from router.access.makers import of_machine
from router.access.person import Person, Role
from router.audit.event import Action
from router.console.orders import OrderState
from router.console.store import ConsoleStore
from tests.console.console_world import API, PASSWORD, A, B, Browser, World, text_of, token
from tests.console.sink_worker import dead
from tests.console.test_console_dead_letters import SINK, confirm, dry_run, worked_off
from tests.console.test_console_two_people import above


def state(world: World, address: str) -> OrderState | None:
    order = world.store.orders.order(address.rpartition("/")[2])
    return order.state if order is not None else None


def id_of(world: World, name: str) -> str:
    """The id of an account."""
    account = world.access.accounts.find(name)
    assert account is not None
    return account.id


def program(world: World, name: str, maker: str) -> Browser:
    """A program of hospital A with a token that this person made."""
    text, _ = world.access.tokens.create(
        name,
        scopes=API,
        expires=world.clock.now() + 3600,
        by=maker,
        rights={A: Role.OPERATOR},
        maker=id_of(world, maker),
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
    """Also where one token made the other, or the command line one for the account of the machine that is called so."""
    ends, marie, luc = world.clock.now() + 3600, id_of(world, "marie"), id_of(world, "luc")

    def made(name: str, maker: str, by: str = "") -> str:
        _, kept = world.access.tokens.create(name, scopes=API, expires=ends, by=by, maker=maker)
        return kept.person.id

    one, other = made("un", marie), made("autre", luc)
    second, third, fourth = made("deux", marie), made("trois", one), made("quatre", "", "marie")
    same = world.access.behind.same
    assert same(one, second) and same(third, second) and same(third, marie)
    assert same(fourth, marie) and same(fourth, of_machine("marie"))
    assert not same(one, other) and not same(marie, luc) and not same(other, marie) and not same(fourth, luc)
    assert not same("", "") and not same("", marie)


def test_who_has_the_name_of_somebody_else_now_is_not_that_person(world: World) -> None:
    """Marie asked, her account was removed, and another Marie has one: she confirms no dry run of hers, what waits for
    a second person is confirmed by nobody, and what the first one ordered does not count against her."""
    dead(world, 4, sink=SINK, structure=A)
    above(world, 3)
    marie = world.client("marie")
    planned, waits = dry_run(marie, "discard", first="2"), dry_run(marie, "discard", first="4")
    confirm(marie, waits, count="4")
    confirm(marie, begun := dry_run(marie, "discard", first="2"), count="2")
    assert (state(world, waits), state(world, begun)) == (OrderState.SECOND, OrderState.RUNNING)
    worked_off(world)
    world.access.accounts.remove("marie")
    world.access.accounts.add("marie", PASSWORD, {A: Role.OPERATOR})
    other, luc = world.client("marie"), world.client("luc")
    form = {"_token": token(other.get("/account")), "do": "confirm", "count": "2", "reason": "vu"}
    assert other.post(planned, form).status_code == 403
    assert confirm(luc, waits, count="4").status_code == 422 and confirm(other, waits, count="4").status_code == 422
    confirm(other, mine := dry_run(other, first="2"), count="2")
    assert state(world, mine) is OrderState.RUNNING


def test_an_order_that_an_older_version_kept_is_confirmed_by_nobody(tmp_path: Path) -> None:
    """It knows its person by name alone: it stays in the list, and may be declined."""
    world = World(tmp_path)
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    address = dry_run(marie := world.client("marie"))
    confirm(marie, address, count="2")
    database = world.store.orders._database
    with database.write() as db:
        for column in ("asker", "second"):
            db.exec_driver_sql(f"ALTER TABLE console_orders DROP COLUMN {column}")
        db.exec_driver_sql("UPDATE schema_versions SET version=2 WHERE room='console'")
    ConsoleStore(world.services.url("console"), world.clock).close()
    assert "marie" in world.client("luc").get("/orders").text
    assert confirm(world.client("luc"), address, count="2").status_code == 422
    luc = world.client("luc")
    luc.post(address, {"_token": token(luc.get("/account")), "do": "decline"})
    assert state(world, address) is OrderState.DECLINED
    world.close()


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
    address = asked_by(program(world, "robot", "marie"), 2)
    world.access.tokens.revoke(world.access.tokens.all()[0].id)
    assert confirm(world.client("luc"), address, count="2").status_code == 422


def test_somebody_of_the_identity_provider_asks_until_she_logs_out(world: World) -> None:
    """She has no account: what her open session says counts."""
    known = world.access.behind.today
    assert known("oidc:5e1f") == []
    person = Person(name="oidc:dr.martin", id="oidc:5e1f", rights={A: Role.OPERATOR})
    secret = world.access.begin(person, "127.0.0.1", local=False)
    assert [one.rights for one in known("oidc:5e1f")] == [{A: Role.OPERATOR}]
    assert known("oidc:dr.martin") == [] and known("") == []
    world.access.end(secret)
    assert known("oidc:5e1f") == []


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

    def meanwhile(id_: str, second: Person, persons: str) -> bool:
        world.store.orders.decline(id_)
        return decided(id_, second, persons)

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
