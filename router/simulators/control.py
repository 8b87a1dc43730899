"""The control port: plain JSON over HTTP on the loopback, by which another process scripts a simulator.

`POST /<name>` with a JSON object calls the simulator's command of that name with it as arguments and answers with
its result; `GET /<name>` calls it without arguments, `GET /` lists the names.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from router.simulators.http import HttpServer, Request, Response

Command = Callable[..., Any]
"""Plain or async; its result must be JSON."""


def control_server(commands: Mapping[str, Command], port: int = 0) -> HttpServer:
    """A server, not yet started, for these commands."""

    async def handle(request: Request) -> Response:
        name = request.path.partition("?")[0].strip("/")
        if not name:
            return _json(sorted(commands))
        if name not in commands:
            return _json({"error": f"no command {name}", "commands": sorted(commands)}, 404)
        try:
            arguments = json.loads(request.body or b"{}")
            result = commands[name](**arguments)
            return _json(await result if inspect.isawaitable(result) else result)
        except (TypeError, ValueError, KeyError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)

    return HttpServer(handle, port=port, context=None)


def _json(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value, ensure_ascii=False).encode(), "application/json")
