"""Errors of the API as `application/problem+json` (RFC 9457 §3), in the language of who asks, without a value sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import JSONResponse, Response

from router.config import sentences
from router.language import N_, _, translated

MEDIA_TYPE: Final = "application/problem+json"
_TWICE: Final = N_("this parameter stands here twice")
RETRY_AFTER: Final = {"Retry-After": "60"}


class Wrong(BaseModel):
    """One place of what was sent that can't stand there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)
    pointer: str = Field(description=N_("a JSON pointer into what was sent, or the name of a parameter behind `/`"))
    detail: str


class Problem(BaseModel):
    """RFC 9457 §3.1: `type` is `about:blank`, so `title` is the phrase of the status. `code` is stable."""

    type: str = Field(default="about:blank")
    title: str
    status: int
    detail: str = Field(description=N_("what to do about it, in the language of who asks"))
    code: str = Field(description=N_("a stable name of the error, for programs"))
    errors: list[Wrong] | None = Field(default=None, description=N_("every place that is wrong"))
    reference: str | None = Field(default=None, description=N_("what to look for in the log"))


class Refused(Exception):
    """Answered by a problem. detail: a marked text, or one in the language of who asks already."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[Wrong] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = tuple(errors), dict(headers or {})


#: Status -> (code, sentence), where nobody says it better.
TOLD: Final[Mapping[int, tuple[str, str]]] = {
    400: ("API-REQUEST", N_("this is no JSON object in UTF-8")),
    401: ("API-LOGIN", N_("a token (`Authorization: Bearer`) or the session of the console is needed")),
    403: ("API-ROLE", N_("your role does not give this")),
    404: ("API-UNKNOWN", N_("there is no such thing, or it belongs to a structure that is not yours")),
    405: ("API-METHOD", N_("this address takes other methods: `Allow` names them")),
    409: ("API-CONFLICT", N_("it is not in a state for this")),
    413: ("API-SIZE", N_("this is too large: 64 KiB at most")),
    415: ("API-KIND", N_("the body must be `application/json`")),
    422: ("API-VALUES", N_("some values can't stand where they stand")),
    429: ("API-RATE", N_("too many requests: wait a minute")),
    500: ("API-BUG", N_("this failed; the log says why, under the reference")),
    503: ("API-AWAY", N_("a database or a service is away: try again later")),
}


def answer(
    status: int,
    code: str = "",
    detail: str = "",
    *,
    errors: Sequence[Wrong] = (),
    reference: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response, in the language that is spoken now."""
    known, said = TOLD.get(status, TOLD[500] if status >= HTTPStatus.INTERNAL_SERVER_ERROR else TOLD[400])
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=translated(detail) or _(said),
        code=code or known,
        errors=list(errors) or None,
        reference=reference or None,
    )
    more = RETRY_AFTER if status in (429, 503) else {}
    body: dict[str, Any] = problem.model_dump(exclude_none=True)
    return JSONResponse(body, status, headers={**more, **(headers or {})}, media_type=MEDIA_TYPE)


def of_validation(fault: ValidationError) -> list[Wrong]:
    """Every fault of a model, in our words: none quotes a value."""
    return [_wrong(one) for one in fault.errors(include_url=False, include_input=False)]


def _wrong(one: ErrorDetails) -> Wrong:
    place = "".join(f"/{_escaped(part)}" for part in one["loc"])
    return Wrong(pointer=place, detail=translated(sentences.of_value(one["type"], one.get("ctx", {}))))


def _escaped(part: str | int) -> str:
    """RFC 6901 §3."""
    return str(part)[:100].replace("~", "~0").replace("/", "~1")


def unknown(name: str) -> Wrong:
    """A name that this operation does not take."""
    return Wrong(pointer=f"/{_escaped(name)}", detail=translated(sentences.of_value("extra_forbidden", {})))


def twice(name: str) -> Wrong:
    """A parameter of a query, given several times."""
    return Wrong(pointer=f"/{_escaped(name)}", detail=_(_TWICE))
