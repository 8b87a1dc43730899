"""The OpenAPI document (OpenAPI 3.1), made of the declarations of the operations."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from router.access.tokens import SCOPES
from router.console.api.admission import CSRF
from router.console.api.operation import BASE, MEDIA_TYPES, NEXT, Lines, Operation, all_operations
from router.console.api.problems import MEDIA_TYPE, TOLD, Problem
from router.language import N_, _, in_language

VERSION: Final = "1.0.0"
"""Of the API: its first number changes when a program that was right would fail."""
_TITLE: Final = N_("API of the console of segur-router")
_ABOUT: Final = N_(
    "Everything of another structure answers as what does not exist. No identity of a patient stands in an address: "
    "such searches are sent by POST. Content needs the scope api:content and a reason, which the audit keeps."
)
_TOKEN: Final = N_("a token of `segur-router token create`; what it needs for each operation is its scope and a role")
_SESSION: Final = N_("the session of the console; a POST needs the token of its forms in `X-CSRF-Token` too")
_NEXT: Final = N_("give it as `after` for the next lines; absent behind the last ones")
_LIST: Final = "#/components/schemas/{model}"
_EVERY: Final = (401, 403, 404, 405, 422, 429, 500, 503)
_OF_POST: Final = (400, 413, 415)


@cache
def document(language: str) -> dict[str, Any]:
    """The whole document. Its texts are in that language; it holds nothing of a site."""
    with in_language(language):
        made: dict[str, Any] = _translated(_Document().made())
        return made


class _Document:
    def __init__(self) -> None:
        self._schemas: dict[str, Any] = {}

    def made(self) -> dict[str, Any]:
        paths: dict[str, Any] = {}
        for one in all_operations():
            paths.setdefault(BASE + one.path, {})[one.method.lower()] = self._operation(one)
        return {
            "openapi": "3.1.0",
            "info": {"title": _(_TITLE), "version": VERSION, "description": _ABOUT},
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "responses": {str(status): self._problem(status) for status in sorted(TOLD)},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "description": _TOKEN},
                    "session": {"type": "apiKey", "in": "cookie", "name": "__Host-segur", "description": _SESSION},
                },
            },
        }

    def _operation(self, one: Operation) -> dict[str, Any]:
        faults = (*_EVERY, *(_OF_POST if one.method == "POST" else ()), *((409,) if one.conflicts else ()))
        made: dict[str, Any] = {
            "operationId": one.name,
            "summary": one.does,
            "tags": [one.path.split("/")[1]],
            "security": [{"token": []}, {"session": []}],
            "x-scope": one.scope,
            "x-scope-gives": SCOPES[one.scope],
            "x-role": one.role.name.lower(),
            "parameters": list(self._parameters(one)),
            "responses": {
                str(one.status): self._success(one),
                **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(faults)},
            },
        }
        if one.method == "POST":
            made["parameters"].append(_CSRF_HEADER)
            body = self._body(one)
            made["requestBody"] = {"required": "required" in body, "content": {"application/json": {"schema": body}}}
        return {name: value for name, value in made.items() if value != []}

    def _parameters(self, one: Operation) -> Iterator[dict[str, Any]]:
        """Those of the path; of a GET all others as a query."""
        schema = self._schema(one.takes)
        for name, value in schema.get("properties", {}).items():
            inside = name in one.in_path
            if inside or one.method == "GET":
                about = {key: text for key, text in value.items() if key == "description"}
                form = {key: part for key, part in value.items() if key != "description"}
                needed = inside or name in schema.get("required", ())
                yield {"name": name, "in": "path" if inside else "query", "required": needed, **about, "schema": form}

    def _body(self, one: Operation) -> dict[str, Any]:
        """What it takes, without what stands in the path."""
        schema = copy.deepcopy(self._schema(one.takes))
        for name in one.in_path:
            schema["properties"].pop(name)
        if "required" in schema:
            schema["required"] = [name for name in schema["required"] if name not in one.in_path]
        return {name: value for name, value in schema.items() if value != []}

    def _success(self, one: Operation) -> dict[str, Any]:
        if issubclass(one.gives, Lines):
            return _LINES
        made = {
            "description": HTTPStatus(one.status).phrase,
            "content": {"application/json": {"schema": self._component(one.gives)}},
        }
        if one.status == HTTPStatus.CREATED:
            made["headers"] = {"Location": {"schema": {"type": "string"}, "required": True}}
        return made

    def _problem(self, status: int) -> dict[str, Any]:
        names = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
        made: dict[str, Any] = {
            "description": TOLD[status][1],
            "content": {MEDIA_TYPE: {"schema": self._component(Problem)}},
        }
        if status in names:
            made["headers"] = {names[status]: {"schema": {"type": "string"}, "required": True}}
        return made

    def _component(self, model: type[BaseModel]) -> dict[str, Any]:
        """A reference to the model, which is put among the components."""
        self._take(model.__name__, self._schema(model, mode="serialization"))
        return {"$ref": _LIST.format(model=model.__name__)}

    def _schema(self, model: type[BaseModel], mode: Any = "validation") -> dict[str, Any]:
        schema: dict[str, Any] = _plain(model.model_json_schema(ref_template=_LIST, mode=mode))
        for name, part in schema.pop("$defs", {}).items():
            self._take(name, part)
        return schema

    def _take(self, name: str, schema: dict[str, Any]) -> None:
        """Raises `ValueError` for two models of one name: one of them would be told as the other."""
        if self._schemas.setdefault(name, schema) != schema:
            raise ValueError(name)


_LINES: Final[dict[str, Any]] = {
    "description": HTTPStatus.OK.phrase,
    "content": {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()},
    "headers": {NEXT: {"description": _NEXT, "required": False, "schema": {"type": "string"}}},
}
_CSRF_HEADER: Final = {
    "name": CSRF,
    "in": "header",
    "required": False,
    "description": _SESSION,
    "schema": {"type": "string"},
}


def _plain(schema: Any) -> Any:
    """Without the titles that pydantic makes of names, and without our own docstrings."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for name, value in schema.items():
        if name in ("properties", "$defs") and isinstance(value, dict):
            out[name] = {key: _plain(one) for key, one in value.items()}
        elif name == "title" or (name == "description" and ("properties" in schema or "enum" in schema)):
            continue
        else:
            out[name] = _plain(value)
    return out


def _translated(part: Any) -> Any:
    """Descriptions in the language that is spoken now."""
    if isinstance(part, list):
        return [_translated(one) for one in part]
    if not isinstance(part, dict):
        return part
    texts = ("description", "summary", "x-scope-gives")
    return {
        name: _(value) if name in texts and isinstance(value, str) else _translated(value)
        for name, value in part.items()
    }
