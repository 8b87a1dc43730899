"""The administration port: `/metrics`, `/livez`, `/readyz`. Served by the supervisor for all its processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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


def server(readiness: Readiness, host: str, port: int) -> uvicorn.Server:
    """A server for `app`; run it with `await server.serve()`, stop it with `server.should_exit = True`."""
    return uvicorn.Server(
        uvicorn.Config(app(readiness), host=host, port=port, log_config=None, access_log=False, lifespan="off")
    )
