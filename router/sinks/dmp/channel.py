"""The connection to the DMP: one pool per structure, TLS 1.2 with its certificate, paced (dmp §7).

Nothing of the HTTP client leaves this module: every failure becomes one of ours by `verdicts.transport_fault`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import aiohttp

from router.contracts import OwnTurns, Turns
from router.errors import OperatorFault, OutcomeUnknown, RouterError, Unavailable
from router.patience import Timer, patient
from router.sinks.dmp.answers import HttpAnswer
from router.sinks.dmp.credentials import Identity, Watched
from router.sinks.dmp.settings import DmpConfig
from router.sinks.dmp.soap import SoapRequest
from router.sinks.dmp.verdicts import transport_fault
from router.sinks.tools import next_turn

_PIECE: Final = 1 << 20
"""Bytes handed over at once: the write time-out counts for one piece, not for a document of 20 MB."""


class Pace:
    """At most `rate` beginnings per second of one structure and one software, evenly spaced (dmp §7).

    turns: shared by all processes of the site; without, this process counts alone. `software`: the DMP's address and
    the software's homologation.
    """

    def __init__(
        self,
        rate: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        turns: Turns | None = None,
        software: str = "",
    ) -> None:
        self._interval = 1 / rate
        self._turns = turns or OwnTurns(monotonic)
        self._software = software
        self._sleep = sleep

    async def turn(self, structure: str = "") -> None:
        """Wait for the next turn of this structure. Raises `Unavailable` while the turns can't be asked for."""
        wait = await next_turn(self._turns, f"{self._software}|{structure}", self._interval)
        if wait > 0:
            await self._sleep(wait)


class Channel:
    """Sends requests. `identity` gives what we connect with: when it changes, so does the pool."""

    def __init__(self, config: DmpConfig, identity: Watched[Identity], now: Callable[[], float]) -> None:
        self._config = config
        self._identity = identity
        self._now = now
        self._client: aiohttp.ClientSession | None = None
        self._made_with: Identity | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._busy = 0

    async def call(self, request: SoapRequest, place: str, *, feeding: bool) -> HttpAnswer:
        """The whole answer, whatever its status. The sink makes no more calls at once than there are connections.

        Raises `Unavailable` (nothing can have happened), `OutcomeUnknown` (`feeding`, and the answer is lost) or
        `OperatorFault`.
        """
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
            client = await self._pool()
            async with (
                patient(self._config.read_timeout, self._config.connect_timeout),
                client.get(url, proxy=self._config.proxy or None, allow_redirects=False) as answer,
            ):
                status = answer.status
        except RouterError:
            raise
        except Exception as error:
            raise transport_fault(error, "probe", sent=False, feeding=False) from error
        if status in (429, 502, 503, 504):
            raise Unavailable(f"DMP-HTTP-{status}", "probe", "serveur indisponible")

    async def close(self) -> None:
        clients = [*self._retired, *([self._client] if self._client else [])]
        self._client, self._retired = None, []
        for client in clients:
            await client.close()

    async def _post(self, client: aiohttp.ClientSession, request: SoapRequest, body: _Body) -> HttpAnswer:
        config = self._config
        headers = {
            "Content-Type": request.content_type,
            "Content-Length": str(request.length),
            "Accept": "application/soap+xml, multipart/related",
        }
        async with patient(config.read_timeout, config.connect_timeout) as timer:
            asking = client.post(
                request.url,
                data=body.pieces(timer),
                headers=headers,
                proxy=config.proxy or None,
                allow_redirects=False,
            )
            async with asking as answer:
                return HttpAnswer(
                    answer.status,
                    answer.headers.get("content-type", ""),
                    await self._read(answer.content, timer),
                    answer.headers.get("retry-after", ""),
                )

    async def _read(self, content: aiohttp.StreamReader, timer: Timer) -> bytes:
        held: list[bytes] = []
        size = 0
        async for piece in content.iter_any():
            timer.moved(len(piece))
            size += len(piece)
            if size > self._config.max_answer_bytes:
                raise _TooLong
            held.append(piece)
        return b"".join(held)

    async def _pool(self) -> aiohttp.ClientSession:
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
                await client.close()
        return self._client

    def _open(self, identity: Identity) -> aiohttp.ClientSession:
        config = self._config
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=identity.context, limit=config.connections, keepalive_timeout=config.keep_alive
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class _TooLong(Exception):
    """The answer is longer than we read."""


class _Body:
    """A request's bytes, piece by piece; `sent` turns true before the last piece is handed over."""

    def __init__(self, request: SoapRequest) -> None:
        self._request = request
        self.sent = False

    async def pieces(self, timer: Timer) -> AsyncIterator[bytes]:
        """Of a megabyte at most; `timer` learns of each one that was taken."""
        held: list[bytes] = []
        size = 0
        for piece in self._small():
            if size + len(piece) > _PIECE:
                yield b"".join(held)
                timer.moved(size)
                held, size = [], 0
            held.append(piece)
            size += len(piece)
        self.sent = True
        yield b"".join(held)
        timer.moved(size)

    def _small(self) -> Iterator[bytes]:
        for part in self._request.parts:
            if isinstance(part, bytes) and len(part) <= _PIECE:
                yield part
                continue
            view = memoryview(part)
            for at in range(0, len(part), _PIECE):
                yield bytes(view[at : at + _PIECE])
