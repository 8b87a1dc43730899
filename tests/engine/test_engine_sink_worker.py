"""The sink worker against a bus and a ledger in memory: order, retry, outage, unknown outcomes, overtaking."""

from __future__ import annotations

import asyncio

import pytest

from router.contracts import Attempt, Header, Outcome, Record
from router.engine.delivery.circuit import Circuit
from router.engine.delivery.worker_settings import Limits
from router.engine.retry_policy import CodePolicy
from router.errors import OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.exchange import Delivery, Disposition, Origin, ReceiptKind, State
from tests.engine.rig import FAST, Rig, play
from tests.engine.sinks import ScriptedSink, check, delivery
from tests.typed import present


def test_delivers_in_order_per_lane_and_once() -> None:
    """Two hundred deliveries of twenty lanes all arrive once, in order within their lane, with a receipt each."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 0.001
        rig.publish(*(delivery(n, f"lane-{n % 20}") for n in range(200)))
        async with rig.running() as worker:
            await rig.settled()
            assert worker.condition().inversions == 0

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert len(rig.sink.delivered) == 200
    final = [r for d in rig.published for r in rig.receipts(d) if r.kind is ReceiptKind.DELIVERY]
    assert len(final) == 200
    assert {r.disposition for r in final} == {Disposition.DELIVERED}
    assert final[0].context == {"size": "7"}
    assert final[0].evidence == {"message_id": final[0].delivery_id}


def test_begun_is_durable_before_the_effect() -> None:
    """When the sink is called, the ledger already says that the delivery has begun."""
    seen: list[State | None] = []

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: seen.append(rig.state(d))
        rig.publish(*(delivery(n, f"lane-{n % 3}") for n in range(9)))
        async with rig.running():
            await rig.settled()

    play(story)
    assert seen == [State.BEGUN] * 9


def test_slow_lane_does_not_delay_others() -> None:
    """While one lane's head takes a second, fifty other lanes are served at once."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 1.0 if d.lane == "slow" else None
        rig.publish(delivery(0, "slow"), *(delivery(n, f"lane-{n}") for n in range(1, 51)))
        async with rig.running():
            await rig.until(lambda: len(rig.sink.delivered) == 50, 0.8)
            assert rig.state(rig.published[0]) is State.BEGUN
            await rig.settled()

    play(story)


def test_full_mailbox_waits_in_its_lane_only() -> None:
    """A lane in back-off keeps its order and is retried; the other lanes do not notice."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: (
            Unavailable("MSS-452", circuit=False) if d.lane == "full" and a.number < 4 else None
        )
        rig.publish(*(delivery(n, "full" if n % 2 else "fine") for n in range(10)))
        async with rig.running():
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    head = rig.published[1]
    assert [c.attempt.number for c in rig.sink.calls if c.delivery.id == head.id] == [1, 2, 3, 4]
    attempts = [r for r in rig.receipts(head) if r.kind is ReceiptKind.ATTEMPT]
    assert [r.code for r in attempts] == ["MSS-452"] * 3
    assert not list(rig.bus.scan("dlq.s"))


def test_refused_is_dead_lettered_at_once_with_its_story() -> None:
    """A refusal makes a dead letter with the payload untouched and headers that say why and what to do."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Refused("MSS-550", "RCPT", "no such mailbox") if d.lane == "bad" else None
        rig.publish(delivery(1, "bad", payload=b"\x00original"), delivery(2, "bad"), delivery(3, "good"))
        async with rig.running():
            await rig.settled(State.DONE, State.DEAD)

    rig = play(story)
    letters = list(rig.bus.scan("dlq.s"))
    assert [dead_letter.value for dead_letter in letters] == [b"\x00original", b"payload"]
    headers = letters[0].headers
    assert (headers[Header.CODE], headers[Header.PLACE], headers[Header.ATTEMPTS]) == ("MSS-550", "RCPT", "1")
    assert headers[Header.CAUSE] == letters[1].headers[Header.CAUSE]
    assert headers[Header.NEXT]
    row = rig.ledger.rows[rig.published[0].id]
    assert present(rig.bus.read(row.bytes_at)).value == b"\x00original"
    (proof,) = rig.receipts(rig.published[0])
    assert (proof.ok, proof.disposition, proof.place) == (False, Disposition.DEAD_LETTERED, "RCPT")


def test_budget_spent_is_a_dead_letter() -> None:
    """A lane that waited longer than its budget gives up, and the lane goes on."""
    policy = FAST.model_copy(update={"budget_hours": 0.06 / 3600})

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: Unavailable("MSS-452", circuit=False) if d.id == rig.published[0].id else None
        rig.publish(delivery(1, "full"), delivery(2, "full"))
        async with rig.running(policy=policy):
            await rig.settled(State.DONE, State.DEAD)

    rig = play(story)
    assert [rig.state(d) for d in rig.published] == [State.DEAD, State.DONE]
    assert rig.ledger.rows[rig.published[0].id].attempts >= 3


@pytest.mark.parametrize(
    ("then", "fault", "state"),
    [
        ("refuse", Unavailable("MSS-452", circuit=False), State.DEAD),
        ("hold", Unavailable("MSS-452", circuit=False), State.PARKED),
        ("hold", Refused("MSS-452"), State.PARKED),
        ("retry", Refused("MSS-452"), State.DONE),
    ],
)
def test_operations_decide_by_code(then: str, fault: Exception, state: State) -> None:
    """The table of codes overrides what the sink thought: retry, refuse or hold."""
    policy = FAST.model_copy(update={"codes": (CodePolicy(code="MSS-4*", then=then),)})

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _, a: fault if a.number == 1 else None
        rig.publish(delivery(1))
        async with rig.running(policy=policy):
            await rig.settled(state)

    play(story)


def test_outage_dead_letters_nothing() -> None:
    """While the server is down the circuit is open and nothing is lost; when it returns all is delivered in order."""

    async def story(rig: Rig) -> None:
        rig.sink.down = True
        rig.sink.behaviour = lambda _d, _a: Unavailable("REFUSED") if rig.sink.down else None
        rig.publish(*(delivery(n, f"lane-{n % 5}") for n in range(50)))
        policy = FAST.model_copy(update={"budget_hours": 0.001 / 3600})
        async with rig.running(policy=policy) as worker:
            await rig.until(lambda: rig.sink.probes >= 3)
            assert worker.condition().circuit is Circuit.OPEN
            assert len(rig.sink.calls) <= 5
            rig.sink.down = False
            await rig.settled()
            assert worker.condition().circuit is Circuit.CLOSED

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert not list(rig.bus.scan("dlq.s"))
    assert rig.alerts == ["circuit-open", "circuit-closed"]


@pytest.mark.parametrize("seen", [True, False], ids=["by the probe", "by deliveries alone"])
def test_our_own_fault_opens_the_circuit(seen: bool) -> None:
    """A certificate problem is nobody's message: nothing is dead-lettered, whatever the budget."""

    async def story(rig: Rig) -> None:
        rig.sink.down = seen
        rig.sink.behaviour = lambda _d, _a: OperatorFault("TLS-EXPIRED") if len(rig.sink.calls) < 30 else None
        rig.publish(*(delivery(n, f"lane-{n}") for n in range(5)))
        async with rig.running(policy=FAST.model_copy(update={"budget_hours": 0.001 / 3600})):
            await rig.until(lambda: "circuit-open" in rig.alerts)
            rig.sink.down, rig.sink.behaviour = False, lambda _d, _a: None
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert not list(rig.bus.scan("dlq.s"))


POISON = [OperatorFault("DMP-AUTHENTIFICATION"), OperatorFault("DMP-HTTP-403"), Unavailable("DMP-HTTP-503")]


@pytest.mark.parametrize("fault", POISON, ids=lambda fault: fault.code)
def test_a_delivery_that_fails_alone_is_its_own_trouble(fault: RouterError) -> None:
    """One content that the destination can't bear: others pass, its lane waits, its wait has an end (promise 11)."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _a: fault if d.lane == "poison" else 0.002
        rig.publish(delivery(0, "poison"), *(delivery(n, f"lane-{n % 20}") for n in range(1, 200)))
        async with rig.running(policy=FAST.model_copy(update={"budget_hours": 0.05 / 3600, "max_in_flight": 2})):
            await rig.settled(State.DEAD, State.DONE)

    rig = play(story)
    assert len(rig.sink.delivered) == 199
    assert [dead_letter.headers[Header.CODE] for dead_letter in rig.bus.scan("dlq.s")] == [fault.code]
    opened = rig.alerts.count("circuit-open")
    assert opened == 0 if isinstance(fault, OperatorFault) else opened <= 1
    assert sum(call.delivery.lane == "poison" for call in rig.sink.calls) < 15


def test_a_delivery_that_fails_alone_at_night_loses_nothing() -> None:
    """Nobody else shows that the destination is well: its lane waits, uncounted, until it is mended."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: OperatorFault("CONFIG") if len(rig.sink.calls) < 6 else None
        rig.publish(delivery(1))
        async with rig.running(policy=FAST.model_copy(update={"budget_hours": 0.001 / 3600})):
            await rig.settled()

    rig = play(story)
    assert "circuit-open" not in rig.alerts and not list(rig.bus.scan("dlq.s"))


def test_bugs_of_a_sink_have_a_budget() -> None:
    """After ten unexpected errors in a row the circuit opens instead of emptying the topic into the dead letters."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: KeyError("secret")
        rig.publish(*(delivery(n, f"lane-{n}") for n in range(40)))
        async with rig.running(policy=FAST.model_copy(update={"max_in_flight": 1})):
            await rig.until(lambda: "circuit-open" in rig.alerts)
            await asyncio.sleep(0.2)

    rig = play(story)
    letters = list(rig.bus.scan("dlq.s"))
    assert len(letters) == 9
    assert {dead_letter.headers[Header.CODE] for dead_letter in letters} == {"BUG-KeyError"}
    assert not any("secret" in str(dead_letter.headers) for dead_letter in letters)


@pytest.mark.parametrize(("happened", "calls"), [(True, 1), (False, 2)])
def test_unknown_is_verified(happened: bool, calls: int) -> None:
    """A sink that can verify delivers again only if the effect did not happen."""

    async def story(rig: Rig) -> None:
        def cut(d: Delivery, a: Attempt) -> Exception | None:
            if a.number > 1:
                return None
            if happened:
                rig.sink.truth[d.id] = 1
            return OutcomeUnknown("CUT")

        rig.sink.behaviour = cut
        rig.publish(delivery(1), delivery(2))
        async with rig.running():
            await rig.settled()

    rig = play(story, ScriptedSink(on_unknown="verify"))
    first = rig.published[0].id
    assert rig.sink.verified[0] == first
    assert len([c for c in rig.sink.calls if c.delivery.id == first]) == calls
    assert rig.sink.truth[first] == 1


def test_a_verification_that_finds_nobody_is_made_again() -> None:
    """What is unknown stays so: to deliver again instead could make the effect twice."""

    class Shy(ScriptedSink):
        asked = 0

        async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
            self.asked += 1
            if self.asked < 3:
                raise Unavailable("NOT-YET", circuit=False)
            return await super().verify(delivery, attempt)

    def cut(d: Delivery, _: object) -> Exception:
        sink.truth[d.id] = 1
        return OutcomeUnknown("CUT")

    async def story(rig: Rig) -> None:
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled()

    sink = Shy(on_unknown="verify", behaviour=cut)
    play(story, sink)
    assert (len(sink.calls), sink.asked) == (1, 3)


def test_unknown_is_repeated_with_the_same_identifiers() -> None:
    """A sink that repeats is told that an earlier attempt may have succeeded."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, a: OutcomeUnknown("CUT") if a.number == 1 else None
        rig.publish(delivery(1))
        async with rig.running():
            await rig.settled()

    calls = play(story).sink.calls
    assert [c.attempt.unknown for c in calls] == [False, True]
    assert calls[0].delivery.id == calls[1].delivery.id


def test_unknown_is_held_for_a_person() -> None:
    """A sink that holds parks the delivery and its lane until a person replays it."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, a: OutcomeUnknown("CUT") if a.number == 1 and _d.label == "cut" else None
        rig.publish(delivery(1, label="cut"), delivery(2))
        async with rig.running():
            await rig.until(lambda: rig.state(rig.published[0]) is State.PARKED)
            await asyncio.sleep(0.1)
            assert rig.sink.delivered == []
            assert "held" in rig.alerts
            rig.command(rig.published[0], "replay")
            await rig.settled()

    rig = play(story, ScriptedSink(on_unknown="hold"))
    check(rig.sink.calls, rig.published)
    assert rig.sink.calls[1].attempt.unknown


def test_restart_takes_over_what_was_left() -> None:
    """A worker that starts finds rows that were begun and verifies them, and delivers what was only ready."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: 3600.0 if d.label == "hang" and a.number == 1 else None
        rig.publish(delivery(1, label="hang"), delivery(2))
        async with rig.running(limits=Limits(patience=0.1)):
            await rig.until(lambda: len(rig.sink.calls) == 1)
        assert [rig.state(d) for d in rig.published] == [State.BEGUN, State.READY]
        async with rig.running():
            await rig.settled()

    rig = play(story, ScriptedSink(on_unknown="verify"))
    assert rig.sink.verified == [rig.published[0].id]
    assert rig.sink.delivered == [d.id for d in rig.published]


def test_same_delivery_twice_on_the_topic_is_made_once() -> None:
    """A delivery that a producer wrote twice is recognised by its id."""

    async def story(rig: Rig) -> None:
        rig.publish(delivery(1), delivery(1), delivery(2))
        async with rig.running():
            await rig.settled()
            rig.publish(delivery(1), delivery(3))
            await rig.settled()

    assert len(play(story).sink.delivered) == 3


def test_rate_is_respected() -> None:
    """At most so many attempts per second start."""

    async def story(rig: Rig) -> None:
        rig.publish(*(delivery(n, f"lane-{n}") for n in range(10)))
        async with rig.running(policy=FAST.model_copy(update={"per_second": 20.0})):
            await rig.settled()

    calls = play(story).sink.calls
    assert calls[-1].start - calls[0].start >= 9 / 20 - 0.05


def test_window_and_bytes_are_bounded() -> None:
    """With room for ten rows and three payloads, a thousand deliveries still arrive in order."""
    limits = Limits(capacity=10, window=4, bytes=3000, patience=1.0)

    async def story(rig: Rig) -> None:
        rig.publish(*(delivery(n, f"lane-{n % 7}", payload=b"x" * 1000) for n in range(1000)))
        async with rig.running(limits=limits, policy=FAST.model_copy(update={"max_in_flight": 8})):
            await rig.until(lambda: len(rig.sink.delivered) == 1000, 20)
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert {len(c.delivery.payload) for c in rig.sink.calls} == {1000}


def test_bytes_wait_on_the_bus_while_there_is_work_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the budget has no room for is not read, dropped and read again: on Kafka that would be dear."""
    again: list[object] = []

    async def story(rig: Rig) -> None:
        read = rig.bus.read

        def reading(origin: Origin) -> Record | None:
            again.append(origin)
            return read(origin)

        monkeypatch.setattr(rig.bus, "read", reading)
        rig.sink.behaviour = lambda _d, _a: 0.005
        rig.publish(*(delivery(n, f"lane-{n}", payload=b"x" * 1000) for n in range(300)))
        async with rig.running(
            limits=Limits(bytes=20_000, patience=1.0), policy=FAST.model_copy(update={"max_in_flight": 8})
        ) as worker:
            while not rig.finished():
                assert worker.condition().bytes_held <= 20_000
                await asyncio.sleep(0.002)

    play(story)
    assert len(again) <= 8  # heads that were on their way when the last byte was taken


def test_long_wait_leaves_memory_and_returns() -> None:
    """A lane that waits for long gives its bytes to `held`, its rows to the ledger, and comes back in order."""
    limits = Limits(hold_after=0.05, sweep=0.05, patience=1.0)

    async def story(rig: Rig) -> None:
        opened = asyncio.Event()
        rig.sink.behaviour = lambda d, _: Unavailable("MSS-452", circuit=False) if not opened.is_set() else None
        rig.publish(*(delivery(n, "full", payload=b"%d" % n) for n in range(20)))
        async with rig.running(limits=limits) as worker:
            await rig.until(lambda: len(list(rig.bus.scan("held.s"))) == 20)
            await rig.until(lambda: worker.condition().bytes_held == 0)
            rig.publish(delivery(20, "full", payload=b"20"))
            opened.set()
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert rig.ledger.rows[rig.published[5].id].bytes_at.topic == "held.s"
    done = [c for c in rig.sink.calls if c.ok]
    assert [c.delivery.payload for c in done] == [b"%d" % n for n in range(21)]


def test_a_backlog_that_can_not_be_known_any_more_is_told() -> None:
    """Beyond it nothing is read, so a deletion finds nothing: somebody must hear of it, once."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda _d, _a: Unavailable("MSS-452", circuit=False)
        rig.publish(*(delivery(n, "full") for n in range(20)))
        async with rig.running(limits=Limits(window=1, backlog=4, sweep=0.02, patience=1.0)):
            await rig.until(lambda: "backlog-full" in rig.alerts)
            await asyncio.sleep(0.2)
        assert rig.alerts.count("backlog-full") == 1

    play(story)


def test_frozen_worker_does_not_deliver_what_it_lost() -> None:
    """A worker that lost its partitions without being told starts no effect, and its successor finishes."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 0.05
        rig.publish(*(delivery(n, "lane") for n in range(6)))
        old = rig.worker(member="a")
        running = asyncio.create_task(old.run())
        await rig.until(lambda: len(rig.sink.calls) >= 2)
        rig.bus.expel("out.s", "a-s")
        seen = len(rig.sink.calls)
        await asyncio.sleep(0.2)
        assert len(rig.sink.calls) == seen
        old.stop()
        await asyncio.wait_for(running, 5)
        async with rig.running(member="b"):
            await rig.settled()

    rig = play(story, ScriptedSink(on_unknown="verify"))
    check(rig.sink.calls, rig.published)
    assert len(set(rig.sink.delivered)) == 6


def test_rebalance_hands_over_without_repeating() -> None:
    """When a second worker joins, partitions move between effects: all delivered once, in order."""

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, _: 0.005
        rig.publish(*(delivery(n, f"lane-{n % 16}") for n in range(320)))
        async with rig.running(member="a"):
            await rig.until(lambda: len(rig.sink.delivered) > 60)
            other = rig.worker(member="b")
            second = asyncio.create_task(other.run())
            await rig.settled()
            assert other.condition().partitions
            other.stop()
            await asyncio.wait_for(second, 5)

    rig = play(story)
    check(rig.sink.calls, rig.published)
    assert len(rig.sink.delivered) == 320


def test_database_down_delays_and_loses_nothing() -> None:
    """While the ledger is away effects stop; when it returns everything is delivered once."""

    async def story(rig: Rig) -> None:
        rig.publish(*(delivery(n, f"lane-{n % 4}") for n in range(40)))
        rig.sink.behaviour = lambda d, _: 0.002
        async with rig.running():
            await rig.until(lambda: len(rig.sink.delivered) > 8)
            rig.ledger.away = True
            await asyncio.sleep(0.3)
            stalled = len(rig.sink.calls)
            await asyncio.sleep(0.2)
            assert len(rig.sink.calls) == stalled
            rig.ledger.away = False
            await rig.settled()

    rig = play(story)
    check(rig.sink.calls, rig.published)


def test_a_trial_that_is_given_up_leaves_room_for_the_next() -> None:
    """The one delivery that a half-open circuit admits says nothing of the destination: another may try."""
    policy = FAST.model_copy(update={"codes": (CodePolicy(code="ODD", then="refuse"),)})

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = lambda d, a: (
            Unavailable("REFUSED") if len(rig.sink.calls) == 1 else Unavailable("ODD") if d.label == "odd" else None
        )
        rig.publish(delivery(1, label="odd"), delivery(2), delivery(3))
        async with rig.running(policy=policy):
            await rig.settled(State.DONE, State.DEAD)

    rig = play(story)
    assert [rig.state(d) for d in rig.published] == [State.DEAD, State.DONE, State.DONE]


def test_a_trial_whose_partition_leaves_makes_room_for_another() -> None:
    """The trial of a half-open circuit is abandoned with its partition: what stays here is tried."""

    async def story(rig: Rig) -> None:
        lanes = [f"lane-{n}" for n in range(16)]
        rig.sink.behaviour = lambda d, a: (
            Unavailable("REFUSED") if len(rig.sink.calls) == 1 else 3600.0 if len(rig.sink.calls) == 2 else None
        )
        rig.publish(*(delivery(n, lane) for n, lane in enumerate(lanes)))
        async with rig.running(limits=Limits(patience=0.1), policy=FAST.model_copy(update={"max_in_flight": 1})):
            await rig.until(lambda: len(rig.sink.calls) == 2)
            trial = rig.sink.calls[1].delivery.lane
            number = rig.bus.partition_of("out.s", trial)
            rest = [d for d in rig.published if rig.bus.partition_of("out.s", d.lane) != number]
            rig.bus.seats["out.s", "sinks-0-s"] = set(range(4)) - {number}
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in rest))

    play(story)
