"""The HTTP port against slow bodies, idle connections and clients that close their side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from router.gateway.http_listener import HttpListener
from router.gateway.intake import Intake
from router.gateway.settings import HttpConfig
from tests.gateway.gateway_parts import Client, MemoryBus, eventually, hl7, listening, make_intake, relay

pytestmark = pytest.mark.alone

MEBIBYTE = 2**20


def play(story: Any) -> None:
    uvloop.run(asyncio.wait_for(story, 60))


def head(length: int) -> bytes:
    fields = f"Host: x\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n"
    return f"POST /feeds/sil HTTP/1.1\r\n{fields}\r\n".encode()


@asynccontextmanager
async def serving(intake: Intake, **settings: Any) -> AsyncIterator[HttpListener]:
    intake.start()
    listener = HttpListener(HttpConfig(port=0, **settings), {"sil": relay()}, intake)
    await listener.start()
    await asyncio.sleep(0.05)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.1)
            intake.budget.tick()
            await listener.tick()

    ticking = asyncio.create_task(tick())
    try:
        yield listener
    finally:
        ticking.cancel()
        await listener.close(2)
        await intake.close(2)


async def begun(port: int, data: bytes, source: str = "127.0.0.2") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(data)
    return reader, writer


async def posted(port: int, message: bytes) -> tuple[bytes, float]:
    """The status line of a request of its own connection, and how long it took."""
    started = time.monotonic()
    reader, writer = await begun(port, head(len(message)) + message, "127.0.0.1")
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return line, time.monotonic() - started


def test_a_client_that_closes_its_side_is_answered() -> None:
    """Half-closed after a whole request: the answer comes, then the end."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with serving(make_intake(bus)) as listener:
            reader, writer = await begun(listener.port, head(len(hl7("1"))) + hl7("1"))
            writer.write_eof()
            await asyncio.sleep(0.3)
            bus.gate.set()
            whole = await asyncio.wait_for(reader.read(), 3)
            assert b" 200 " in whole and b"MSA|AA|1" in whole
            await eventually(lambda: not listener.places.taken)

    play(story())


def test_a_body_that_trickles_is_given_up_in_time() -> None:
    """A byte now and then is never silence; the whole request has a time of its own, then 408."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        async with serving(intake, request_timeout=0.6, idle_timeout=10) as listener:
            reader, writer = await begun(listener.port, head(1000))

            async def trickle() -> None:
                while True:
                    writer.write(b"x")
                    await asyncio.sleep(0.05)

            trickling = asyncio.create_task(trickle())
            started = time.monotonic()
            assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
            assert 0.5 < time.monotonic() - started < 3
            trickling.cancel()
            assert intake.observer.counts[("frames_odd_total", "sil", "unfinished")] == 1  # type: ignore[attr-defined]

    play(story())


@pytest.mark.parametrize("sent", [b"", b"POST /feeds/sil HT", head(10_000) + b"MSH|"], ids=["idle", "head", "body"])
def test_as_many_slow_requests_as_there_are_places_hold_up_nobody(sent: bytes) -> None:
    """All places taken by requests that do not end: a whole one is answered within two seconds."""

    async def story() -> None:
        async with serving(make_intake(MemoryBus()), max_connections=30) as listener:
            slow = [await begun(listener.port, sent) for _ in range(90)]
            await asyncio.sleep(0.2)
            assert len(listener.places.taken) <= 30
            for number in range(3):
                line, seconds = await posted(listener.port, hl7(str(number)))
                assert b" 200 " in line and seconds < 2
            for _, writer in slow:
                writer.close()

    play(story())


def test_one_connection_too_many_gets_503() -> None:
    """When all places are of clients that just came, one more is told to come again."""

    async def story() -> None:
        async with serving(make_intake(MemoryBus()), max_connections=2) as listener:
            kept = [await begun(listener.port, b"") for _ in range(2)]
            await eventually(lambda: len(listener.places.taken) == 2)
            reader, _ = await begun(listener.port, b"")
            assert b" 503 " in await asyncio.wait_for(reader.readline(), 3)
            for _, writer in kept:
                writer.close()

    play(story())


def test_half_bodies_hold_up_no_mllp_sender() -> None:
    """Bodies that stop in the middle fill their own share of the budget; a document on MLLP is answered at once."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=32 * MEBIBYTE)
        async with listening(intake) as mllp:
            listener = HttpListener(HttpConfig(port=0), {"http": relay(name="http"), "sil": relay()}, intake)
            await listener.start()
            await asyncio.sleep(0.05)
            good = await Client.connect(mllp.port)
            bodies = head(10**7).replace(b"/sil", b"/http") + b"x" * 400_000
            slow = [await begun(listener.port, bodies) for _ in range(120)]
            await eventually(lambda: intake.budget.held > 4 * MEBIBYTE)
            for number in range(5):
                started = time.monotonic()
                assert (await good.ask(hl7(str(number), "OBX|1|ED|||" + "x" * 600_000)))[1] == f"MSA|AA|{number}"
                assert time.monotonic() - started < 2
            await asyncio.sleep(2.5)
            line, seconds = await posted(listener.port, hl7("http", "OBX|1|ED|||" + "x" * 600_000))
            assert b" 200 " in line and seconds < 2
            assert intake.budget.held < 32 * MEBIBYTE
            for _, writer in slow:
                writer.close()
            await listener.close(2)

    play(story())
