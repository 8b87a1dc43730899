"""How many attempts may start: what is in flight, what is reserved, the circuit and the rate."""

from __future__ import annotations

from router.contracts import Row
from router.engine.delivery.circuit import Breaker
from router.engine.delivery.lanes import Lanes
from router.engine.delivery.start_gate import StartGate
from router.engine.retry_policy import RetryPolicy
from router.exchange import Origin
from tests.engine.sinks import delivery


class Hand:
    """A clock that the test moves."""

    at = 100.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def gate(**policy: object) -> tuple[StartGate, Lanes, Breaker, Hand]:
    chosen = RetryPolicy.model_validate(policy)
    lanes, breaker, clock = Lanes(), Breaker(chosen), Hand()
    return StartGate(chosen, breaker, lanes, clock), lanes, breaker, clock


def arrive(lanes: Lanes, number: int) -> None:
    made = delivery(number, f"lane-{number}", payload=b"")
    lanes.add(Row(delivery=made, partition=0, sequence=number, bytes_at=Origin("out.s", 0, number)))


def test_what_is_in_flight_or_reserved_leaves_fewer_places() -> None:
    """Rows that are being opened as `begun` have their places before they are in flight; after that they count once."""
    starts, lanes, _, _ = gate(max_in_flight=4)
    arrive(lanes, 1)
    assert len(lanes.take(0.0, starts.free())) == 1
    assert starts.free() == 3
    with starts.reserve(2):
        assert starts.free() == 1
    assert starts.free() == 3


def test_the_rate_counts_attempts_that_started() -> None:
    """With one attempt a second and two saved up, the third has to wait for its second."""
    starts, lanes, _, clock = gate(per_second=1.0, burst=2)
    for number in range(3):
        arrive(lanes, number)
    for _ in lanes.take(0.0, starts.free()):
        starts.started()
    assert (starts.free(), lanes.in_flight) == (0, 2)
    assert starts.next_look() == clock.at + 1.0
    clock.at += 1.0
    assert starts.free() == 1


def test_a_half_open_circuit_lets_one_attempt_try() -> None:
    """While it is open nothing starts; after a probe one attempt does, and a second only when that trial is over."""
    starts, _, breaker, clock = gate(max_in_flight=4)
    breaker.failed("DOWN", clock.at)
    assert (starts.free(), starts.next_look()) == (0, None)
    breaker.probed()
    assert starts.free() == 1
    assert starts.started()
    assert starts.free() == 0
    starts.trial_over()
    assert starts.free() == 1
