"""Style, script and icon: our own files, under an address that holds their digest, so that a browser may keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KEPT: Final = "public, max-age=31536000, immutable"


@cache
def _files() -> dict[str, tuple[str, bytes]]:
    """Name -> (digest, bytes)."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            found[path.name] = (hashlib.sha256(body).hexdigest()[:16], body)
    return found


def address(name: str) -> str:
    """Where a page finds this file."""
    return f"/assets/{_files()[name][0]}/{name}"


async def serve(request: Request) -> Response:
    """`/assets/{digest}/{name}`: an old digest is not found."""
    name = request.path_params["name"]
    digest, body = _files().get(name, ("", b""))
    if not digest or digest != request.path_params["digest"]:
        return PlainTextResponse("404", 404)
    suffix = name[name.rindex(".") :]
    return Response(body, media_type=_TYPES[suffix], headers={"Cache-Control": _KEPT})
