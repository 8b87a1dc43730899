"""From the models: JSON Schema for editors, and one reference page. Deterministic, so that freshness can be tested."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import PurePath
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from router.config.expressions import __doc__ as expressions
from router.config.pipeline import PipelineConfig
from router.config.site_models import SiteConfig
from router.measures import MEASURES, PREFIX

_METRICS = """## Metrics

At `http://<admin>/metrics`, for all processes of one router. Where no words are given, a label takes names of the site
file, codes of faults, or types of documents; whatever is in no list is `other`, and codes `BUG-…` are `BUG`. Counters
exist from the start, at 0.

| Metric | Kind | Labels | Meaning |
|---|---|---|---|
"""
_INTRODUCTION = """# Reference of the YAML files and of the metrics

Generated from the models by `make docs`; a test fails when it is stale. `segur-router check` knows the same models, and
`schemas/*.schema.json` gives editors completion: put `# yaml-language-server: $schema=…/site.schema.json` on the
first line of a file.
"""


def files() -> dict[str, str]:
    """Path from the root of the checkout -> content."""
    return {
        "schemas/site.schema.json": _schema(SiteConfig),
        "schemas/pipeline.schema.json": _schema(PipelineConfig),
        "docs/reference.md": page(),
    }


def _schema(model: type[BaseModel]) -> str:
    return json.dumps(model.model_json_schema(by_alias=True), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The reference page: the pipeline file, its expressions, the site file, and every model they use, once each."""
    parts = [_INTRODUCTION, "\n".join(_models(PipelineConfig, "The pipeline file", set()))]
    parts += ["## Expressions\n", inspect.cleandoc(expressions or ""), ""]
    parts += ["\n".join(_models(SiteConfig, "The site file: `router.yaml`", set()))]
    return "\n".join([*parts, _metrics()]).rstrip() + "\n"


def _metrics() -> str:
    """Every measure, in the order of `router.measures`."""
    lines = []
    for name, one in MEASURES.items():
        labels = [
            f"`{label}`" + (f" ({', '.join(words)})" if (words := one.words.get(label)) else "") for label in one.labels
        ]
        lines.append(f"| `{PREFIX}{name}` | {one.kind} | {', '.join(labels)} | {_cell(one.text)} |")
    return _METRICS + "\n".join(lines)


def _models(model: type[BaseModel], title: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    """One section per model, depth first."""
    if model in seen:
        return
    seen.add(model)
    yield f"## {title}\n"
    yield inspect.cleandoc(model.__doc__ or "") + "\n"
    yield "| Key | Type | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        cells = (f"`{field.alias or name}`", _type(field.annotation), _default(field), _cell(field.description or ""))
        yield f"| {' | '.join(cells)} |"
    yield ""
    for name, field in model.model_fields.items():
        for inner in _inside(field.annotation):
            yield from _models(
                inner, f"{title.split(':', maxsplit=1)[0]} › `{field.alias or name}` ({_tag(inner)})", seen
            )


def _tag(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("type")
    return f"type `{kind.default}`" if kind is not None and isinstance(kind.default, str) else model.__name__


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _inside(argument)


_PLAIN = {str: "text", int: "integer", float: "number", bool: "true / false"}


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), [one for one in get_args(annotation) if one is not type(None)]
    if origin is None:
        return _plain_type(annotation)
    names = list(dict.fromkeys(map(_type, arguments))) if origin is not Literal else [f"`{one}`" for one in arguments]
    if origin in (Union, UnionType):
        return " or ".join(names)
    if origin in (list, tuple):
        return f"list of {names[0]}"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    return " / ".join(names) if origin is Literal else names[0]


def _plain_type(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return _PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True) if field.default_factory is None else None
    if value is None or value in ("", (), {}, []) or isinstance(value, BaseModel):
        return ""
    return f"`{str(value).replace('|', chr(92) + '|')}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
