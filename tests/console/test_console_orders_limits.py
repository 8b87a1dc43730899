"""What nobody gets round with an order: words of one's own in the audit, a stopped order that is kept for later, dry
runs without end.
"""

from __future__ import annotations

from sqlalchemy import func, select

from router.access.person import Person
from router.audit.event import Action
from router.console.cases import NEW
from router.console.casework import ShownCase, page
from router.console.orders import KEPT_PLANS, VALID, OrderState
from router.console.tables import ITEMS, ORDERS
from router.console.worklists import Case
from router.engine.dead_letters.listing import DeadLetter
from router.engine.dead_letters.operator_commands import Answer
from router.exchange import Origin, State
from tests.console.console_world import PEOPLE, A, World, text_of, token
from tests.console.sink_worker import dead, work
from tests.console.test_console_dead_letters import SINK, confirm, dry_run, worked_off
from tests.console.test_console_two_names import asked_by, program, state
from tests.console.test_console_two_people import above

FORGED = "second-person-for=jeanne"


def planned(world: World, who: str) -> str:
    """A dry run of one dead letter."""
    letter = DeadLetter("sink", "c", "X", Origin("dlq.s", 0, 0), structure=A)
    by = Person(id=world.id_of(who), name=who, rights=PEOPLE[who])
    answers = [Answer(dead_letter=letter, accepted=True, text="")]
    return world.store.orders.plan(by, "discard", answers, again=False, cause="c", query="", digest="d")


def test_a_form_writes_no_words_of_its_own_into_the_audit(world: World) -> None:
    """A discard that is taken back is of the cause of its order, whatever cause the form names."""
    ids = dead(world, 1, sink=SINK, structure=A)
    marie = world.client("marie")
    discarded = dry_run(marie, "discard")
    confirm(marie, discarded)
    worked_off(world)
    work(world, SINK, ids, State.SUPERSEDED)
    form = {"_token": token(marie.get(discarded)), "act": "take-back", "of": discarded.rpartition("/")[2]}
    back = marie.post("/orders", form | {"cause": FORGED, "again": "1", "sink": FORGED}).headers["location"]
    confirm(marie, back)
    worked_off(world)
    first, second = (world.store.orders.order(one.rpartition("/")[2]) for one in (discarded, back))
    assert first is not None and second is not None
    assert (second.cause, second.again, second.query) == (first.cause, False, "")
    (line,) = (one for one in world.audit if one.action is Action.TAKEN_BACK)
    assert line.detail == f"1 of 1 {first.cause}"


def test_what_is_no_replay_is_not_decided_again(world: World) -> None:
    """The audit does not say so of a discard."""
    dead(world, 1, sink=SINK, structure=A)
    marie = world.client("marie")
    confirm(marie, dry_run(marie, "discard", again="1"))
    (line,) = (one for one in world.audit if one.action is Action.DISCARDED)
    assert not line.detail.endswith("again")


def test_orders_that_were_stopped_do_not_go_on_together_by_one_person(world: World) -> None:
    """Each began in an hour of its own; they count in the hour in which they go on. A colleague may go on with them."""
    dead(world, 4, sink=SINK, structure=A)
    above(world, 3)
    marie = world.client("marie")
    first = dry_run(marie, "discard", first="2")
    confirm(marie, first, count="2")
    marie.post(first, {"_token": token(marie.get(first)), "do": "stop"})
    world.clock.at += 3601
    marie = world.client("marie")
    second = asked_by(program(world, "robot", "marie"), 2)
    answer = marie.post(first, {"_token": token(marie.get(first)), "do": "resume"})
    assert answer.status_code == 409 and "a colleague may go on with it" in text_of(answer)
    assert [state(world, one) for one in (first, second)] == [OrderState.STOPPED, OrderState.RUNNING]
    told = program(world, "other", "marie").send(f"/api{first}/resume", {})
    assert told.status_code == 409 and "a colleague may go on with it" in told.text
    assert world.audit[-1].refused and "resume" in world.audit[-1].detail
    luc = world.client("luc")
    assert luc.post(first, {"_token": token(luc.get(first)), "do": "resume"}).status_code == 303
    assert state(world, first) is OrderState.RUNNING


def test_an_order_that_goes_on_in_its_hour_counts_once(world: World) -> None:
    """Stopped and resumed as often as one likes; in a later hour too, where nothing else was ordered."""
    dead(world, 3, sink=SINK, structure=A)
    above(world, 3)
    marie = world.client("marie")
    address = dry_run(marie, "discard")
    confirm(marie, address, count="3")
    for later in (0, 0, 3601):
        world.clock.at += later
        marie = world.client("marie")
        for does, there in (("stop", OrderState.STOPPED), ("resume", OrderState.RUNNING)):
            marie.post(address, {"_token": token(marie.get(address)), "do": does})
            assert state(world, address) is there


def test_what_two_people_confirmed_goes_on_by_either(world: World) -> None:
    """It is no order of one person, and counts for nobody."""
    dead(world, 2, sink=SINK, structure=A)
    above(world, 1)
    marie, luc = world.client("marie"), world.client("luc")
    address = dry_run(marie, "discard")
    confirm(marie, address, count="2")
    confirm(luc, address, count="2")
    for does in ("stop", "resume"):
        marie.post(address, {"_token": token(marie.get(address)), "do": does})
    assert state(world, address) is OrderState.RUNNING


def test_dry_runs_that_nobody_confirms_fill_no_disk(world: World) -> None:
    """Of one person the last ones are kept, and of everybody those of the last hours; orders stay."""
    ordered = planned(world, "marie")
    assert world.store.orders.confirm(ordered, "essai")
    others = planned(world, "luc")
    made = []
    for _ in range(KEPT_PLANS + 3):
        world.clock.at += 1
        made.append(planned(world, "marie"))
    assert [world.store.orders.order(one) is not None for one in made] == [False] * 3 + [True] * KEPT_PLANS
    assert world.store.orders.order(others) is not None
    world.clock.at += 20 * VALID
    last = planned(world, "marie")
    with world.store.orders._database.read() as db:
        assert {*db.execute(select(ORDERS.c.id)).scalars()} == {ordered, last}
        assert db.execute(select(func.count()).select_from(ITEMS)).scalar() == 2


def test_cases_of_nearly_one_moment_stand_each_on_one_page() -> None:
    """A tenth of a microsecond between two cases hides none of them from the next page."""
    cases = [
        ShownCase(Case(list="waiting", id=id_, ask="", since=since, code="", structure=A), NEW)
        for id_, since in (("z", 1_790_000_000.0000001), ("a", 1_790_000_000.0000004))
    ]
    first, after = page(cases, 1, "")
    second, last = page(cases, 1, after)
    assert sorted(one.case.id for one in (*first, *second)) == ["a", "z"] and last == ""
