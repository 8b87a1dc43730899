"""Dead letters by cause, and the orders about them: tried dry, frozen, confirmed by their number, worked off once."""

from __future__ import annotations

import re
import sys
import time

import httpx
import pytest

from router.audit.event import Action
from router.console.orders import ItemState, OrderState
from router.console.runner import FIRST, MANY
from router.errors import Refused
from router.exchange import State
from tests.console.console_world import PASSWORD, A, B, Browser, World, text_of, token
from tests.console.sink_worker import dead, full, work

SINK = "mssante.a"


def causes(answer: httpx.Response) -> list[str]:
    return list(dict.fromkeys(re.findall(r'href="/dead-letters/([^"?]+)"', answer.text)))


def dry_run(client: Browser, act: str = "replay", **fields: str) -> str:
    """Its address."""
    (cause,) = causes(client.get("/dead-letters"))
    page = client.get(f"/dead-letters/{cause}")
    answer = client.post("/orders", {"_token": token(page), "cause": cause, "act": act, **fields})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def confirm(client: Browser, address: str, **fields: str) -> httpx.Response:
    form = {"_token": token(client.get(address)), "do": "confirm", "reason": "boîte vidée", **fields}
    return client.post(address, form)


def worked_off(world: World) -> None:
    while world.runner.step():
        pass


def test_a_cause_is_one_row_with_what_repairs_it(world: World) -> None:
    """How many, since when, what to do; each leads to its dead letters, and they to their messages."""
    ids = dead(world, 3, sink=SINK, structure=A)
    client = world.client("marie")
    page = client.get("/dead-letters")
    assert "3 dead letters, 1 cause, 1 new" in text_of(page)
    (cause,) = causes(page)
    group = client.get(f"/dead-letters/{cause}")
    assert "MSS-552" in group.text and "What to do" in group.text
    assert len(re.findall(r'name="delivery" value="(\w+)"', group.text)) == len(ids)


def test_another_hospital_sees_none_of_it(world: World) -> None:
    """Neither in the list, nor by the address of the cause or the order: the answer is that of something unknown."""
    dead(world, 2, sink=SINK, structure=A)
    mine, other = world.client("marie"), world.client("paul")
    (cause,) = causes(mine.get("/dead-letters"))
    address = dry_run(mine)
    assert "No dead letter" in other.get("/dead-letters").text
    assert other.get(f"/dead-letters/{cause}").status_code == 404
    assert other.get(address).status_code == other.get("/orders/unknown").status_code == 404
    assert "/orders/" not in other.get("/orders").text


def test_a_reader_looks_and_orders_nothing(world: World) -> None:
    """No button; and the form is refused whoever makes it."""
    dead(world, 2, sink="mssante.b", structure=B)
    reader = world.client("paul")
    page = reader.get("/dead-letters")
    (cause,) = causes(page)
    assert "Dry run" not in reader.get(f"/dead-letters/{cause}").text
    form = {"_token": token(page), "cause": cause, "act": "replay"}
    assert reader.post("/orders", form).status_code == 403


def test_a_replay_is_tried_confirmed_by_its_number_and_done(world: World) -> None:
    """A dry run orders nothing; a wrong number is refused and kept; then each goes out, and the page tells it."""
    ids = dead(world, 3, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    assert "3 of 3 would be ordered" in text_of(client.get(address))
    wrong = confirm(client, address, count="2")
    assert wrong.status_code == 422 and 'value="2"' in wrong.text
    assert not world.runner.step()
    assert confirm(client, address, count="3").headers["location"] == address
    worked_off(world)
    work(world, SINK, ids, State.DONE)
    page = text_of(client.get(address))
    assert "3 of 3 ordered" in page and "all ordered" in page and "delivered 3" in page
    ordered = [event for event in world.audit if event.action is Action.REPLAYED]
    assert [(event.who, event.structure, event.reason) for event in ordered] == [("marie", A, "boîte vidée")]
    assert "No dead letter." in client.get("/dead-letters").text


def test_a_replay_that_failed_again_does_not_end_green(world: World) -> None:
    """The order and the list say that it failed again, each row names its message, its recipient and the new cause."""
    ids = dead(world, 1, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    tried = text_of(client.get(address))
    assert "MSS-552" in tried and SINK in tried
    confirm(client, address)
    worked_off(world)
    now = time.time()
    work(world, SINK, ids, State.DEAD, fault=lambda _d, _a: Refused("MSS-550", "RCPT", "inconnue"), since=now)
    for page in (text_of(client.get(address)), text_of(client.get("/orders"))):
        assert "failed again" in page and "all ordered" not in page
    assert "MSS-550" in text_of(client.get(address))


def test_what_comes_after_the_dry_run_is_not_in_it(world: World) -> None:
    """It is said, and stays a dead letter."""
    ids = dead(world, 2, sink=SINK, structure=A)
    client = world.client("marie")
    world.clock.at = time.time()
    address = dry_run(client)
    late = dead(world, 4, sink=SINK, structure=A, start=10)
    assert "4 newer ones came since; they are not included" in text_of(client.get(address))
    confirm(client, address, count="2")
    worked_off(world)
    work(world, SINK, ids, State.DONE)
    rows = world.desk.rows([*ids, *late])
    assert {rows[id_].state for id_ in late} == {State.DEAD}


def test_confirming_twice_orders_once(world: World) -> None:
    """Enter twice, back, another tab: the second leads to what the first began."""
    dead(world, 2, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    form = {"_token": token(client.get(address)), "do": "confirm", "reason": "x", "count": "2"}
    assert [client.post(address, form).headers["location"] for _ in range(2)] == [address, address]
    assert sum(event.action is Action.REPLAYED for event in world.audit) == 1
    worked_off(world)
    order = world.store.orders.order(address.rpartition("/")[2])
    assert order is not None and order.state is OrderState.DONE


@pytest.mark.parametrize("change", ["time", "pipelines"])
def test_an_old_dry_run_is_not_confirmed(world: World, change: str) -> None:
    """After fifteen minutes, or when the configuration changed, it says nothing about now."""
    dead(world, 1, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    form = {"_token": token(client.get(address)), "do": "confirm", "reason": "x"}
    if change == "time":
        world.clock.at += 901
    else:
        path = world.services.site.path
        path.write_text(path.read_text() + "\n# changed\n")
    assert client.post(address, form).status_code == 422
    assert "make a new one" in text_of(client.get(address))
    assert not world.runner.step()


def test_a_discard_needs_a_reason_without_the_patient(world: World) -> None:
    """Others read it, and it is kept: a number or a date of birth is refused."""
    ids = dead(world, 1, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client, "discard")
    for reason, said in (
        ("", "a reason is needed"),
        ("née le 31/01/1950", "date of birth"),
        ("INS 269054958815780", "number of a patient"),
    ):
        answer = confirm(client, address, reason=reason)
        assert answer.status_code == 422 and said in answer.text
        assert not reason or reason not in answer.text
    assert confirm(client, address).status_code == 303
    worked_off(world)
    work(world, SINK, ids, State.SUPERSEDED)


def test_the_first_ones_that_fail_again_ask_a_person(world: World) -> None:
    """More than a hundred: ten go alone; when they fail, the others wait until somebody says so."""
    ids = dead(world, MANY + 1, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    confirm(client, address, count=str(len(ids)))
    now = time.time()
    assert world.runner.step() and not world.runner.step()
    first = [item.dead_letter.delivery_id for item in world.store.orders.items(address.rpartition("/")[2], limit=FIRST)]
    work(world, SINK, first, State.DEAD, fault=full, since=now)
    world.runner.step()
    page = client.get(address)
    assert "The first ones failed again" in page.text and f"{FIRST} of {MANY + 1} ordered" in text_of(page)
    client.post(address, {"_token": token(page), "do": "resume"})
    worked_off(world)
    assert f"{MANY + 1} of {MANY + 1} ordered" in text_of(client.get(address))


def test_an_order_stops_goes_on_and_survives_a_restart(world: World) -> None:
    """Each step is kept: another process takes it up where it was."""
    dead(world, 60, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    confirm(client, address, count="60")
    assert world.runner.step()
    page = client.get(address)
    client.post(address, {"_token": token(page), "do": "stop"})
    assert not world.runner.step()
    assert "50 of 60 ordered" in text_of(client.get(address))
    client.post(address, {"_token": token(page), "do": "resume"})
    other = type(world.runner)(world.store.orders, world.desk, world.access.ordered, world.clock)
    assert other.step() and "60 of 60 ordered" in text_of(client.get(address))


def test_many_are_confirmed_with_the_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sits down at an open screen orders nothing big."""
    monkeypatch.setattr("router.console.pages.orders.AGAIN_ABOVE", 1)
    dead(world, 2, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    assert confirm(client, address, count="2", password="wrong").status_code == 422
    assert confirm(client, address, count="2", password=PASSWORD).status_code == 303


def test_a_cause_is_known_muted_and_comes_back(world: World) -> None:
    """What a person says is shown; a muted cause is back after its time; a note names no patient."""
    dead(world, 1, sink=SINK, structure=A)
    client = world.client("marie")
    (cause,) = causes(client.get("/dead-letters"))

    def say(**fields: str) -> int:
        page = client.get(f"/dead-letters/{cause}")
        return client.post(
            f"/dead-letters/{cause}", {"_token": token(page), "note": "vu avec le labo", **fields}
        ).status_code

    assert say(said="known") == 303
    assert "vu avec le labo" in client.get("/dead-letters").text
    assert say(said="muted", days="7") == 303
    assert "1 muted cause" in text_of(client.get("/dead-letters"))
    world.clock.at += 8 * 86_400
    client = world.client("marie")
    assert "came back" in text_of(client.get("/dead-letters"))
    assert say(said="repaired") == 303
    assert say(said="muted", days="400") == 422
    assert say(said="known", note="M. Dupont 31/01/1950") == 422


def test_an_order_whose_process_ended_before_it_was_noted_sends_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process finds what the order did, tells it as ordered, and writes nothing again."""
    ids = dead(world, 1, sink=SINK, structure=A)
    client = world.client("marie")
    address = dry_run(client)
    confirm(client, address)
    with monkeypatch.context() as patched:
        patched.setattr(world.store.orders, "settle", lambda *_: sys.exit(9))
        with pytest.raises(SystemExit):
            world.runner.step()
    now = time.time()
    work(world, SINK, ids, State.DEAD, fault=full, since=now)
    world.clock.at += 61
    other = type(world.runner)(world.store.orders, world.desk, world.access.ordered, world.clock)
    while other.step():
        pass
    page = text_of(client.get(address))
    assert "REPLAY-CHANGED" not in page, page[page.index("Order about") :]
    order = world.store.orders.order(address.rpartition("/")[2])
    assert order is not None and order.state is OrderState.DONE
    assert [(one.state, one.count) for one in world.store.orders.tally(order.id)] == [(ItemState.ORDERED, 1)]
    assert [row.attempts for row in world.desk.rows(ids).values()] == [2]


def test_two_orders_of_one_set_send_once(world: World) -> None:
    """Two people try the same set dry and confirm both: what the first order tried is not tried by the second."""
    ids = dead(world, 1, sink=SINK, structure=A)
    client, other = world.client("marie"), world.client("jeanne")
    first, second = dry_run(client), dry_run(other)
    confirm(client, first)
    worked_off(world)
    work(world, SINK, ids, State.DEAD, fault=full, since=time.time())
    confirm(other, second)
    worked_off(world)
    assert "REPLAY-CHANGED" in other.get(second).text
    assert [row.attempts for row in world.desk.rows(ids).values()] == [2]
