"""Who asks, and whether she or it may: a token with its scopes, or the session of a browser with its CSRF header."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from router.access.person import Person
from router.console.api.operation import Operation
from router.console.api.problems import RETRY_AFTER, Refused
from router.console.choices import Choices
from router.console.csrf import bound, same_origin
from router.console.page import NotAllowed, Page
from router.console.rates import Rates
from router.console.sessions import cookie
from router.console.tools import ConsoleTools
from router.console.visit import Visit
from router.language import N_, T_, filled

CSRF: Final = "X-CSRF-Token"
_GUESSES: Final = "30/minute"
"""Tokens that are none, of one address of the network."""
_PAGE: Final = Page(name="api", path="/api", title="API", open=True)
_BAD_TOKEN: Final = N_("this token is none, or it was revoked, or its time is over")
_NO_SCOPE: Final = T_("this token lacks the scope {what}")
_NO_CSRF: Final = N_("a session acts with the token of its forms in the header `X-CSRF-Token`, from our own pages")


def visit_of(request: Request, tools: ConsoleTools, rates: Rates, choices: Choices) -> Visit:
    """One request, with who asks. Raises `Refused` (401, 429), `Unavailable`."""
    program = _program(request, tools, rates) if "authorization" in request.headers else None
    secret = cookie(request, secure=tools.secure) if program is None else ""
    session = tools.access.person_of(secret) if secret else None
    return Visit(
        request=request,
        page_asked=_PAGE,
        tools=tools,
        rates=rates,
        session=session,
        cookie=secret if session is not None else "",
        choices=choices,
        program=program,
    )


def admit(visit: Visit, operation: Operation) -> None:
    """Raises `Refused` (401, 403, 429) or `NotAllowed`."""
    person = visit.person_or_none
    if person is None:
        raise Refused(401, "API-LOGIN", headers={"WWW-Authenticate": "Bearer"})
    if person.scopes is not None and operation.scope not in person.scopes:
        wanted = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{operation.scope}"'}
        raise Refused(403, "API-SCOPE", filled(_NO_SCOPE, what=operation.scope), headers=wanted)
    if visit.session is not None and operation.method != "GET" and not _ours(visit):
        raise Refused(403, "API-CSRF", _NO_CSRF)
    if not visit.may(operation.role):
        raise NotAllowed
    if not visit.rates.allow(operation.rate, "api", operation.name, person.id):
        raise Refused(429, "API-RATE", headers=RETRY_AFTER)


def _program(request: Request, tools: ConsoleTools, rates: Rates) -> Person:
    """RFC 6750 §2.1 and §3.1. Whoever tries many wrong tokens is told to wait."""
    kind, _, text = request.headers["authorization"].partition(" ")
    found = tools.access.token(text.strip()) if kind.lower() == "bearer" else None
    if found is None:
        source = request.client.host if request.client else ""
        if not rates.allow(_GUESSES, "api token", source):
            raise Refused(429, "API-RATE", headers=RETRY_AFTER)
        raise Refused(401, "API-TOKEN", _BAD_TOKEN, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return found


def _ours(visit: Visit) -> bool:
    return same_origin(visit.request) and bound(visit.session, visit.request.headers.get(CSRF, ""))
