"""`api_app`: the operations behind rights, rates and checks; every error of theirs is a problem (RFC 9457 §3)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.console import bodies
from router.console.api import document, problems
from router.console.api.admission import admit, visit_of
from router.console.api.operation import BASE, MEDIA_TYPES, NEXT, Input, Lines, Operation, Output, by_path
from router.console.api.problems import Refused
from router.console.choices import Choices
from router.console.page import NotAllowed, NotHere
from router.console.rates import Rates
from router.console.tools import ConsoleTools
from router.database import TooSlow
from router.errors import OperatorFault, Unavailable
from router.language import DEFAULT, in_language

log = structlog.get_logger()

_BODY_BYTES: Final = 64 * 1024
_JSON: Final = "application/json"
_DOCUMENT_RATE: Final = "120/minute"


def api_app(tools: ConsoleTools, rates: Rates) -> Starlette:
    """To be mounted at `BASE`. It answers by itself whatever is asked below."""
    return _Api(tools, rates).app()


class _Api:
    def __init__(self, tools: ConsoleTools, rates: Rates) -> None:
        self._tools, self._rates = tools, rates

    def app(self) -> Starlette:
        routes = [
            Route("/openapi.json", self._document, methods=["GET"]),
            *(
                Route(path, self._endpoint(operations), methods=[one.method for one in operations])
                for path, operations in by_path().items()
            ),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})

    def _endpoint(self, operations: Sequence[Operation]) -> Callable[[Request], Awaitable[Response]]:
        known: dict[str, Operation] = {one.method: one for one in operations}

        async def endpoint(request: Request) -> Response:
            operation = known["GET" if request.method == "HEAD" else request.method]
            body = await _body(request) if operation.method == "POST" else b""
            return await run_in_threadpool(self._spoken, request, lambda: self._served(operation, request, body))

        return endpoint

    async def _document(self, request: Request) -> Response:
        def made() -> Response:
            source = request.client.host if request.client else ""
            if not self._rates.allow(_DOCUMENT_RATE, "openapi", source):
                raise Refused(429, "API-RATE", headers=problems.RETRY_AFTER)
            return JSONResponse(document.document(self._choices(request).language))

        return await run_in_threadpool(self._spoken, request, made)

    async def _no_route(self, request: Request, fault: Exception) -> Response:
        status = fault.status_code if isinstance(fault, HTTPException) else 500
        headers = fault.headers if isinstance(fault, HTTPException) else None
        with in_language(self._choices(request).language):
            return problems.answer(status, headers=headers)

    # ------------------------------------------------------------------------------------------- one request

    def _spoken(self, request: Request, answer: Callable[[], Response]) -> Response:
        """In a thread, in the language of who asks; faults become problems."""
        with in_language(self._choices(request).language):
            try:
                return answer()
            except Exception as fault:
                return _problem(fault)

    def _served(self, operation: Operation, request: Request, body: bytes | int) -> Response:
        visit = visit_of(request, self._tools, self._rates, self._choices(request))
        admit(visit, operation)
        given = _given(operation, request, body)
        return _answered(operation, operation.run(visit, given))

    def _choices(self, request: Request) -> Choices:
        config = self._tools.services.config.console
        default = config.language if config is not None else DEFAULT
        return Choices.of({}, request.headers.get("accept-language", ""), default)


def _problem(fault: Exception) -> Response:
    """What went wrong, in the language that is spoken now. What nobody foresaw is in the log, under a reference."""
    match fault:
        case Refused():
            made = problems.answer(fault.status, fault.code, fault.detail, errors=fault.errors, headers=fault.headers)
        case NotHere():
            made = problems.answer(404)
        case NotAllowed():
            made = problems.answer(403)
        case TooSlow():
            log.warning("an operation was cut", code=fault.code, place=fault.place)
            made = problems.answer(503, "API-SLOW", fault.text, reference=fault.code)
        case Unavailable():
            log.warning("an operation waits for a database", code=fault.code, place=fault.place)
            made = problems.answer(503, reference=fault.code)
        case OperatorFault():
            made = problems.answer(422, fault.code, fault.text)
        case _:
            reference = secrets.token_hex(4)
            log.error("an operation failed", reference=reference, exc_info=fault)
            made = problems.answer(500, reference=reference)
    return made


def _answered(operation: Operation, output: Output) -> Response:
    headers = {}
    if isinstance(output, Lines):
        headers = {NEXT: output.next} if output.next else {}
        kind = f"{MEDIA_TYPES[output.format]}; charset=utf-8"
        return Response(output.text, operation.status, headers=headers, media_type=kind)
    if operation.status == HTTPStatus.CREATED:
        headers["Location"] = f"{BASE}{operation.path}/{getattr(output, operation.gives.made)}"
    return JSONResponse(output.model_dump(mode="json"), operation.status, headers=headers)


# ------------------------------------------------------------------------------------------------------ what was sent


async def _body(request: Request) -> bytes | int:
    """The body of a POST; the status that refuses it instead."""
    body = await bodies.whole(request, _BODY_BYTES)
    if isinstance(body, int):
        return body
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return 415 if kind != _JSON and (body or kind) else body


def _given(operation: Operation, request: Request, body: bytes | int) -> Input:
    """Raises `Refused` (400, 413, 415, 422), `NotHere` for an id that can't be one."""
    if isinstance(body, int):
        raise Refused(body, "")
    parts: dict[str, Any] = {name: request.path_params[name] for name in operation.in_path}
    try:
        if operation.method == "POST":
            _no_query(request)
            return operation.takes.model_validate_json(json.dumps({**_object(body, parts), **parts}), strict=True)
        return operation.takes.model_validate_strings({**_query(request, parts), **parts})
    except ValidationError as fault:
        if any(one["loc"][:1] in {(name,) for name in parts} for one in fault.errors(include_input=False)):
            raise NotHere from fault
        raise Refused(422, "API-VALUES", errors=problems.of_validation(fault)) from None


def _object(body: bytes, parts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(body.decode() or "{}")
    except (ValueError, RecursionError) as fault:
        raise Refused(400, "API-REQUEST") from fault
    if not isinstance(found, dict):
        raise Refused(400, "API-REQUEST")
    return _apart(found, parts)


def _query(request: Request, parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise Refused(422, "", errors=[problems.twice(name)])
        found[name] = value
    return _apart(found, parts)


def _no_query(request: Request) -> None:
    """What a POST asks stands in its body: an address is kept by others."""
    if request.query_params:
        raise Refused(422, "", errors=[problems.unknown(name) for name in request.query_params])


def _apart(found: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `Refused` for a part of the path that is given a second time."""
    if twice := found.keys() & parts.keys():
        raise Refused(422, "", errors=[problems.unknown(name) for name in twice])
    return found
