"""The relay that the soak puts before every server: it carries, cuts half-way, and holds answers back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.soak.proxy import Proxy

Story = Callable[[Proxy, asyncio.StreamReader, asyncio.StreamWriter, list[bytes]], Awaitable[None]]


def play(story: Story) -> None:
    """A server that repeats what it hears, a proxy before it, one client."""

    async def run() -> None:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                heard.append(data)
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await story(proxy, reader, writer, heard)
            writer.close()
        server.close()

    asyncio.run(run())


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Everything that still comes, until the end or the cut."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_it_carries_both_ways() -> None:
    """Without trouble it is not there."""

    async def story(_: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, __: list[bytes]) -> None:
        for text in (b"one", b"two"):
            writer.write(text)
            assert await reader.readexactly(3) == text

    play(story)


def test_a_body_is_cut_half_way() -> None:
    """The server gets a part of it, and the client no answer to the rest."""

    async def story(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: list[bytes]
    ) -> None:
        proxy.cut("body", 0.5)
        writer.write(b"0123456789")
        assert len(await _rest(reader)) <= 5
        assert b"".join(heard) == b"01234"
        assert proxy.cuts == 1

    play(story)


def test_an_answer_is_lost_after_the_work_was_done() -> None:
    """The server has everything, the client nothing: the outcome is unknown."""

    async def story(
        proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: list[bytes]
    ) -> None:
        proxy.cut("answer", 0.0)
        writer.write(b"0123456789")
        assert await _rest(reader) == b""
        assert b"".join(heard) == b"0123456789"

    play(story)


def test_an_answer_is_held_back() -> None:
    """It comes late, and whole."""

    async def story(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: list[bytes]) -> None:
        proxy.hold(0.3, 60)
        began = time.monotonic()
        writer.write(b"late")
        assert await reader.readexactly(4) == b"late"
        assert time.monotonic() - began >= 0.3
        proxy.calm()
        writer.write(b"soon")
        assert await reader.readexactly(4) == b"soon"

    play(story)
