"""Accepting connections: our own loop around `accept`, so that a listener knows each socket from its first moment.

`asyncio.Server` reports a TLS connection only once its handshake is done. Until then it holds a descriptor that
is not counted.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import logging
import socket
import ssl
import termios
from collections.abc import Callable
from typing import Final

from router.errors import OperatorFault
from router.gateway.places import Place, Places

log = logging.getLogger(__name__)

HANDSHAKE: Final = 15.0
"""Seconds that a client has for its TLS handshake."""
_AT_ONCE: Final = 64
_PAUSE: Final = 0.2
"""Seconds after which it is tried again when no descriptor is free."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Accepts on a listening socket, which it owns, as long as there are places.

    protocol: makes the protocol of a connection, given its place, which the protocol leaves when it is lost
    context:  gives the TLS context for the next connection; None: no TLS
    refusal:  what a connection too many is told, without TLS
    """

    def __init__(
        self,
        listening: socket.socket,
        places: Places,
        protocol: Callable[[Place], asyncio.BaseProtocol],
        context: Callable[[], ssl.SSLContext | None],
        refusal: bytes = b"",
    ) -> None:
        self._socket, self._places, self._protocol = listening, places, protocol
        self._context, self._refusal = context, refusal
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closed = self._exhausted = False
        self._listen()

    def close(self) -> None:
        """Accept nothing more; connections that stand stay. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for task in self._opening:
            task.cancel()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for, as for an `asyncio.Server` once it is closed."""

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._wait()
                return
            self._exhausted = False
            self._take(accepted, str(address[0]))

    def _wait(self) -> None:
        """No descriptor is free: to try again at once would only burn time."""
        if not self._exhausted:
            log.error("no file descriptor is free", extra={"code": "NOFILE", "alert": "descriptors"})
        self._exhausted = True
        self._loop.remove_reader(self._socket.fileno())
        self._again = self._loop.call_later(_PAUSE, self._listen)

    def _take(self, accepted: socket.socket, peer: str) -> None:
        accepted.setblocking(False)
        context = self._context()
        place = self._places.admit(peer, lambda: _shut(accepted))
        if place is None:
            if context is None and self._refusal:
                with contextlib.suppress(OSError):
                    accepted.send(self._refusal)
            accepted.close()
            return
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._open(accepted, place, context))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, place: Place, context: ssl.SSLContext | None) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(place),
                accepted,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE if context is not None else None,
            )
        except (OSError, TimeoutError):  # no handshake came of it; ssl.SSLError is an OSError
            place.leave()
        except asyncio.CancelledError:
            place.leave()
            raise


def waiting(transport: asyncio.BaseTransport | None) -> int:
    """Bytes that wait in the socket of a connection to be read (still encrypted, with TLS)."""
    found = array.array("i", [0])
    raw = transport.get_extra_info("socket") if transport is not None else None
    try:
        if raw is not None:
            fcntl.ioctl(raw.fileno(), termios.FIONREAD, found)
    except (OSError, ValueError):  # it is being closed
        return 0
    return found[0]


def _shut(accepted: socket.socket) -> None:
    with contextlib.suppress(OSError):
        accepted.shutdown(socket.SHUT_RDWR)


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
