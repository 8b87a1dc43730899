"""The cookie of a session: a secret that only the server can read meaning into."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_SECURE: Final = "__Host-segur"
_PLAIN: Final = "segur"


def _name(secure: bool) -> str:
    return _SECURE if secure else _PLAIN


def cookie(request: Request, *, secure: bool) -> str:
    """The secret that came with this request; "" for none."""
    return request.cookies.get(_name(secure), "")


def give_cookie(response: Response, secret: str, *, secure: bool) -> Response:
    """Until the browser is closed; the server ends it earlier. Lax: the return from an identity provider is a GET."""
    response.set_cookie(_name(secure), secret, secure=secure, httponly=True, samesite="lax", path="/")
    return response


def take_cookie(response: Response, *, secure: bool) -> Response:
    response.delete_cookie(_name(secure), secure=secure, httponly=True, samesite="lax", path="/")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
