"""The HTTP way in: `POST /feeds/<name>`, with the same guarantee and the same answers as MLLP.

Body `application/hl7-v2` or `text/plain`: one ER7 message. Body `application/xml` or `text/xml`: a raw CDA, whose
request stands in headers `X-Segur-…` (`router.cisis.raw_cda.CDA_HEADERS` names them all, without the prefix).
The answer's body is the HL7 acknowledgement; 200 for AA, 422 for AE (413 for a body too large), 503 with Retry-After
for AR.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from router.errors import Bug
from router.gateway.budget import Share
from router.gateway.clients import structures_of
from router.gateway.intake import Intake
from router.gateway.mllp_listener import bound
from router.gateway.received import Answer, Feed, Kind, Received
from router.gateway.settings import HttpConfig
from router.gateway.tls import Certificates, names_of
from router.hl7.mllp import HEAD

PREFIX: Final = "x-segur-"
RETRY_AFTER: Final = 10
"""Seconds a sender is asked to wait after AR."""

_PATIENCE: Final = 4
_SHOWN: Final = "certificate-names"
"""Where a connection keeps the names of its client's certificate for its requests."""

_KINDS: Final[dict[str, Kind]] = {
    "application/hl7-v2": "hl7",
    "x-application/hl7-v2+er7": "hl7",
    "text/plain": "hl7",
    "application/xml": "cda",
    "text/xml": "cda",
}
_STATUS: Final = {"AA": HTTPStatus.OK, "AE": HTTPStatus.UNPROCESSABLE_ENTITY, "AR": HTTPStatus.SERVICE_UNAVAILABLE}


class HttpListener:
    """One port for all feeds that say so."""

    def __init__(self, config: HttpConfig, feeds: Mapping[str, Feed], intake: Intake) -> None:
        self._config, self._feeds, self._intake = config, feeds, intake
        self._certificates = Certificates(config.tls) if config.tls else None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises `OperatorFault` (`LISTEN`, `TLS`)."""
        listening = bound(self._config.host, self._config.port)
        self.port = cast(int, listening.getsockname()[1])
        app = Starlette(routes=[Route("/feeds/{name}", self._post, methods=["POST"])])
        config = uvicorn.Config(
            app,
            http=_protocol(self._certificates, self._config.idle_timeout),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level="error",  # a warning for each invalid request would let a stranger fill our logs
            server_header=False,
            limit_concurrency=self._config.max_connections,
            timeout_graceful_shutdown=10,
        )
        config.load()
        if self._certificates is not None:
            config.ssl = self._certificates.context
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))

    async def tick(self) -> None:
        """Take up new certificates, in the context that is in use. Raises what ended the server, if anything did."""
        if self._serving is not None and self._serving.done():
            self._serving.result()
            raise Bug("BUG-HttpEnded", "http", "the HTTP server ended by itself")
        if self._certificates is not None:
            self._certificates.renew()

    async def close(self, timeout: float) -> None:
        """Take no new request, answer those that came, close."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        done, _ = await asyncio.wait([self._serving], timeout=timeout)
        if not done:
            self._server.force_exit = True
            await asyncio.wait([self._serving], timeout=1)

    # -------------------------------------------------------------------------------------------- inside

    async def _post(self, request: Request) -> Response:
        feed = self._feeds.get(request.path_params["name"])
        kind = _KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
        objection = self._objection(request, feed, kind)
        if objection is not None or feed is None or kind is None:
            return objection or Response(status_code=HTTPStatus.BAD_REQUEST)
        try:
            answer = await self._taken(request, feed, kind)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except TimeoutError:
            return PlainTextResponse("corps incomplet\n", HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"})
        return answer

    def _objection(self, request: Request, feed: Feed | None, kind: Kind | None) -> Response | None:
        """Why this request isn't even read."""
        if not self._admitted(request, feed):
            return PlainTextResponse("jeton absent ou faux\n", HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        if feed is not None and structures_of(feed, _names(request)) is None:
            return PlainTextResponse("certificat non habilité pour ce flux\n", HTTPStatus.FORBIDDEN)
        if feed is None:
            return PlainTextResponse("flux inconnu\n", HTTPStatus.NOT_FOUND)
        if kind is None:
            expected = "Content-Type attendu : application/hl7-v2, text/plain, application/xml ou text/xml\n"
            return PlainTextResponse(expected, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return None

    async def _taken(self, request: Request, feed: Feed, kind: Kind) -> Response:
        """Read the body and submit it, or what we keep of one that is beyond the limit (E15)."""
        ready = asyncio.Event()
        ready.set()
        share = self._intake.budget.join(ready.clear, ready.set)
        try:
            body, whole = await self._body(request, share, ready)
            share.work(len(body))
            share.hold(0)
            now = self._intake.clock.now()
            received = Received(
                data=body,
                source="http",
                at=now,
                kind=kind,
                headers=_asked(request),
                structures=structures_of(feed, _names(request)) or frozenset(),
            )
            if whole:
                return _response(await self._intake.submit(feed, received))
            refused = self._intake.validator.oversize(feed, received, self._config.max_body)
            return _response(await self._intake.store(refused), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        finally:
            share.done(share.working)
            share.leave()

    async def _body(self, request: Request, share: Share, ready: asyncio.Event) -> tuple[bytes, bool]:
        """The body, read only while the budget allows, and True; of one beyond the limit the beginning, and False.

        Raises `TimeoutError` when its sender falls silent; the time that we make him wait is not his.

        A body that is too large is read on and thrown away, within reason: a sender that is cut off while it
        writes never sees the answer.
        """
        body, size, limit = bytearray(), 0, self._config.max_body
        chunks = request.stream()
        while True:
            async with asyncio.timeout(self._config.idle_timeout):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            size += len(chunk)
            body += chunk
            if size > limit:
                del body[HEAD:]
            if size > _PATIENCE * limit:
                break
            share.hold(len(body))
            await ready.wait()
        return bytes(body), size <= limit

    def _admitted(self, request: Request, feed: Feed | None) -> bool:
        """Whether the request carries the token of its feed, or of the port when the feed has none of its own."""
        read = self._config.token.read if self._config.token is not None else None
        if feed is not None and feed.token is not None:
            read = feed.token
        if read is None:
            return True
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {read()}".encode())


class _Server(uvicorn.Server):
    """Signals belong to whoever runs the gateway."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(certificates: Certificates | None, patience: float) -> type[asyncio.Protocol]:
    """Uvicorn's own protocol, which first looks at the client's certificate, and waits for no header for ever.

    patience: seconds from a connection, or from the first byte of a request, to the end of its header.
    """

    class RegisterCheckedSink(H11Protocol):
        waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            shown = transport.get_extra_info("peercert")
            if certificates is not None and not certificates.admits(shown):
                transport.abort()
                return
            self.app_state = {**self.app_state, _SHOWN: names_of(shown)}
            self.waiting = self.loop.call_later(patience, transport.abort)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._arrived()
            elif self.waiting is None and not self.transport.is_closing():
                self.waiting = self.loop.call_later(patience, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            super().connection_lost(exc)

        def _arrived(self) -> None:
            if self.waiting is not None:
                self.waiting.cancel()
                self.waiting = None

    return RegisterCheckedSink


def _names(request: Request) -> frozenset[str]:
    """Names of the certificate that the client of this connection showed."""
    return cast("frozenset[str]", request.scope.get("state", {}).get(_SHOWN, frozenset()))


def _asked(request: Request) -> dict[str, str]:
    """The request of a raw CDA: its headers without their prefix. UTF-8 where it is, else Latin-1."""
    found = {}
    for name, value in request.headers.items():
        if name.startswith(PREFIX):
            try:
                found[name.removeprefix(PREFIX)] = value.encode("latin-1").decode("utf-8")
            except UnicodeDecodeError:
                found[name.removeprefix(PREFIX)] = value
    return found


def _response(answer: Answer, refusal: HTTPStatus = _STATUS["AE"]) -> Response:
    """`refusal`: the status of AE."""
    headers = {"X-Segur-Event": answer.event_id}
    if answer.code == "AR":
        headers["Retry-After"] = str(RETRY_AFTER)
    status = refusal if answer.code == "AE" else _STATUS[answer.code]
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers["Connection"] = "close"
    return Response(answer.ack, status, headers, media_type="application/hl7-v2")
