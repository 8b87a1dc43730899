"""What a POST carries, bounded in bytes and in time: the same for pages and for programs."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

SECONDS: Final = 20.0
"""Until a body has come whole."""


async def whole(request: Request, most: int) -> bytes | int:
    """The body; the status that refuses it instead: 413 for more bytes than `most`, 400 for one that does not come."""
    body = b""
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    return 413
    except (TimeoutError, ClientDisconnect):
        return 400
    return body
