"""The administration port: `/metrics`, `/livez`, `/readyz`, `/version`, `/status`, for all workers of a supervisor."""

from __future__ import annotations

import socket
from asyncio import to_thread
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.contracts import EVENT_FORMAT
from router.errors import OperatorFault
from router.language import filled
from router.observe.metrics import exposition
from router.software import our_version

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

Readiness = Callable[[], Mapping[str, str]]
"""What is not ready, by part (`gateway-0`, `bus`…), and why; empty when all is."""


Report = Callable[[], Mapping[str, object]]
"""What this supervisor says of its workers, as JSON: no patient data."""


def nothing() -> Mapping[str, object]:
    """For a port that has no more to tell."""
    return {}


def app(readiness: Readiness, report: Report = nothing) -> Starlette:
    """The five pages."""

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type=TEXT)

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        waiting = dict(readiness())
        return JSONResponse({"status": "waiting" if waiting else "ok", "waiting": waiting}, 503 if waiting else 200)

    async def version(_: Request) -> Response:
        return JSONResponse({"version": our_version(), "events": EVENT_FORMAT})

    async def status(_: Request) -> Response:
        return JSONResponse(await to_thread(report))

    pages = {"/status": status, "/metrics": metrics, "/livez": livez, "/readyz": readyz, "/version": version}
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])


class AdminServer:
    """The pages on one port, bound at once so that a port in use is told in one sentence."""

    def __init__(self, readiness: Readiness, host: str, port: int, report: Report = nothing) -> None:
        """Raises `OperatorFault` when the port can't be had."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise OperatorFault(
                "ADMIN-PORT", f"{host}:{port}", filled("can't listen: {reason}", reason=error.strerror)
            ) from error
        config = uvicorn.Config(app(readiness, report), log_config=None, access_log=False, lifespan="off")
        self._server = _Quiet(config)

    async def serve(self) -> None:
        """Until `stop`."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        self._server.should_exit = True
        self._socket.close()


class _Quiet(uvicorn.Server):
    """Signals are the supervisor's business."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        return nullcontext()
