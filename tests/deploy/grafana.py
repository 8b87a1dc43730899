"""Dashboards against Grafana's own schema: keys that it does not know, and words that it does not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

_SCHEMA: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "schemas" / "grafana" / "dashboard-11.6.json").read_text(encoding="utf-8")
)


def problems(board: dict[str, Any]) -> list[str]:
    """What is wrong with a dashboard, each with its place."""
    found = list(_wrong(_SCHEMA["root"], {**board, "panels": []}, ""))
    for number, panel in enumerate(board["panels"]):
        place, kind = f"panels[{number}]", panel["type"]
        if kind == "row":
            found += _wrong({"$ref": "#/$defs/dashboard.RowPanel"}, panel, place)
            continue
        found += _wrong({"$ref": "#/$defs/dashboard.Panel"}, panel, place)
        if kind not in _SCHEMA["options"]:
            continue
        found += _wrong(_SCHEMA["options"][kind], panel.get("options", {}), f"{place}.options")
        fields = panel.get("fieldConfig", {})
        found += _wrong(_SCHEMA["custom"][kind], fields.get("defaults", {}).get("custom", {}), f"{place}.custom")
        for target in panel["targets"]:
            found += _wrong(_SCHEMA["target"], target, f"{place}.targets")
        known = {*_properties("#/$defs/dashboard.FieldConfig")}
        known |= {f"custom.{name}" for name in _properties(_SCHEMA["custom"][kind].get("$ref", ""))}
        for override in fields.get("overrides", []):
            found += [f"{place}.overrides: {one['id']}" for one in override["properties"] if one["id"] not in known]
    return found


def _properties(reference: str) -> list[str]:
    return list(_SCHEMA["$defs"][reference.rpartition("/")[2]]["properties"]) if reference else []


def _wrong(part: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    validator = Draft202012Validator({**part, "$defs": _SCHEMA["$defs"]})
    for error in validator.iter_errors(value):
        yield f"{place}{error.json_path.removeprefix('$')}: {error.message}"[:200]
