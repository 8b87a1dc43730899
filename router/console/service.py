"""The console as a process: its accounts, its audit, its own table, and the port on which browsers find it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from typing import Final

import uvicorn

from router.audit.event import AuditEvent
from router.config.console_models import ConsoleConfig
from router.console.app import console_app
from router.console.desk import DeadLetterDesk
from router.console.oidc import Oidc
from router.console.runner import OrderRunner
from router.console.store import ConsoleStore
from router.console.tools import ConsoleTools
from router.console.watch import StatusWatch
from router.errors import OperatorFault
from router.gateway.acceptor import Acceptor
from router.gateway.complaints import Complaints
from router.gateway.http_protocol import HttpConnection
from router.gateway.places import Places
from router.gateway.tls import Certificates
from router.language import N_, filled
from router.runtime.site_services import SiteServices
from router.runtime.status.gather import Gatherer

_ABSENT: Final = N_("the site file has no `console`: add `console: {port: 8443}`")
_DRAIN: Final = 3
CONNECTIONS: Final = 500
_HEADER: Final = 10.0
"""Seconds that a browser has for the header of a request."""
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ConsoleService:
    """The console of a site, from its port to its databases. `close` closes what was opened."""

    def __init__(self, services: SiteServices) -> None:
        """Binds the port. Raises `OperatorFault` in one sentence."""
        if services.config.console is None:
            raise OperatorFault("CONSOLE", "console", _ABSENT)
        self.config: ConsoleConfig = services.config.console
        self._closing = ExitStack()
        self._socket = self._closing.enter_context(closing(_bound(self.config.host, self.config.port)))
        self.port: int = self._socket.getsockname()[1]
        self._certificates = Certificates(self.config.tls) if self.config.tls is not None else None
        self._server = _Server(self._configured(self._tools(services)))
        places = Places(CONNECTIONS, "console", Complaints(services.alert, services.observer))
        self._server.accept = lambda: self._accepting(places)

    @property
    def address(self) -> str:
        """Under which browsers reach it."""
        if self.config.address is not None and self.config.port:
            return self.config.address.rstrip("/")
        scheme = "https" if self.config.tls is not None else "http"
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{scheme}://{host}:{self.port}"

    def run(self, ready: Callable[[], None]) -> None:
        """Until `stop`; `ready` is called once it answers."""
        self._server.ready = ready
        self._server.run(sockets=[])

    def stop(self) -> None:
        """End soon. From any thread, or a signal handler."""
        self._server.should_exit = True

    def close(self) -> None:
        self._closing.close()

    def _tools(self, services: SiteServices) -> ConsoleTools:
        config, clock = self.config, services.clock
        store = ConsoleStore(services.url("console"), clock)
        self._closing.callback(store.close)
        watch = StatusWatch(lambda: Gatherer(services.site, config.other_places, by_hour=True))
        self._closing.callback(watch.close)
        services.start_directory()  # in a pod of its own nobody else has read the lists there
        desk = DeadLetterDesk(services)
        runner = OrderRunner(store.orders, desk, services.access.ordered, clock)
        self._closing.callback(runner.close)
        runner.start()

        def record(event: AuditEvent) -> None:
            services.audit.record(event)

        secure = config.tls is not None or (config.address or "").startswith("https:")
        return ConsoleTools(
            site=services.site,
            services=services,
            access=services.access,
            record=record,
            store=store,
            watch=watch,
            desk=desk,
            runner=runner,
            clock=clock,
            secure=secure,
            archive=services.archive,
            oidc=Oidc(config.oidc, self.address, clock) if config.oidc is not None else None,
        )

    def _configured(self, tools: ConsoleTools) -> uvicorn.Config:
        config = uvicorn.Config(
            console_app(tools),
            http=HttpConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # an address may hold what a person looks for
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=_DRAIN,
        )
        config.load()
        return config

    def _accepting(self, places: Places) -> Acceptor:
        """Like the port of the senders: a connection that asks for nothing makes room for one more."""
        server, certificates = self._server, self._certificates
        return Acceptor(
            self._socket,
            places,
            lambda place: _Connection(server.config, server, place, _HEADER, certificates),
            lambda: certificates.context if certificates is not None else None,
            _FULL,
        )


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
        made.setblocking(False)
    except OSError as error:
        made.close()
        text = filled("can't listen: {reason}", reason=error.strerror)
        raise OperatorFault("CONSOLE-PORT", f"{host}:{port}", text) from error
    return made


class _Connection(HttpConnection):
    """Left alone while a whole request of it is answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.place.busy = self._answers

    def _answers(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body


class _Server(uvicorn.Server):
    """Uvicorn with our own way to accept connections. Signals are the process's business."""

    ready: Callable[[], None]
    accept: Callable[[], Acceptor]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.servers = [self.accept()]  # type: ignore[list-item]  # which is closed like one
        self.ready()

    def capture_signals(self):  # type: ignore[no-untyped-def]
        return nullcontext()
