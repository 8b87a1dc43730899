"""The console as a process: its accounts, its audit, its own table, and the port on which browsers find it."""

from __future__ import annotations

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
from router.gateway.tls import Certificates
from router.language import N_, filled
from router.runtime.site_services import SiteServices
from router.runtime.status.gather import Gatherer

_ABSENT: Final = N_("the site file has no `console`: add `console: {port: 8443}`")
_DRAIN: Final = 3
_CONNECTIONS: Final = 500


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
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End soon. From any thread, or a signal handler."""
        self._server.should_exit = True

    def close(self) -> None:
        self._closing.close()

    def _tools(self, services: SiteServices) -> ConsoleTools:
        config, clock = self.config, services.clock
        store = ConsoleStore(services.url("console"), clock)
        self._closing.callback(store.close)
        watch = StatusWatch(lambda: Gatherer(services.site))
        self._closing.callback(watch.close)
        desk = DeadLetterDesk(services)
        runner = OrderRunner(store.orders, desk, clock)
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
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # an address may hold what a person looks for
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=_DRAIN,
            limit_concurrency=_CONNECTIONS,
        )
        config.load()
        if self._certificates is not None:
            config.ssl = self._certificates.context
        return config


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        text = filled("can't listen: {reason}", reason=error.strerror)
        raise OperatorFault("CONSOLE-PORT", f"{host}:{port}", text) from error
    return made


class _Server(uvicorn.Server):
    """Signals are the process's business."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready()

    def capture_signals(self):  # type: ignore[no-untyped-def]
        return nullcontext()
