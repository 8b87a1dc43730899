"""One GET of a public server: its time, its size and where it may lead have a limit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

import httpx

from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.patience import patient


def get(
    url: str,
    take: Callable[[bytes], object],
    *,
    context: ssl.SSLContext | None,
    limit: int,
    silence: float,
    headers: Mapping[str, str] | None = None,
    follow: bool = False,
    total: float | None = None,
    told: dict[str, str] | None = None,
) -> int:
    """Give each piece of the answer to `take`; returns the status. Blocking: not from a running event loop.

    limit:   bytes of the answer at most, unpacked
    silence: seconds without a byte; the whole may take longer (`router.patience`)
    total:   seconds for the whole, headers included; None: as long as `silence` allows
    told:    gets the headers of the answer, their names in lower case
    follow:  go where the server leads, to an https address only
    Raises `Unavailable` for more than `limit` bytes, `OperatorFault` when the server leads to plain http, and what
    httpx raises, or `TimeoutError`.
    """
    return asyncio.run(_get(url, take, context, limit, silence, headers or {}, follow, total, told))


async def _get(
    url: str,
    take: Callable[[bytes], object],
    context: ssl.SSLContext | None,
    limit: int,
    silence: float,
    headers: Mapping[str, str],
    follow: bool,
    total: float | None,
    told: dict[str, str] | None,
) -> int:
    size = 0
    hooks = {"request": [_https]} if follow else {}
    async with (
        patient(silence, total=total) as timer,
        httpx.AsyncClient(
            verify=context if context is not None else True,
            timeout=silence,
            headers=headers,
            follow_redirects=follow,
            event_hooks=hooks,
        ) as client,
        client.stream("GET", url) as answer,
    ):
        if told is not None:
            told.update(answer.headers)
        moved = 0
        async for piece in answer.aiter_bytes():
            timer.moved(answer.num_bytes_downloaded - moved)
            moved = answer.num_bytes_downloaded
            size += len(piece)
            if size > limit:
                raise Unavailable("DIRECTORY-SIZE", "", filled("more than {limit} bytes", limit=limit))
            if answer.is_success:
                take(piece)
    return answer.status_code


async def _https(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        raise OperatorFault("DIRECTORY-HTTP", request.url.host, "the server leads to an address that is not https")
