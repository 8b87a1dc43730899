"""What one peer or one feed holds stops nobody else; who falls silent in the middle of a message gives way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from router.errors import OperatorFault
from router.gateway.intake import Intake
from router.gateway.mllp_listener import MllpListener
from router.gateway.places import enough_descriptors
from router.gateway.settings import MllpConfig
from tests.gateway.gateway_parts import Client, MemoryBus, eventually, hl7, listening, make_intake, relay

pytestmark = pytest.mark.alone

MEBIBYTE = 2**20
HALF = b"\x0bMSH|^~\\&|LAB|HOSP|" + b"x" * 400_000
DOCUMENT = "OBX|1|ED|||" + "x" * 600_000


def play(story: Any) -> None:
    uvloop.run(asyncio.wait_for(story, 60))


async def holder(port: int, data: bytes = HALF, source: str = "127.0.0.2") -> Client:
    """A connection that sends so much, as far as it is read, and then nothing."""
    client = await Client.connect(port, local_addr=(source, 0))
    client.writer.write(data)
    return client


@asynccontextmanager
async def another(intake: Intake, name: str) -> AsyncIterator[MllpListener]:
    """One more listener of the same gateway."""
    listener = MllpListener(MllpConfig(port=0), relay(name=name), intake)
    await listener.start()
    yield listener
    await listener.close(1)


async def slowest(client: Client, message: str, count: int = 5) -> float:
    """Seconds of the slowest of some messages."""
    worst = 0.0
    for number in range(count):
        started = time.monotonic()
        assert (await client.ask(hl7(f"{message}{number}", DOCUMENT)))[1] == f"MSA|AA|{message}{number}"
        worst = max(worst, time.monotonic() - started)
    return worst


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"], ids=["another peer", "the same peer"])
def test_half_frames_hold_up_no_sender(source: str) -> None:
    """175 half frames of 400 kB and silence: on the same feed and on another, answers stay under two seconds."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=64 * MEBIBYTE)
        async with AsyncExitStack() as stack:
            attacked = await stack.enter_async_context(listening(intake))
            other = await stack.enter_async_context(another(intake, "ris"))
            good = [await Client.connect(one.port) for one in (attacked, other)]
            for client in good:
                await slowest(client, "before", 1)
            holders = [await holder(attacked.port, source=source) for _ in range(175)]
            for client in good:
                assert await slowest(client, "a") < 2
            await asyncio.sleep(1.5)
            for client in good:
                assert await slowest(client, "b") < 2
            assert intake.budget.held < 40 * MEBIBYTE
            for one in holders:
                one.close()

    play(story())


def test_what_waits_in_the_socket_of_a_paused_sender_makes_no_place_for_ever() -> None:
    """Half frames with more bytes behind them that we have not read: they are read in turn, found silent, and ended."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=32 * MEBIBYTE)
        async with listening(intake) as listener:
            good = await Client.connect(listener.port)
            holders = [await holder(listener.port, HALF * 2, "127.0.0.1") for _ in range(40)]
            await eventually(lambda: intake.budget.held > 2 * MEBIBYTE)
            assert (await good.ask(hl7("small")))[1] == "MSA|AA|small"
            await eventually(lambda: intake.budget.held < 8 * MEBIBYTE and len(listener.connections) < 15, 15)
            assert await slowest(good, "big") < 2
            for one in holders:
                one.close()

    play(story())


def test_a_feed_that_is_full_leaves_room_for_the_others() -> None:
    """One feed's peers together hold half of the budget at most; a message on another feed is read at once."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=8 * MEBIBYTE)
        async with AsyncExitStack() as stack:
            attacked = await stack.enter_async_context(listening(intake))
            other = await stack.enter_async_context(another(intake, "ris"))
            good = await Client.connect(other.port)
            holders = [await holder(attacked.port, source=f"127.0.0.{2 + number % 20}") for number in range(60)]
            await eventually(lambda: intake.budget.held > 3 * MEBIBYTE)
            assert intake.budget.held < 8 * MEBIBYTE
            started = time.monotonic()
            assert (await good.ask(hl7("1", DOCUMENT)))[1] == "MSA|AA|1"
            assert time.monotonic() - started < 0.5
            for one in holders:
                one.close()

    play(story())


def test_a_sender_that_goes_on_is_not_ended_however_full_it_is() -> None:
    """Beside half frames, big messages that are being sent all arrive."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=16 * MEBIBYTE)
        async with listening(intake) as listener:
            holders = [await holder(listener.port) for _ in range(20)]
            clients = [await Client.connect(listener.port) for _ in range(20)]
            message = "OBX|1|ED|||" + "x" * 1_500_000
            sends = [asyncio.create_task(one.send(hl7(str(n), message))) for n, one in enumerate(clients)]
            for number, client in enumerate(clients):
                assert (await client.answer(30))[1] == f"MSA|AA|{number}"
            await asyncio.gather(*sends)
            for one in holders:
                one.close()

    play(story())


def test_the_time_for_a_frame_goes_on_while_its_sender_is_not_read() -> None:
    """A connection that is paused and silent in the middle of a message reaches its time-out."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus, budget=MEBIBYTE)
        async with listening(intake, frame_timeout=0.4) as listener:
            bus.gate.clear()
            busy = await Client.connect(listener.port)
            await busy.send(hl7("1", "OBX|1|ED|||" + "x" * 1_200_000))
            await eventually(lambda: bool(intake._unanswered))
            silent = await Client.connect(listener.port)
            silent.writer.write(b"\x0b" + b"x" * 100_000)
            with pytest.raises(ConnectionError):
                await silent.answer(5)
            bus.gate.set()
            assert (await busy.answer())[1] == "MSA|AA|1"

    play(story())


def test_idle_connections_make_room_for_a_sender() -> None:
    """All places taken by connections that say nothing: after a moment a new one is served; known senders stay."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), max_connections=20) as listener:
            known = await Client.connect(listener.port)
            assert (await known.ask(hl7("1")))[1] == "MSA|AA|1"
            idle = [await Client.connect(listener.port, local_addr=("127.0.0.2", 0)) for _ in range(60)]
            started = time.monotonic()
            while True:
                with suppress(ConnectionError):
                    late = await Client.connect(listener.port)
                    assert (await late.ask(hl7("2")))[1] == "MSA|AA|2"
                    break
            assert time.monotonic() - started < 2
            assert (await known.ask(hl7("3")))[1] == "MSA|AA|3"
            assert len(listener.connections) <= 20
            for one in idle:
                one.close()

    play(story())


def test_a_limit_of_open_files_that_is_too_low_is_one_sentence() -> None:
    """More connections than the machine allows: refused at the start, not in the night."""
    enough_descriptors(10)
    with pytest.raises(OperatorFault, match="raise it"):
        enough_descriptors(10**9)
