"""`/live`: one stream for each browser. An event is a kind and a number, never data: the page asks for itself again."""

from __future__ import annotations

import asyncio
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
_SESSION: Final = 15.0
"""Seconds between two looks whether the session still lives."""


def stream(
    tools: ConsoleTools, someone: Callable[[Request], Session | None]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint. someone: whose session it is, which the stream does not keep alive."""

    async def live(request: Request) -> Response:
        try:
            session = await run_in_threadpool(someone, request)
        except Unavailable:
            return PlainTextResponse("503", 503)
        if session is None:
            return PlainTextResponse("401", 401)
        return EventSourceResponse(_events(tools, request, someone), ping=BEAT, send_timeout=30)

    return live


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
