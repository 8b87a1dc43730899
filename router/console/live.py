"""`/live`: one stream for each browser. An event is a kind and a number, never data: the page asks for itself again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from router.access.sessions import Session
from router.console.tools import ConsoleTools
from router.errors import Unavailable

BEAT: Final = 15
"""Seconds between two beats of a stream where nothing happens."""
_LOOK: Final = 1.0
STREAMS: Final = 10
"""Streams of one session at the same time: a browser needs one, and each holds a connection of the console."""
_SESSION: Final = 15.0
"""Seconds between two looks whether the session still lives."""


def stream(
    tools: ConsoleTools, someone: Callable[[Request], Session | None]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint. someone: whose session it is, which the stream does not keep alive."""
    open_streams: Counter[str] = Counter()

    async def live(request: Request) -> Response:
        try:
            session = await run_in_threadpool(someone, request)
        except Unavailable:
            return PlainTextResponse("503", 503)
        if session is None:
            return PlainTextResponse("401", 401)
        if open_streams[session.id] >= STREAMS:
            return PlainTextResponse("429", 429)
        return EventSourceResponse(
            _counted(open_streams, session.id, _events(tools, request, someone)), ping=BEAT, send_timeout=30
        )

    return live


async def _counted(
    open_streams: Counter[str], session: str, events: AsyncIterator[ServerSentEvent]
) -> AsyncIterator[ServerSentEvent]:
    """The events; while they are read, the stream counts. None for one that came too many at the same moment."""
    if open_streams[session] >= STREAMS:
        return
    open_streams[session] += 1
    try:
        async for event in events:
            yield event
    finally:
        open_streams[session] -= 1
        if not open_streams[session]:
            del open_streams[session]


async def _events(
    tools: ConsoleTools, request: Request, someone: Callable[[Request], Session | None]
) -> AsyncIterator[ServerSentEvent]:
    """A number with each look at the site. The number of a look missed shows in the next one."""
    told, age = -1, 0.0
    while True:
        tools.watch.wanted()
        if (looks := tools.watch.looks) != told:
            told = looks
            yield ServerSentEvent(event="state", data=str(looks), id=str(looks), retry=5000)
        await asyncio.sleep(_LOOK)
        age += _LOOK
        if age >= _SESSION:
            age = 0.0
            try:
                if await run_in_threadpool(someone, request) is None:
                    yield ServerSentEvent(event="end", data="0")
                    return
            except Unavailable:
                continue
