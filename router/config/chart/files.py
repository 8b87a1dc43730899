"""values.yaml, values.schema.json and README.md of the Helm chart, made from `ChartValues`. Deterministic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from router.config.chart.values import ChartValues
from router.config.load import Source

CHART: Final = Path("deploy/helm/segur-router")
_WIDTH: Final = 118
_HEAD: Final = """\
# Values of the chart, with their defaults. Generated from the models by `make docs`; a test fails when it is stale.
# Comments follow the conventions of helm-docs. `values-demo.yaml` and `ci/*.yaml` are whole examples.
"""


def chart_files(root: Path) -> dict[str, str]:
    """Path from the root of the checkout -> content. README.md is its template with the table of values."""
    found = {
        str(CHART / "values.yaml"): values_yaml(),
        str(CHART / "values.schema.json"): json.dumps(_schema(root), indent=1, ensure_ascii=False) + "\n",
    }
    template = root / CHART / "README.md.gotmpl"
    if template.is_file():
        found[str(CHART / "README.md")] = _readme(template.read_text(encoding="utf-8"))
    return found


# ------------------------------------------------------------------------------------------------- values.yaml


def values_yaml() -> str:
    """Every key with its default and its description."""
    return _HEAD + "".join(_lines(ChartValues, 0))


def _lines(model: type[BaseModel], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in model.model_fields.items():
        if depth == 0:
            yield "\n"
        yield from _comment(field.description or "", indent)
        inner = _model_of(field)
        if inner is not None:
            yield f"{indent}{name}:\n"
            yield from _lines(inner, depth + 1)
        else:
            yield f"{indent}{name}: {_scalar(_default(field))}\n"


def _comment(text: str, indent: str) -> Iterator[str]:
    """`# -- text`, wrapped."""
    line = f"{indent}# --"
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH:
            yield f"{line}\n"
            line = f"{indent}#"
        line += f" {word}"
    yield f"{line}\n"


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    return {} if value is None else value


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------------ values.schema.json


def _schema(root: Path) -> dict[str, Any]:
    path = root / CHART / "files" / "moved-keys.yaml"
    return values_schema(Source(path).data if path.is_file() else {})


def values_schema(moved: Mapping[str, str]) -> dict[str, Any]:
    """JSON Schema, draft 2020-12, that Helm applies before it renders. `moved`: key -> sentence of the chart.

    The model's own schema, except: `global` is open, for the charts that hold this one; names that match no pattern
    are refused; a choice by `type` is written as if/then, so that the fault that is shown is the right member's;
    keys may be written with `_` or `-` where the model takes both; an empty `site.config` and the moved keys are the
    chart's business, which has a sentence for each.
    """
    schema = _clear(ChartValues.model_json_schema(by_alias=True))
    schema["properties"]["global"] = {"type": "object", "description": "Of the chart that holds this one; not used."}
    site = schema["$defs"]["SiteValues"]["properties"]["config"]
    schema["$defs"]["SiteValues"]["properties"]["config"] = {
        "description": site["description"],
        "if": {"type": "object", "minProperties": 1},
        "then": {"$ref": "#/$defs/SiteConfig"},
        "else": {"type": ["object", "null"]},
    }
    for path, sentence in moved.items():
        *parents, name = path.split(".")
        _place(schema, parents)["properties"][name] = {"description": f"Not a key of this chart: {sentence}."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _place(schema: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The definition under a path of properties."""
    node: dict[str, Any] = schema
    for name in path:
        node = schema["$defs"][node["properties"][name]["$ref"].rpartition("/")[2]]
    return node


def _clear(node: Any) -> Any:
    if isinstance(node, list):
        return [_clear(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: _clear(value) for key, value in node.items() if key not in ("title", "discriminator", "format")}
    if "patternProperties" in made:
        made["additionalProperties"] = False
    if isinstance(node.get("discriminator"), dict) and "oneOf" in made:
        made = {key: value for key, value in made.items() if key != "oneOf"} | _choice(node["discriminator"])
    properties = made.get("properties")
    if isinstance(properties, dict):
        made["properties"] = _both_spellings(properties)
    return made


def _choice(discriminator: dict[str, Any]) -> dict[str, Any]:
    """if/then for each member of a union that a key tells apart."""
    key, members = discriminator["propertyName"], discriminator["mapping"]
    return {
        "type": "object",
        "properties": {key: {"enum": sorted(members)}},
        "required": [key],
        "allOf": [
            {"if": {"properties": {key: {"const": tag}}, "required": [key]}, "then": {"$ref": place}}
            for tag, place in sorted(members.items())
        ],
    }


def _both_spellings(properties: dict[str, Any]) -> dict[str, Any]:
    twins = {name.replace("-", "_"): value for name, value in properties.items() if "-" in name}
    return {**properties, **{name: value for name, value in twins.items() if name not in properties}}


# ------------------------------------------------------------------------------------------------------ README


def _readme(template: str) -> str:
    """The template of helm-docs with the two names it uses filled in."""
    text = template.replace('{{ template "chart.valuesSection" . }}', "## Values\n\n" + _table())
    return "<!-- Generated from README.md.gotmpl by `make docs`. -->\n" + text


def _table() -> str:
    rows = ["| Key | Type | Default | Description |", "|-----|------|---------|-------------|"]
    rows += [f"| {key} | {kind} | `{default}` | {text} |" for key, kind, default, text in _rows(ChartValues, "")]
    return "\n".join(rows)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        inner = _model_of(field)
        if inner is not None:
            yield from _rows(inner, f"{prefix}{name}.")
            continue
        default = _default(field)
        yield f"{prefix}{name}", _kind(default), _scalar(default), (field.description or "").replace("|", "\\|")


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}
    return kinds[type(value)]
