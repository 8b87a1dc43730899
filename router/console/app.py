"""`console_app`: every page of the console behind its headers, sessions, rights, rates, and errors as pages."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, urlencode

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from router.access.sessions import Session
from router.console import assets, bodies, live
from router.console.api.app import api_app
from router.console.api.operation import BASE
from router.console.choices import Choices
from router.console.csrf import FIELD, bound, same_origin
from router.console.headers import StrictHeaders
from router.console.page import Handler, NotAllowed, NotHere, Page
from router.console.rates import Rates
from router.console.registry import all_pages
from router.console.sessions import cookie
from router.console.tools import ConsoleTools
from router.console.visit import Visit
from router.database import TooSlow
from router.errors import Unavailable
from router.language import DEFAULT, N_, in_language

log = structlog.get_logger()

_FORM_BYTES: Final = 64 * 1024
_FIELDS: Final = 1000
_FORM: Final = "application/x-www-form-urlencoded"
_ERRORS: Final = Page(name="error", path="", title=N_("Not possible"), open=True)
"""In the place of a page that there is not."""


def console_app(tools: ConsoleTools) -> ASGIApp:
    """The console as an ASGI application. The headers stand around everything, also around what failed."""
    return StrictHeaders(_Console(tools).app(), secure=tools.secure)


class _Refused(Exception):
    """Answered by a page of this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Console:
    def __init__(self, tools: ConsoleTools) -> None:
        self._tools = tools
        self._rates = Rates()

    def app(self) -> Starlette:
        routes = [
            Route("/assets/{digest}/{name}", assets.serve, methods=["GET"]),
            Route("/live", live.stream(self._tools, self._someone), methods=["GET"]),
            Mount(BASE, api_app(self._tools, self._rates)),
            *(Route(page.path, self._endpoint(page), methods=_methods(page), name=page.name) for page in all_pages()),
        ]
        return Starlette(
            routes=routes,
            exception_handlers={HTTPException: self._no_route, Exception: self._bug},
        )

    # ------------------------------------------------------------------------------------------- one request

    def _endpoint(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                form = await _form(request) if request.method == "POST" else {}
            except _Refused as refused:
                return await run_in_threadpool(self._error, request, refused.status)
            return await run_in_threadpool(self._serve, page, request, form)

        return endpoint

    def _serve(self, page: Page, request: Request, form: Mapping[str, Sequence[str]]) -> Response:
        """In a thread: rights, rate, then the page's own handler; faults become pages."""
        try:
            visit = self._visit(page, request, form)
        except Unavailable as fault:
            return self._away(request, fault)
        with in_language(visit.choices.language):
            try:
                handler = self._admitted(visit)
                return handler(visit) if handler is not None else self._to_login(request)
            except (_Refused, NotHere, NotAllowed) as refused:
                return self._shown(visit, _status(refused))
            except Unavailable as fault:
                return self._away(request, fault, visit)
            except Exception:
                return self._failed(visit)

    def _visit(self, page: Page, request: Request, form: Mapping[str, Sequence[str]]) -> Visit:
        """Raises `Unavailable` when nobody can say whose session it is."""
        secret = cookie(request, secure=self._tools.secure)
        live = "x-live" in request.headers  # a page that asks for itself again is no sign of life
        session = self._tools.access.person_of(secret, touch=not live) if secret else None
        person = session.person if session is not None else None
        kept = self._tools.store.choices(person.id) if person is not None else {}
        return Visit(
            request=request,
            page_asked=page,
            tools=self._tools,
            rates=self._rates,
            session=session,
            cookie=secret if session is not None else "",
            form=form,
            choices=self._choices(request, kept),
        )

    def _choices(self, request: Request, kept: Mapping[str, str]) -> Choices:
        config = self._tools.services.config.console
        return Choices.of(
            kept, request.headers.get("accept-language", ""), config.language if config is not None else DEFAULT
        )

    def _someone(self, request: Request) -> Session | None:
        """Whose stream this is; a stream is no sign of life."""
        secret = cookie(request, secure=self._tools.secure)
        found = self._tools.access.person_of(secret, touch=False) if secret else None
        return found if found is not None and found.person is not None else None

    def _admitted(self, visit: Visit) -> Handler | None:
        """What answers this request; None: log in first. Raises `_Refused`, `NotAllowed`."""
        page, acts = visit.page_asked, visit.request.method == "POST"
        if visit.person_or_none is None and not page.open:
            return None
        if acts and not self._ours(visit):
            raise _Refused(400)
        if not page.open and not visit.may(page.act_role if acts else page.role):
            raise NotAllowed
        if acts and page.does and visit.field("do") not in page.does:
            raise NotHere
        who = visit.person_or_none.id if visit.person_or_none is not None else visit.source
        if not self._rates.allow(page.act_rate if acts else page.rate, page.name, who):
            raise _Refused(429)
        return page.act if acts else page.show

    def _ours(self, visit: Visit) -> bool:
        """Whether one of our own pages sent this form, in this session."""
        if not same_origin(visit.request):
            return False
        return visit.page_asked.open or bound(visit.session, visit.field(FIELD))

    def _to_login(self, request: Request) -> Response:
        """To the form, which leads back to the page asked for: its address holds no identity."""
        if request.method == "POST":
            return RedirectResponse("/login", 303)
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': there})}" if there != "/" else "/login", 303)

    # ------------------------------------------------------------------------------------------------ faults

    async def _no_route(self, request: Request, fault: Exception) -> Response:
        status = fault.status_code if isinstance(fault, HTTPException) else 500
        return await run_in_threadpool(self._error, request, status)

    async def _bug(self, request: Request, fault: Exception) -> Response:  # noqa: ARG002  (starlette logs it)
        return PlainTextResponse("500", 500)

    def _error(self, request: Request, status: int) -> Response:
        """The page of a status, in the language of who asks; nothing of the address is in it."""
        try:
            visit = self._visit(_ERRORS, request, {})
        except Unavailable as fault:
            return self._away(request, fault)
        with in_language(visit.choices.language):
            return self._shown(visit, status)

    def _shown(self, visit: Visit, status: int, **values: str | bool) -> Response:
        known = status if status in (400, 403, 404, 405, 413, 415, 429, 500, 503) else 404
        visit.page_asked = _ERRORS
        headers = {"Retry-After": "60"} if known in (429, 503) else {}
        return visit.page(
            "error.html", status=known, headers=headers, code=known, **{"reference": "", "slow": False, **values}
        )

    def _failed(self, visit: Visit) -> Response:
        reference = secrets.token_hex(4)
        log.error("a page failed", reference=reference, page=visit.page_asked.name, exc_info=True)
        return self._shown(visit, 500, reference=reference)

    def _away(self, request: Request, fault: Unavailable, visit: Visit | None = None) -> Response:
        """A database is away, or took too long: said in a page that needs none."""
        log.warning("a page waits for a database", code=fault.code, place=fault.place)
        known = visit or Visit(
            request=request,
            page_asked=_ERRORS,
            tools=self._tools,
            rates=self._rates,
            session=None,
            choices=self._choices(request, {}),
        )
        with in_language(known.choices.language):
            return self._shown(known, 503, reference=fault.code, slow=isinstance(fault, TooSlow))


def _status(refused: _Refused | NotHere | NotAllowed) -> int:
    if isinstance(refused, _Refused):
        return refused.status
    return 404 if isinstance(refused, NotHere) else 403


def _methods(page: Page) -> list[str]:
    return [method for method, handler in (("GET", page.show), ("POST", page.act)) if handler is not None]


async def _form(request: Request) -> Mapping[str, Sequence[str]]:
    """Fields of a small form. Raises `_Refused` for another kind of body, or too large a one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _Refused(415)
    body = await bodies.whole(request, _FORM_BYTES)
    if isinstance(body, int):
        raise _Refused(body)
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError as error:
        raise _Refused(400) from error
