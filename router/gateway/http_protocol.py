"""One HTTP connection: uvicorn's own protocol, with a place, and patient with nobody.

It looks at the client's certificate first, ends a connection whose header does not come in time, and answers a client
that has closed its side after a whole request (RFC 9112 §9.6 lets it).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from router.gateway.acceptor import waiting
from router.gateway.places import Place
from router.gateway.tls import Certificates, names_of


def _nobody() -> None:
    """Nobody waits for this connection's end."""


class HttpConnection(H11Protocol):
    """A connection of the HTTP port.

    Each of its requests finds it in `request.state.connection`: no header of the client's can name another one.

    patience: seconds from its beginning, or from the first byte of a request, to the end of that request's header
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server: uvicorn.Server,
        place: Place,
        patience: float,
        certificates: Certificates | None,
    ) -> None:
        super().__init__(config, server.server_state, server.lifespan.state)
        self.place, self._patience, self._certificates = place, patience, certificates
        self.certified = False
        """The client showed a certificate of an authority of ours."""
        self.names: frozenset[str] = frozenset()
        """Names of the certificate that the client showed."""
        self.working = False
        """A whole request is in work."""
        self.lost: Callable[[], None] = _nobody
        """Called when the connection is gone."""
        self._awaited: asyncio.TimerHandle | None = None
        self._ended = False

    @property
    def unread(self) -> int:
        """Bytes of a body that came and were not yet asked for."""
        kept = len(self.cycle.body) if self.cycle is not None else 0
        return kept + waiting(self.transport)

    # -------------------------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.place.end, self.place.busy = transport.abort, lambda: self.working
        shown = transport.get_extra_info("peercert")
        if self._certificates is not None and not self._certificates.admits(shown):
            transport.abort()
            return
        self.certified, self.names = bool(shown), names_of(shown)
        self.app_state = {**self.app_state, "connection": self}
        self._wait()

    def data_received(self, data: bytes) -> None:
        self.place.heard = self.loop.time()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._arrived()
        elif self._awaited is None and not self.transport.is_closing():
            self._wait()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client writes nothing more. True: the connection stays until a request that came whole is answered."""
        self._ended = True
        cycle = self.cycle
        whole = cycle is not None and not cycle.response_complete and not cycle.more_body
        return whole and not self.transport.get_extra_info("sslcontext")

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.place.leave()
        super().connection_lost(exc)
        self.lost()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ended:
            self.transport.close()

    # -------------------------------------------------------------------------------------------- inside

    def _wait(self) -> None:
        self._awaited = self.loop.call_later(self._patience, self.transport.abort)

    def _arrived(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None
