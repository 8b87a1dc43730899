"""Whether a form that was sent is ours: a token bound to the session, and what the browser says of the sender."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

FIELD: Final = "_token"
_NULL: Final = "null"


class Tokens:
    """Tokens of forms: a keyed digest of the session's secret, so that nothing has to be kept."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"console forms", hashlib.sha256).digest()

    def of(self, session: str) -> str:
        """The token of a session, 43 characters or fewer."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()[:43]

    def good(self, session: str, given: str) -> bool:
        return bool(session) and hmac.compare_digest(self.of(session).encode(), given.encode())


def same_origin(request: Request) -> bool:
    """Whether the browser says that one of our pages sent this.

    `Sec-Fetch-Site` first: under `Referrer-Policy: no-referrer` a form's `Origin` is `null` (Fetch §3.1).
    """
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin", _NULL)
    return origin != _NULL and urlsplit(origin).netloc == request.headers.get("host", "")
