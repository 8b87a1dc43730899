"""The MLLP listener of one feed: frames in, acknowledgements out in the same order (hl7-input §7.1)."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

from router.gateway.acceptor import Acceptor, bound, waiting
from router.gateway.budget import Share
from router.gateway.clients import structures_of
from router.gateway.complaints import Why
from router.gateway.intake import Intake
from router.gateway.places import Place, Places
from router.gateway.received import Answer, Feed, Received, ValidatedMessage
from router.gateway.settings import MllpConfig
from router.gateway.tls import Certificates, names_of
from router.hl7.mllp import Decoder, Event, Frame, Oversize, frame

_SILENCE: Final = 0.2
"""After so many seconds an FS without CR counts as the end of a frame."""
_TRICKLE: Final = 10
"""One message may take so many frame time-outs: a slow sender cannot hold a connection for ever."""
_CHUNK: Final = memoryview(bytearray(64 * 1024))
"""The event loop reads into this buffer, for one connection at a time. It is small, so that reading stops soon."""
_FIRST: Final = 4096
"""Bytes read of a connection that comes when there is no room: the event loop reads once before it can be stopped."""


class MllpListener:
    """One port, one feed. `start`, `tick` every second or so, `close`."""

    def __init__(self, config: MllpConfig, feed: Feed, intake: Intake) -> None:
        self.config, self.feed, self.intake = config, feed, intake
        self.connections: set[Connection] = set()
        self.certificates = Certificates(config.tls) if config.tls else None
        self.places = Places(config.max_connections, feed.name, intake.complaints)
        self._socket: socket.socket | None = None
        self._acceptor: Acceptor | None = None
        self.closing = False

    @property
    def port(self) -> int:
        """The port listened on (of use when the configuration says 0)."""
        assert self._socket is not None  # noqa: S101  # asked after `start`
        return cast(int, self._socket.getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises `OperatorFault` (`LISTEN`) in one sentence when the address can't be taken."""
        self._socket = bound(self.config.host, self.config.port)
        self._acceptor = Acceptor(
            self._socket,
            self.places,
            lambda place: Connection(self, place),
            lambda: self.certificates.context if self.certificates else None,
        )

    async def tick(self) -> None:
        """Close silent connections; take up new certificates (connections that stand keep theirs)."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.connections):
            connection.close_if_silent(now)
        self.intake.observer.set("connections", len(self.connections), feed=self.feed.name)
        if self.certificates is not None:
            self.certificates.changed()

    async def close(self, timeout: float) -> None:
        """Take no new message; answer those that came whole; then close."""
        self.closing = True
        if self._acceptor is not None:
            self._acceptor.close()
        if pending := [connection.drained() for connection in self.connections]:
            await asyncio.wait([asyncio.ensure_future(one) for one in pending], timeout=timeout)
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.BufferedProtocol):
    """One sender's connection. It is left unread while it has too much in work, or the gateway has.

    A sender that closes its side, or is gone, after a whole message: the message is taken all the same, and answered
    where it can be (a TCP connection closed on one side; TLS in Python knows no such thing).
    """

    def __init__(self, listener: MllpListener, place: Place) -> None:
        self._listener, self._intake, self._feed = listener, listener.intake, listener.feed
        self._place = place
        self._decoder = Decoder(listener.config.max_frame)
        self._events: deque[Event] = deque()
        self._answers: deque[tuple[asyncio.Future[Answer], int]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._structures: frozenset[str] = frozenset()
        self._share: Share | None = None
        self._reading, self._ended = True, False
        self._congested: float | None = None
        """Since when it does not read its answers."""
        self._last = self._begun = self._loop.time()
        self._chunks = self._stray = 0
        self._idle = asyncio.Event()
        self._idle.set()

    # -------------------------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        listener, place = self._listener, self._place
        place.end, place.busy = self._transport.abort, self._working
        certificates = listener.certificates
        shown = transport.get_extra_info("peercert")
        structures = structures_of(self._feed, names_of(shown))
        refused = structures is None or (certificates is not None and not certificates.admits(shown))
        self._structures = structures or frozenset()
        if refused or listener.closing:
            self._transport.abort()
            return
        listener.connections.add(self)
        self._share = self._intake.budget.join(
            self._read_or_not,
            self._read_or_not,
            feed=self._feed.name,
            peer=place.peer,
            pending=self._pending,
            give_way=self._give_way,
        )
        self._loop.call_soon(self._read_or_not)  # uvloop begins to read after this call, pausing here is forgotten

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _CHUNK if self._share is not None and not self._share.paused else _CHUNK[:_FIRST]

    def buffer_updated(self, nbytes: int) -> None:
        self._last = self._place.heard = self._loop.time()
        self._chunks += 1
        events = self._decoder.feed(_CHUNK[:nbytes])
        if events or not self._decoder.inside:
            self._begun = self._last
        self._take(events)
        if self._decoder.stray > self._stray:
            self._complain("outside", self._decoder.stray - self._stray)
            self._stray = self._decoder.stray
        if self._decoder.undecided:
            self._loop.call_later(_SILENCE, self._settle, self._chunks)

    def eof_received(self) -> bool:
        """The sender writes nothing more; it may still read. True: the connection stays until all is answered."""
        self._ended = True
        self._take(self._decoder.settle())
        self._cut()
        return self._working() and self._transport is not None and not self._transport.get_extra_info("sslcontext")

    def connection_lost(self, _error: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._transport = None
        self._cut()
        if self._share is not None:
            self._share.leave()
        if not self._working():
            self._finished()

    def pause_writing(self) -> None:
        """The sender does not read its answers: nor do we read its messages."""
        self._congested = self._loop.time()
        self._read_or_not()

    def resume_writing(self) -> None:
        self._congested = None
        self._read_or_not()

    # --------------------------------------------------------------------------- called by the listener

    def close_if_silent(self, now: float) -> None:
        """Close after the idle time-out; sooner in the middle of a message. Work in hand is not idleness.

        While we make a sender wait, it is silent when nothing of it waits to be read. The time for a message goes on.
        """
        config = self._listener.config
        if self._congested is not None and now - self._congested > config.frame_timeout:
            self._complain("answer-unread")
            self._abort()
        if self._transport is None or self._working():
            return
        if not self._reading and self._pending():
            self._last = max(self._last, now - 1.0)
        inside = self._decoder.inside
        limit = config.frame_timeout if inside else config.idle_timeout
        trickles = inside and now - self._begun > _TRICKLE * config.frame_timeout
        if now - self._last > limit or trickles:
            if inside:
                self._complain("unfinished", self._decoder.held)
                self._forget()
            self.close()

    async def drained(self) -> None:
        """Wait until what came whole is answered, reading nothing more."""
        self._read_or_not()
        await self._idle.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -------------------------------------------------------------------------------------------- inside

    def _working(self) -> bool:
        return bool(self._events or self._answers or self._pump is not None)

    def _pending(self) -> int:
        return waiting(self._transport)

    def _give_way(self) -> None:
        """The bytes are wanted by others, and this sender has fallen silent."""
        self._complain("gave-way", self._decoder.held)
        self._forget()
        self._abort()

    def _cut(self) -> None:
        """Nothing more comes: what is not whole now never will be."""
        if self._decoder.inside:
            self._complain("cut", self._decoder.held)
            self._forget()

    def _forget(self) -> None:
        """Let go of an unfinished message."""
        self._decoder = Decoder(self._listener.config.max_frame)
        self._stray = 0
        if self._share is not None:
            self._share.hold(0)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _complain(self, why: Why, size: int = 0) -> None:
        self._intake.complaints.say(why, self._feed.name, self._place.peer, size)

    def _settle(self, chunks: int) -> None:
        if self._chunks == chunks and self._transport is not None and self._reading:
            self._take(self._decoder.settle())

    def _take(self, events: Iterable[Event]) -> None:
        share = self._share
        if share is None:
            return
        for event in events:
            share.work(_weight(event))
            self._events.append(event)
            if isinstance(event, Frame) and event.odd:
                self._complain("odd-end", len(event.data))
        share.hold(self._decoder.held)
        if self._events:
            self._idle.clear()
            if self._pump is None:
                self._pump = self._loop.create_task(self._work())
        self._read_or_not()

    async def _work(self) -> None:
        """Check the messages that came, one after the other: their order is the order on the bus."""
        try:
            while self._events:
                event = self._events.popleft()
                size = _weight(event)
                try:
                    future = self._intake.store(await self._validated(event))
                except BaseException:
                    self._done(size)
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
            received = Received(
                data=event.data, source="mllp", at=now, structures=self._structures, peer=self._place.peer
            )
            return await self._intake.validate(self._feed, received)
        head = Received(data=event.head, source="mllp", at=now)
        limit = self._listener.config.max_frame
        return self._intake.validator.oversize(self._feed, head, limit)

    def _answer(self, _future: asyncio.Future[Answer] | None) -> None:
        """Send the answers that are ready, in the order of the messages."""
        ready: list[bytes] = []
        while self._answers and self._answers[0][0].done():
            future, size = self._answers.popleft()
            answer = future.result()
            if answer.code == "AA" and not self._place.proven:
                self._proven()
            ready.append(frame(answer.ack))
            self._done(size)
        if ready and self._transport is not None and not self._transport.is_closing():
            self._last = self._place.heard = self._loop.time()
            self._transport.write(b"".join(ready))
        elif ready:
            self._complain("unsent")
        if not self._working():
            self._finished()
        self._read_or_not()

    def _proven(self) -> None:
        """It has brought a message that was accepted: what others of its peer do is no reason to doubt it."""
        self._place.proven = True
        if self._share is not None and self._transport is not None:
            self._intake.budget.trust(self._share, self._feed.name, self._place.peer)

    def _done(self, size: int) -> None:
        if self._share is not None:
            self._share.done(size)

    def _finished(self) -> None:
        """All that came whole is answered."""
        self._idle.set()
        if self._transport is None:
            self._place.leave()
        elif self._ended:
            self._transport.close()

    def _read_or_not(self) -> None:
        """Read on, unless there is a reason to wait."""
        if self._transport is None or self._transport.is_closing() or self._ended or self._share is None:
            return
        busy = len(self._events) + len(self._answers) >= self._listener.config.pipelining
        wanted = not (busy or self._congested is not None or self._share.paused or self._listener.closing)
        if wanted != self._reading:
            self._reading = wanted
            if wanted and self._decoder.undecided:  # until now the silence was ours
                self._chunks += 1
                self._loop.call_later(_SILENCE, self._settle, self._chunks)
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()


def _weight(event: Event) -> int:
    return len(event.data if isinstance(event, Frame) else event.head)
