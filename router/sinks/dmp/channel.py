"""The connection to the DMP: one pool per structure, TLS 1.2 with its certificate, paced (dmp §7).

Nothing of the HTTP client leaves this module: every failure becomes one of ours by `verdicts.transport_fault`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx

from router.errors import OperatorFault, OutcomeUnknown, RouterError, Unavailable
from router.sinks.dmp.answers import HttpAnswer
from router.sinks.dmp.credentials import Identity, Watched
from router.sinks.dmp.settings import DmpConfig
from router.sinks.dmp.soap import SoapRequest
from router.sinks.dmp.verdicts import transport_fault

_PIECE: Final = 1 << 20
"""Bytes handed over at once: the write time-out counts for one piece, not for a document of 20 MB."""


class Pace:
    """At most `rate` beginnings per second, evenly spaced."""

    def __init__(
        self, rate: float, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._interval = 1 / rate
        self._monotonic = monotonic
        self._sleep = sleep
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for our turn; turns are given in the order of the calls."""
        now = self._monotonic()
        mine = max(now, self._next)
        self._next = mine + self._interval
        if mine > now:
            await self._sleep(mine - now)


class Channel:
    """Sends requests. `identity` gives what we connect with: when it changes, so does the pool."""

    def __init__(self, config: DmpConfig, identity: Watched[Identity], now: Callable[[], float]) -> None:
        self._config = config
        self._identity = identity
        self._now = now
        self._client: httpx.AsyncClient | None = None
        self._made_with: Identity | None = None
        self._retired: list[httpx.AsyncClient] = []
        self._busy = 0
        self._slots = asyncio.Semaphore(config.connections)

    async def call(self, request: SoapRequest, place: str, *, feeding: bool) -> HttpAnswer:
        """The whole answer, whatever its status.

        Raises `Unavailable` (nothing can have happened), `OutcomeUnknown` (`feeding`, and the answer is lost) or
        `OperatorFault`.
        """
        async with self._slots:
            body = _Body(request)
            self._busy += 1
            try:
                return await self._post(await self._pool(), request, body)
            except RouterError:
                raise
            except _TooLong as error:
                kind = OutcomeUnknown if feeding else Unavailable
                raise kind("DMP-ANSWER-SIZE", place, "réponse du DMP trop longue") from error
            except Exception as error:
                raise transport_fault(error, place, sent=body.sent, feeding=feeding) from error
            finally:
                self._busy -= 1

    async def probe(self, url: str) -> None:
        """One GET: raises as `call` would when the server can't be reached, refuses us, or says it is away."""
        try:
            answer = await (await self._pool()).get(url, headers={"Accept": "*/*"})
        except RouterError:
            raise
        except Exception as error:
            raise transport_fault(error, "probe", sent=False, feeding=False) from error
        if answer.status_code in (429, 502, 503, 504):
            raise Unavailable(f"DMP-HTTP-{answer.status_code}", "probe", "serveur indisponible")

    async def close(self) -> None:
        clients = [*self._retired, *([self._client] if self._client else [])]
        self._client, self._retired = None, []
        for client in clients:
            await client.aclose()

    async def _post(self, client: httpx.AsyncClient, request: SoapRequest, body: _Body) -> HttpAnswer:
        headers = {
            "Content-Type": request.content_type,
            "Content-Length": str(request.length),
            "Accept": "application/soap+xml, multipart/related",
        }
        async with client.stream("POST", request.url, content=body.pieces(), headers=headers) as answer:
            held, size = [], 0
            async for piece in answer.aiter_bytes():
                size += len(piece)
                if size > self._config.max_answer_bytes:
                    raise _TooLong
                held.append(piece)
            return HttpAnswer(
                answer.status_code,
                answer.headers.get("content-type", ""),
                b"".join(held),
                answer.headers.get("retry-after", ""),
            )

    async def _pool(self) -> httpx.AsyncClient:
        """The client of the present certificate; an earlier one is closed once nobody uses it."""
        identity = self._identity.get()
        if identity.expires <= self._now():
            raise OperatorFault("DMP-CERT-AUTH", "auth", "certificat d'authentification expiré")
        if self._client is None or identity is not self._made_with:
            if self._client is not None:
                self._retired.append(self._client)
            self._client, self._made_with = self._open(identity), identity
        if self._retired and self._busy <= 1:
            retired, self._retired = self._retired, []
            for client in retired:
                await client.aclose()
        return self._client

    def _open(self, identity: Identity) -> httpx.AsyncClient:
        config = self._config
        return httpx.AsyncClient(
            verify=identity.context,
            trust_env=False,
            proxy=config.proxy or None,
            follow_redirects=False,
            timeout=httpx.Timeout(config.read_timeout, connect=config.connect_timeout),
            limits=httpx.Limits(
                max_connections=config.connections,
                max_keepalive_connections=config.connections,
                keepalive_expiry=config.keep_alive,
            ),
        )


class _TooLong(Exception):
    """The answer is longer than we read."""


class _Body:
    """A request's bytes, piece by piece; `sent` turns true before the last piece is handed over."""

    def __init__(self, request: SoapRequest) -> None:
        self._request = request
        self.sent = False

    async def pieces(self) -> AsyncIterator[bytes]:
        parts = self._request.parts
        for number, part in enumerate(parts, 1):
            if number == len(parts):
                self.sent = True
            if len(part) <= _PIECE:
                yield part
                continue
            view = memoryview(part)
            for at in range(0, len(part), _PIECE):
                yield bytes(view[at : at + _PIECE])
