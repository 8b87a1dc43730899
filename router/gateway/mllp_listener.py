"""The MLLP listener of one feed: frames in, acknowledgements out in the same order (hl7-input §7.1)."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

from router.errors import OperatorFault
from router.gateway.clients import structures_of
from router.gateway.intake import Intake
from router.gateway.received import Answer, Feed, Received, ValidatedMessage
from router.gateway.settings import MllpConfig
from router.gateway.tls import Certificates, names_of
from router.hl7.mllp import Decoder, Event, Frame, Oversize, frame

_SILENCE: Final = 0.2
"""Seconds after which an FS without CR is taken for the end of a frame."""
_TRICKLE: Final = 10
"""A message may take so many frame time-outs in all: one byte now and then holds no connection for ever."""
_HANDSHAKE: Final = 15.0
"""Seconds that a client has for its TLS handshake; until then it counts as no connection."""


class MllpListener:
    """One port, one feed. `start`, `tick` every second or so, `close`."""

    def __init__(self, config: MllpConfig, feed: Feed, intake: Intake) -> None:
        self.config, self.feed, self.intake = config, feed, intake
        self.connections: set[Connection] = set()
        self.certificates = Certificates(config.tls) if config.tls else None
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self.closing = False

    @property
    def port(self) -> int:
        """The port listened on (of use when the configuration says 0)."""
        assert self._socket is not None  # noqa: S101  # asked after `start`
        return cast(int, self._socket.getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises `OperatorFault` (`LISTEN`) in one sentence when the address can't be taken."""
        self._socket = bound(self.config.host, self.config.port)
        await self._serve()

    async def tick(self) -> None:
        """Close silent connections; take up new certificates (connections that stand keep theirs)."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.connections):
            connection.close_if_silent(now)
        self.intake.observer.set("connections", len(self.connections), feed=self.feed.name)
        if self.certificates is not None and self.certificates.changed():
            await self._serve()

    async def close(self, timeout: float) -> None:
        """Take no new message; answer those that came whole; then close."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.close()
        if pending := [connection.drained() for connection in self.connections]:
            await asyncio.wait([asyncio.ensure_future(one) for one in pending], timeout=timeout)
        for connection in list(self.connections):
            connection.close()

    async def _serve(self) -> None:
        """Accept on a copy of our socket, so that a change of certificates refuses nobody."""
        assert self._socket is not None  # noqa: S101
        context = self.certificates.context if self.certificates else None
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            sock=self._socket.dup(),
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE if context is not None else None,
        )
        if self._server is not None:
            self._server.close()
        self._server = server


class Connection(asyncio.Protocol):
    """One sender's connection. It is left unread while it has too much in work, or the gateway has."""

    def __init__(self, listener: MllpListener) -> None:
        self._listener, self._intake, self._feed = listener, listener.intake, listener.feed
        self._decoder = Decoder(listener.config.max_frame)
        self._events: deque[Event] = deque()
        self._answers: deque[tuple[asyncio.Future[Answer], int]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._structures: frozenset[str] = frozenset()
        self._reading = True
        self._congested = False
        self._last = self._begun = self._loop.time()
        self._chunks = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._share = self._intake.budget.join(self._read_or_not, self._read_or_not)  # calls back when it is full

    # -------------------------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        listener = self._listener
        certificates = listener.certificates
        shown = transport.get_extra_info("peercert")
        structures = structures_of(self._feed, names_of(shown))
        refused = structures is None or (certificates is not None and not certificates.admits(shown))
        self._structures = structures or frozenset()
        if refused or listener.closing or len(listener.connections) >= listener.config.max_connections:
            self._transport.abort()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.connections.add(self)
        self._loop.call_soon(self._read_or_not)  # uvloop begins to read after this call, pausing here is forgotten

    def data_received(self, data: bytes) -> None:
        self._last = self._loop.time()
        self._chunks += 1
        events = self._decoder.feed(data)
        if events or not self._decoder.inside:
            self._begun = self._last
        self._take(events)
        if self._decoder.undecided:
            self._loop.call_later(_SILENCE, self._settle, self._chunks)

    def connection_lost(self, _error: Exception | None) -> None:
        self._listener.connections.discard(self)
        if self._pump is not None:
            self._pump.cancel()
        for event in self._events:
            self._share.done(_weight(event))
        self._events.clear()
        self._share.leave()
        self._transport = None
        self._idle.set()

    def pause_writing(self) -> None:
        """The sender does not read its answers: nor do we read its messages."""
        self._congested = True
        self._read_or_not()

    def resume_writing(self) -> None:
        self._congested = False
        self._read_or_not()

    # --------------------------------------------------------------------------- called by the listener

    def close_if_silent(self, now: float) -> None:
        """Close after the idle time-out; sooner in the middle of a message. Work in hand is not idleness."""
        if self._events or self._answers or self._pump is not None or not self._reading:
            if not self._reading:  # the time that we make a sender wait is not his
                self._last, self._begun = max(self._last, now - 1.0), now
            return
        config = self._listener.config
        limit = config.frame_timeout if self._decoder.inside else config.idle_timeout
        trickles = self._decoder.inside and now - self._begun > _TRICKLE * config.frame_timeout
        if now - self._last > limit or trickles:
            self.close()

    async def drained(self) -> None:
        """Wait until what came whole is answered, reading nothing more."""
        self._read_or_not()
        await self._idle.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -------------------------------------------------------------------------------------------- inside

    def _settle(self, chunks: int) -> None:
        if self._chunks == chunks and self._transport is not None and self._reading:
            self._take(self._decoder.settle())

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            self._share.work(_weight(event))
            self._events.append(event)
        self._share.hold(self._decoder.held)
        if self._events:
            self._idle.clear()
            if self._pump is None:
                self._pump = self._loop.create_task(self._work())
        self._read_or_not()

    async def _work(self) -> None:
        """Judge what came, one after the other: their order is the order on the bus."""
        try:
            while self._events and self._transport is not None:
                event = self._events.popleft()
                size = _weight(event)
                try:
                    future = self._intake.store(await self._validated(event))
                except BaseException:
                    self._share.done(size)
                    raise
                self._answers.append((future, size))
                if isinstance(event, Oversize) and event.fatal:
                    future.add_done_callback(lambda _: self._loop.call_soon(self.close))
                future.add_done_callback(self._answer)
        finally:
            self._pump = None
            self._answer(None)

    async def _validated(self, event: Event) -> ValidatedMessage:
        now = self._intake.clock.now()
        if isinstance(event, Frame):
            received = Received(data=event.data, source="mllp", at=now, structures=self._structures)
            return await self._intake.validate(self._feed, received)
        head = Received(data=event.head, source="mllp", at=now)
        limit = self._listener.config.max_frame
        return self._intake.validator.oversize(self._feed, head, limit)

    def _answer(self, _future: asyncio.Future[Answer] | None) -> None:
        """Send the answers that are ready, in the order of the messages."""
        ready: list[bytes] = []
        while self._answers and self._answers[0][0].done():
            future, size = self._answers.popleft()
            ready.append(frame(future.result().ack))
            self._share.done(size)
        if self._transport is not None and ready:
            self._last = self._loop.time()
            self._transport.write(b"".join(ready))
        if not self._answers and not self._events and self._pump is None:
            self._idle.set()
        self._read_or_not()

    def _read_or_not(self) -> None:
        """Read on, unless somebody has reason not to."""
        if self._transport is None or self._transport.is_closing():
            return
        busy = len(self._events) + len(self._answers) >= self._listener.config.pipelining
        wanted = not (busy or self._congested or self._share.paused or self._listener.closing)
        if wanted != self._reading:
            self._reading = wanted
            if wanted and self._decoder.undecided:  # until now the silence was ours
                self._chunks += 1
                self._loop.call_later(_SILENCE, self._settle, self._chunks)
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()


def _weight(event: Event) -> int:
    return len(event.data if isinstance(event, Frame) else event.head)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OperatorFault` (`LISTEN`) when the address can't be taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(1024)
        taken.setblocking(False)
    except OSError as error:
        taken.close()
        raise OperatorFault("LISTEN", f"{host}:{port}", error.strerror or "can't be listened on") from error
    return taken
