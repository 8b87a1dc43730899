"""Every way in under garbage: nothing crashes, nothing hangs, what is held is given back, good senders are served.

Seeds are fixed, so a failure comes back. `benchmarks/reader/listeners.py` plays the same for as long as wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from router.gateway.folder import WatchedFolder
from router.gateway.http_listener import HttpListener
from router.gateway.received import Received
from router.gateway.settings import FolderConfig, HttpConfig
from tests.gateway.gateway_parts import Client, MemoryBus, eventually, hl7, listening, make_intake, relay

TOKENS = (
    *(b"\x0b", b"\x1c", b"\x1c\r", b"\r", b"\n", b"|", b"^~\\&", b"MSH|", b"MSH|^~\\&|", b"FHS|^~\\&|", b"\x00"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"PID|1\r", b"POST /feeds/sil HTTP/1.1\r\n", b"Content-Length: 9\r\n\r\n"),
    *(b"GET ", b"Transfer-Encoding: chunked\r\n\r\n", b"FFFFFFFF\r\n", b"\x16\x03\x01\x02\x00", b"<a>"),
)


def garbage(chance: random.Random, parts: int = 40) -> bytes:
    """Tokens that mean something to somebody, bits of a real message, and noise."""
    good = b"\x0b" + hl7(str(chance.randrange(10**6))) + b"\x1c\r"
    made = []
    for _ in range(parts):
        kind = chance.random()
        if kind < 0.5:
            made.append(chance.choice(TOKENS) * chance.choice((1, 1, 1, 50)))
        elif kind < 0.8:
            at = chance.randrange(len(good))
            made.append(good[at : at + chance.randrange(1, 80)])
        else:
            made.append(chance.randbytes(chance.randrange(1, 200)))
    return b"".join(made)


async def vandal(port: int, seed: int) -> None:
    """One connection that writes garbage in pieces, reads now and then, and goes without a word."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError, OSError):
        for _ in range(chance.randrange(1, 6)):
            writer.write(garbage(chance))
            await writer.drain()
            if chance.random() < 0.5:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 0.01)
        (writer.transport.abort if chance.random() < 0.5 else writer.close)()


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run it; an exception that only the event loop saw is a failure too."""
    seen: list[str] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(str(context)))
        await asyncio.wait_for(story, 100)

    asyncio.run(watched())
    assert seen == []


def test_the_mllp_listener_survives_garbage_and_serves_the_others() -> None:
    """Forty vandals at a time; a good sender's messages are answered AA; then nothing is held any more."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        async with listening(intake, max_frame=8192, max_connections=500) as listener:
            good = await Client.connect(listener.port)
            for turn in range(5):
                vandals = [asyncio.create_task(vandal(listener.port, turn * 100 + n)) for n in range(40)]
                assert (await good.ask(hl7(f"good{turn}")))[1] == f"MSA|AA|good{turn}"
                await asyncio.gather(*vandals)
            good.close()
            await eventually(lambda: not listener.connections and intake.budget.held == 0, 30)

    play(story())


def test_the_mllp_listener_forgets_half_frames_and_silent_senders() -> None:
    """Senders that stop in the middle of a frame are closed after the frame's time-out, their bytes given back."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        async with listening(intake, frame_timeout=0.3, idle_timeout=0.3) as listener:
            writers = [(await asyncio.open_connection("127.0.0.1", listener.port))[1] for _ in range(30)]
            for number, writer in enumerate(writers):
                writer.write(b"\x0b" + hl7("1")[: number * 3])
            await eventually(lambda: intake.budget.held > 0, 30)
            await eventually(lambda: not listener.connections and intake.budget.held == 0, 30)

    play(story())


def test_a_message_that_trickles_in_is_given_up() -> None:
    """A sender who writes one byte now and then is never silent, and yet closed after ten frame time-outs."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        async with listening(intake, frame_timeout=0.2, idle_timeout=60) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            ended = asyncio.create_task(reader.read())
            writer.write(b"\x0bMSH|")
            with contextlib.suppress(ConnectionError):
                while not ended.done():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionError):
                await ended
            await eventually(lambda: not listener.connections and intake.budget.held == 0, 30)

    play(story())


def test_one_connection_too_many_is_closed_and_leaves_no_trace() -> None:
    """Beyond the limit a connection ends at once; when others go, new ones are taken again."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        async with listening(intake, max_connections=3) as listener:
            kept = [await Client.connect(listener.port) for _ in range(3)]
            await eventually(lambda: len(listener.connections) == 3, 30)
            for _ in range(20):
                extra = await Client.connect(listener.port)
                with pytest.raises(ConnectionError):
                    await extra.answer(30)
            for one in kept:
                one.close()
            await eventually(lambda: not listener.connections, 30)
            assert (await (await Client.connect(listener.port)).ask(hl7("1")))[1] == "MSA|AA|1"

    play(story())


def test_the_http_listener_survives_garbage_and_serves_the_others() -> None:
    """Vandals on the HTTP port; a request beside them gets its 200."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        listener = HttpListener(HttpConfig(port=0, max_body=8192, idle_timeout=1), {"sil": relay()}, intake)
        await listener.start()
        for turn in range(3):
            vandals = [asyncio.create_task(vandal(listener.port, 1000 + turn * 100 + n)) for n in range(30)]
            assert b" 200 " in await posted(listener.port, hl7(f"good{turn}"))
            await asyncio.gather(*vandals)
        await eventually(lambda: intake.budget.held == 0, 30)
        await listener.close(5)
        await intake.close(5)

    play(story())


async def posted(port: int, body: bytes) -> bytes:
    """The status line of a POST."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /feeds/sil HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    line = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    return line


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /feeds/sil HT", b"POST /feeds/sil HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
     b"Content-Length: 900\r\n\r\nMSH|"],
    ids=["nothing", "half a header", "half a body"],
)  # fmt: skip
def test_a_slow_loris_does_not_hold_the_http_port(begun: bytes) -> None:
    """As many silent requests as the port takes: they are ended, and the port serves again."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        config = HttpConfig(port=0, max_connections=5, idle_timeout=0.5)
        listener = HttpListener(config, {"sil": relay()}, intake)
        await listener.start()
        loris = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(8)]
        for _, writer in loris:
            writer.write(begun)
        for reader, _ in loris:
            await asyncio.wait_for(reader.read(), 60)  # until the listener has ended it
        assert b" 200 " in await posted(listener.port, hl7("1"))
        await eventually(lambda: intake.budget.held == 0, 30)
        await listener.close(5)
        await intake.close(5)

    play(story())


def test_the_folder_survives_garbage_and_takes_the_others(tmp_path: Path) -> None:
    """Noise under every name it takes, headers that are no text or no file: all answered or left, the good one done."""

    async def story() -> None:
        bus, chance = MemoryBus(), random.Random(5)
        intake = make_intake(bus)
        intake.start()
        for number in range(30):
            name = f"{number:02d}.{chance.choice(('hl7', 'er7', 'xml', 'HL7'))}"
            (tmp_path / name).write_bytes(garbage(chance) if number % 7 else b"")
        (tmp_path / "a.xml").write_bytes(b"<a/>")
        (tmp_path / "a.xml.headers").write_bytes(b"dmp: \xff\xfe\nins-status\n" + chance.randbytes(300))
        (tmp_path / "b.xml").write_bytes(b"<a/>")
        (tmp_path / "b.xml.headers").mkdir()
        (tmp_path / "c.hl7").mkdir()
        (tmp_path / "z.hl7").write_bytes(hl7("good"))
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0, interval=0.02), relay(), intake)
        await folder.start()
        await eventually((tmp_path / "done" / "z.hl7").exists, 60)
        await folder.tick()
        await eventually(lambda: not (tmp_path / "b.xml").exists(), 60)
        left = sorted(one.name for one in tmp_path.iterdir() if one.is_file())
        assert left == ["a.xml", "a.xml.headers"]  # its headers hold control characters: a person mends them
        await folder.close(5)
        await intake.close(5)

    play(story())


def test_a_folder_that_cannot_be_used_for_a_while_stops_nobody(tmp_path: Path) -> None:
    """The place for answers is gone (as on a full disk or a share away): the file stays, and is taken afterwards."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0, interval=0.02), relay(), intake)
        await folder.start()
        (tmp_path / "done").rmdir()
        (tmp_path / "done").write_text("")
        (tmp_path / "1.hl7").write_bytes(hl7("1"))
        await eventually(lambda: folder._trouble != 0, 60)
        await folder.tick()
        assert (tmp_path / "1.hl7").exists()
        (tmp_path / "done").unlink()
        (tmp_path / "done").mkdir()
        await eventually((tmp_path / "done" / "1.hl7").exists, 60)
        await folder.close(5)
        await intake.close(5)

    play(story())


def test_what_a_raw_topic_holds_is_judged_whatever_it_is() -> None:
    """The judgement that the consumer of a raw topic makes of each record never raises, whatever its bytes."""
    validate = make_intake(MemoryBus()).validator
    for seed in range(300):
        data = garbage(random.Random(seed), parts=10)
        for kind in ("hl7", "cda"):
            received = Received(data=data, source="raw", at=1.0, kind=kind, headers={"x": "\ufffd"})
            validated = validate.validate(relay(), received)
            assert validated.code in ("AA", "AE") and validate.records(validated)
