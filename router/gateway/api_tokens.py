"""API tokens on the HTTP port: those that may send to a feed, kept in memory for some seconds.

A message asks no database: the digests are read again every ten seconds, and a token that is not among them may bring
that forward, once a second. So a revoked token is refused ten seconds later at most. While the database is away the
known ones stay good for five minutes; then their senders are asked to come again.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Collection, Mapping
from typing import Final, Protocol

from router.access.tokens import PREFIX, Token, digest
from router.contracts import Clock
from router.errors import RouterError, Unavailable

log = logging.getLogger(__name__)

FRESH: Final = 10.0
"""Seconds after which the tokens are read again."""
HURRIED: Final = 1.0
"""Seconds after which an unknown token has them read again."""
STALE: Final = 300.0
"""Seconds that those last read stay good when they can't be read again."""


class SenderTokens(Protocol):
    """Where the tokens are kept (`router.access.tokens.Tokens`)."""

    def senders(self) -> Mapping[str, Token]: ...

    def used(self, ids: Collection[str], /) -> None: ...


class ApiTokens:
    """Asked by the HTTP listener, in its loop; the database is asked in another thread."""

    def __init__(self, kept: SenderTokens, clock: Clock) -> None:
        self._kept, self._clock = kept, clock
        self._known: Mapping[str, Token] = {}
        self._used: set[str] = set()
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def admits(self, text: str, feed: str) -> bool:
        """Whether this token may send to the feed now. Raises `Unavailable` when it can't be known."""
        if not text.startswith(PREFIX):
            return False
        await self._renew(FRESH)
        found = self._find(text)
        if found is None:
            await self._renew(HURRIED)
            found = self._find(text)
        if self._clock.monotonic() - self._read_at > STALE:
            raise Unavailable("HTTP-TOKENS", "http", "the tokens can't be read now")
        if found is None or not found.valid(self._clock.now()) or feed not in found.sends_to:
            return False
        self._used.add(found.id)
        return True

    def _find(self, text: str) -> Token | None:
        """By its digest. All are compared, so that no time tells how near a guess was."""
        asked, found = digest(text), None
        for key, token in self._known.items():
            if hmac.compare_digest(key, asked):
                found = token
        return found

    async def _renew(self, age: float) -> None:
        """Read them again when what is known, and the last try, are older than this (seconds)."""
        async with self._reading:
            now = self._clock.monotonic()
            if now - max(self._read_at, self._tried_at) < age:
                return
            self._tried_at = now
            try:
                self._known = await asyncio.to_thread(self._read)
                self._read_at = now
            except RouterError as fault:
                log.warning("API tokens can't be read", extra={"code": fault.code, "text": fault.text})

    def _read(self) -> Mapping[str, Token]:
        used, self._used = self._used, set()
        self._kept.used(used)
        return self._kept.senders()
