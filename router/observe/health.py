"""The administration port: `/metrics`, `/livez`, `/readyz`. Served by the supervisor for all its processes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.errors import OperatorFault
from router.language import filled
from router.observe.metrics import exposition

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

Readiness = Callable[[], Mapping[str, str]]
"""What is not ready, by part (`gateway-0`, `bus`…), and why; empty when all is."""


def app(readiness: Readiness) -> Starlette:
    """The three pages."""

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type=TEXT)

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        waiting = dict(readiness())
        return JSONResponse({"status": "waiting" if waiting else "ok", "waiting": waiting}, 503 if waiting else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/livez", livez), Route("/readyz", readyz)])


class AdminServer:
    """The pages on one port, bound at once so that a port in use is told in one sentence."""

    def __init__(self, readiness: Readiness, host: str, port: int) -> None:
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
        config = uvicorn.Config(app(readiness), log_config=None, access_log=False, lifespan="off")
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
