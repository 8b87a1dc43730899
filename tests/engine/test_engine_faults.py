"""The whole way while the world fails: a full disk, a database that is down, a clock that jumps."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from router.contracts import Attempt, Unobserved
from router.engine.retry_policy import RetryPolicy
from router.errors import OperatorFault, Unavailable
from router.exchange import Delivery, State
from router.gateway.intake import Intake
from tests.engine.chain import PSEUDONYMS, Chain, in_order, until
from tests.engine.rig import FAST, Rig, play
from tests.engine.sinks import ScriptedSink, check, delivery
from tests.small_disk import mounted

pytestmark = pytest.mark.timeout(300)
PATIENTS = 4


async def send_all(chain: Chain, intake: Intake, numbers: range) -> list[str]:
    """One after the other per patient, as each sender does; the codes of the answers."""

    async def sender(patient: int) -> None:
        for number in numbers:
            if number % PATIENTS == patient:
                await chain.send(intake, number, patient)

    await asyncio.gather(*(sender(patient) for patient in range(PATIENTS)))
    return [chain.acks[number] for number in numbers]


def patients(numbers: range) -> dict[int, int]:
    return {number: number % PATIENTS for number in numbers}


# --------------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 12 MB."""
    with mounted(tmp_path / "disk", 12) as folder:
        yield folder


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return path


def test_a_full_disk_is_told_to_the_sender_and_nothing_is_half_stored(small_disk: Path) -> None:
    """AR while there is no room; what was acknowledged before is delivered once there is; the rest when sent again."""
    chain = Chain(small_disk, sink=ScriptedSink(behaviour=lambda _d, _a: 0.01, on_unknown="verify"))
    note = 50_000

    async def story() -> None:
        async with chain.running() as intake:
            await send_all(chain, intake, range(60))
            await until(lambda: len(chain.delivered) > 5)
            filler, last = fill(small_disk), 60
            while (await chain.send(intake, last, last % PATIENTS, note)).code == "AA":
                last += 1  # what was made free inside the files is used up first
                assert last < 400, "a disk of 12 MB took 17 MB"
            filler.unlink()
            assert (await chain.send(intake, last, last % PATIENTS, note)).code == "AA"
            await send_all(chain, intake, range(last + 1, last + 21))
            await until(lambda: set(chain.delivered) == chain.acknowledged())
            stored = list(intake.bus.scan("in.f"))
            assert len(stored) == len({record.headers["id"] for record in stored}) == last + 21
            assert all(record.value.endswith(b"x\r" if len(record.value) > note else b"|\r") for record in stored)

    asyncio.run(asyncio.wait_for(story(), 100))
    assert chain.acknowledged() == set(chain.acks)
    assert in_order(chain.delivered, patients(range(len(chain.acks))))


# ------------------------------------------------------------------------------------------ the database


def test_while_the_database_is_down_the_gateway_acknowledges_and_nothing_is_lost(tmp_path: Path) -> None:
    """No stage goes on without the ledger; when it is back all that was acknowledged is delivered once, in order."""
    chain = Chain(tmp_path, sink=ScriptedSink(behaviour=lambda _d, _a: 0.005))

    async def story() -> None:
        async with chain.running() as intake:
            await send_all(chain, intake, range(40))
            await until(lambda: len(chain.delivered) > 5)
            chain.away.set()
            assert set(await send_all(chain, intake, range(40, 80))) == {"AA"}
            await until(lambda: not any(not call.end for call in chain.sink.calls))
            stalled = len(chain.sink.calls)
            assert set(await send_all(chain, intake, range(80, 100))) == {"AA"}
            assert len(chain.sink.calls) == stalled
            chain.away.clear()
            await until(lambda: len(chain.delivered) >= 100)

    asyncio.run(asyncio.wait_for(story(), 100))
    assert set(chain.delivered) == chain.acknowledged() == set(range(100))
    assert in_order(chain.delivered, patients(range(100)))


def test_a_database_that_refuses_us_does_not_silence_the_gateway(tmp_path: Path) -> None:
    """Messages are acknowledged while the ledger says that its operator must act: the pipelines' claim decides."""

    class Refusing:
        def acks(self, _ids: Sequence[str]) -> Mapping[str, bytes]:
            raise OperatorFault("LEDGER-28P01", "", "the database refuses our name or password")

    async def story() -> None:
        chain = Chain(tmp_path)
        bus = chain.bus()
        intake = Intake(
            bus=bus,
            ledger=Refusing(),  # type: ignore[arg-type]
            clock=chain.clock,
            pseudonyms=PSEUDONYMS,
            observer=Unobserved(),
        )
        intake.start()
        assert [(await chain.send(intake, n)).code for n in range(2)] == ["AA", "AA"]
        await intake.close(5)
        bus.close()

    asyncio.run(asyncio.wait_for(story(), 30))


# --------------------------------------------------------------------------------------------- the clock


class JumpingClock:
    """The machine's clock, moved by hand: `jump` seconds ahead or back. Time that passes is not moved."""

    def __init__(self) -> None:
        self.jump = 0.0

    def now(self) -> float:
        return time.time() + self.jump

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize("jump", [-400 * 86_400.0, 400 * 86_400.0])
def test_a_clock_that_jumps_loses_and_repeats_nothing(tmp_path: Path, jump: float) -> None:
    """A year ahead or back under way: everything is delivered once, in order, and the next worker goes on."""
    clock = JumpingClock()
    chain = Chain(tmp_path, sink=ScriptedSink(behaviour=lambda _d, _a: 0.002), clock=clock)

    async def story() -> None:
        async with chain.running() as intake:
            await send_all(chain, intake, range(20))
            await until(lambda: len(chain.delivered) > 5)
            clock.jump = jump
            await send_all(chain, intake, range(20, 40))
            repeat = await chain.send(intake, 3, 3)
            assert (repeat.code, repeat.repeat) == ("AA", True)
            await until(lambda: len(chain.delivered) >= 30)
        async with chain.running() as intake:
            await send_all(chain, intake, range(40, 60))
            await until(lambda: len(chain.delivered) >= 60)

    asyncio.run(asyncio.wait_for(story(), 100))
    assert set(chain.delivered) == set(range(60))
    assert in_order(chain.delivered, patients(range(60)))


@pytest.mark.parametrize("jump", [-30 * 86_400.0, 30 * 86_400.0])
def test_a_jump_neither_spends_the_patience_of_a_lane_nor_makes_it_wait_for_ever(jump: float) -> None:
    """A full mailbox is tried again after its own wait, also by the next worker, and not given up for a jump."""
    clock = JumpingClock()
    policy = RetryPolicy(**{**FAST.model_dump(), "budget_hours": 1.0})

    def full(_delivery: Delivery, attempt: Attempt) -> Exception | None:
        return Unavailable("MSS-452", circuit=False) if attempt.number < 6 else None

    async def story(rig: Rig) -> None:
        rig.sink.behaviour = full
        rig.publish(delivery(1, "full"), delivery(2, "full"))
        async with rig.running(policy=policy, clock=clock):
            await rig.until(lambda: len(rig.sink.calls) == 2, 20)
            clock.jump = jump
            await rig.until(lambda: len(rig.sink.calls) >= 3, 20)
        clock.jump = -jump
        async with rig.running(policy=policy, clock=clock):
            await rig.until(lambda: all(rig.state(d) is State.DONE for d in rig.published), 20)

    rig = play(story)
    check(rig.sink.calls, rig.published)
