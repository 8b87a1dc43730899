"""Whether a form that was sent is ours: the token of its session, and what the browser says of the sender."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from router.access.sessions import Session

FIELD: Final = "_token"
_NULL: Final = "null"


def bound(session: Session | None, given: str) -> bool:
    """Whether this is the token of this session."""
    return session is not None and hmac.compare_digest(session.csrf.encode(), given.encode())


def same_origin(request: Request) -> bool:
    """Whether the browser says that one of our pages sent this.

    `Sec-Fetch-Site` first: under `Referrer-Policy: no-referrer` a form's `Origin` is `null` (the Fetch standard).
    """
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin", _NULL)
    return origin != _NULL and urlsplit(origin).netloc == request.headers.get("host", "")
