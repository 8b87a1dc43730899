"""The HTTP way in: `POST /feeds/<name>`, with the same guarantee and the same answers as MLLP.

Body `application/hl7-v2` or `text/plain`: one ER7 message. Body `application/xml` or `text/xml`: a raw CDA, whose
request stands in headers `X-Segur-…` (`router.cisis.raw_cda.CDA_HEADERS` names them all, without the prefix).
The answer's body is the HL7 acknowledgement; 200 for AA, 422 for AE (413 for a body too large), 503 with Retry-After
for AR.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from router.errors import Bug, Unavailable
from router.gateway.acceptor import Acceptor, bound
from router.gateway.api_tokens import ApiTokens, SenderTokens
from router.gateway.budget import Share
from router.gateway.clients import structures_of
from router.gateway.http_admission import HttpAdmission
from router.gateway.http_protocol import HttpConnection
from router.gateway.intake import Intake
from router.gateway.places import Places
from router.gateway.received import Answer, Feed, Kind, Received
from router.gateway.settings import HttpConfig
from router.gateway.tls import Certificates
from router.hl7.mllp import HEAD

PREFIX: Final = "x-segur-"
RETRY_AFTER: Final = 10
"""Seconds a sender is asked to wait after AR."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    % RETRY_AFTER
)
_PATIENCE: Final = 4

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

    def __init__(
        self, config: HttpConfig, feeds: Mapping[str, Feed], intake: Intake, tokens: SenderTokens | None = None
    ) -> None:
        """tokens: the site's API tokens, where the configuration admits them"""
        self._config, self._feeds, self._intake = config, feeds, intake
        kept = ApiTokens(tokens, intake.clock) if tokens is not None and config.api_tokens else None
        self._admission = HttpAdmission(config, kept)
        self._certificates = Certificates(config.tls) if config.tls else None
        self.places = Places(config.max_connections, "http", intake.complaints)
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
            http=HttpConnection,
            ws="none",
            proxy_headers=False,  # a client's header says nothing of where it comes from
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level="error",  # a warning for each invalid request would let a stranger fill our logs
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        config.load()
        server = self._server = _Server(config)
        server.accept = lambda: Acceptor(
            listening,
            self.places,
            lambda place: HttpConnection(config, server, place, self._config.idle_timeout, self._certificates),
            lambda: self._certificates.context if self._certificates else None,
            _FULL,
        )
        self._serving = asyncio.create_task(server.serve(sockets=[]))

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
        objection = await self._unadmitted(request, feed) or self._objection(request, feed, kind)
        if objection is not None or feed is None or kind is None:
            return objection or Response(status_code=HTTPStatus.BAD_REQUEST)
        try:
            answer = await self._taken(request, feed, kind)
        except ClientDisconnect:
            self._intake.complaints.say("cut", feed.name, _connection(request).place.peer)
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except TimeoutError:
            self._intake.complaints.say("unfinished", feed.name, _connection(request).place.peer)
            return PlainTextResponse("corps incomplet\n", HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"})
        except _NoRoom:
            again = {"Connection": "close", "Retry-After": str(RETRY_AFTER)}
            return PlainTextResponse("trop de messages en cours\n", HTTPStatus.SERVICE_UNAVAILABLE, again)
        if answer.status_code == HTTPStatus.OK:
            _connection(request).place.proven = True
        return answer

    async def _unadmitted(self, request: Request, feed: Feed | None) -> Response | None:
        """The answer to who is not let in."""
        try:
            given = request.headers.getlist("authorization")
            admitted = await self._admission.admits(feed, given, certified=_connection(request).certified)
        except Unavailable:
            again = {"Retry-After": str(RETRY_AFTER)}
            return PlainTextResponse("jetons illisibles pour l'instant\n", HTTPStatus.SERVICE_UNAVAILABLE, again)
        if not admitted:
            return PlainTextResponse("jeton absent ou faux\n", HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        return None

    def _objection(self, request: Request, feed: Feed | None, kind: Kind | None) -> Response | None:
        """Why this request isn't even read, though its sender is let in."""
        if feed is not None and structures_of(feed, _connection(request).names) is None:
            return PlainTextResponse("certificat non habilité pour ce flux\n", HTTPStatus.FORBIDDEN)
        if feed is None:
            return PlainTextResponse("flux inconnu\n", HTTPStatus.NOT_FOUND)
        if kind is None:
            expected = "Content-Type attendu : application/hl7-v2, text/plain, application/xml ou text/xml\n"
            return PlainTextResponse(expected, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if name := _repeated(request):
            return PlainTextResponse(f"en-tête répété : {name}\n", HTTPStatus.BAD_REQUEST)
        return None

    async def _taken(self, request: Request, feed: Feed, kind: Kind) -> Response:
        """Read the body and submit it, or what we keep of one that is beyond the limit (E15)."""
        ready = asyncio.Event()
        ready.set()
        connection = _connection(request)
        share = self._share(connection, feed, ready)
        try:
            body, whole = await self._in_time(request, share, ready)
            connection.working = True
            share.work(len(body))
            share.hold(0)
            now = self._intake.clock.now()
            received = Received(
                data=body,
                source="http",
                at=now,
                kind=kind,
                headers=_asked(request),
                structures=structures_of(feed, connection.names) or frozenset(),
                peer=connection.place.peer,
            )
            if whole:
                return _response(await self._intake.submit(feed, received))
            refused = self._intake.validator.oversize(feed, received, self._config.max_body)
            return _response(await self._intake.store(refused), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        finally:
            connection.working, connection.lost = False, lambda: None
            share.done(share.working)
            share.leave()

    def _share(self, connection: HttpConnection, feed: Feed, ready: asyncio.Event) -> Share:
        """The share of one request; who waits for its `ready` waits no more once the connection is gone."""
        peer = connection.place.peer

        def give_way() -> None:
            self._intake.complaints.say("gave-way", feed.name, peer, share.receiving)
            share.leave()
            connection.transport.abort()

        share = self._intake.budget.join(
            ready.clear,
            ready.set,
            feed=feed.name,
            peer=peer,
            pending=lambda: connection.unread,
            give_way=give_way,
        )
        connection.lost = ready.set
        if connection.place.proven:
            self._intake.budget.trust(share, feed.name, peer)
        return share

    async def _in_time(self, request: Request, share: Share, ready: asyncio.Event) -> tuple[bytes, bool]:
        """See `_body`. Raises `_NoRoom` when it is we who made the sender wait until its time was over."""
        try:
            async with asyncio.timeout(self._config.request_timeout):
                return await self._body(request, share, ready)
        except TimeoutError:
            if share.paused:
                raise _NoRoom from None
            raise

    async def _body(self, request: Request, share: Share, ready: asyncio.Event) -> tuple[bytes, bool]:
        """The body, read only while the budget allows, and True; of one beyond the limit the beginning, and False.

        Raises `TimeoutError` when its sender falls silent; for that the time that we make him wait is not his.

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


class _NoRoom(Exception):
    """The sender was made to wait for so long that its time is over."""


class _Server(uvicorn.Server):
    """Uvicorn with our own way to accept connections. Signals belong to whoever runs the gateway."""

    accept: Callable[[], Acceptor]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.servers = [self.accept()]  # type: ignore[list-item]  # which is closed like one

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _connection(request: Request) -> HttpConnection:
    return cast(HttpConnection, request.state.connection)


def _repeated(request: Request) -> str:
    """The name of a header of ours that stands twice, else "": nobody can tell which of the two is meant."""
    names = Counter(name for name, _ in request.headers.items() if name.startswith(PREFIX))
    return next((name for name, lines in names.items() if lines > 1), "")


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
