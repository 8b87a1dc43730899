"""Alerts of every room reach the log whole: no fact is dropped by the allow-list, none clashes with a name of ours."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import structlog

from router.observe import logs
from router.runtime.roles.event_loop import alert

ROUTER = Path(__file__).resolve().parents[2] / "router"


def _facts() -> dict[str, set[str]]:
    """Keys of the facts that alerts are given, by file: literals in the call, or in an assignment to `facts`."""
    found: dict[str, set[str]] = {}
    for path in ROUTER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            literal: ast.expr | None = None
            if isinstance(node, ast.Call) and len(node.args) == 2:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                literal = node.args[1] if name in ("alert", "_alert") else None
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "facts":
                literal = node.value if {"feedback", "engine"} & set(path.parts) else None
            if isinstance(literal, ast.Dict):
                keys = {key.value for key in literal.keys if isinstance(key, ast.Constant)}
                found.setdefault(path.name, set()).update(map(str, keys))
    return found


def test_every_fact_of_an_alert_may_stand_in_the_log() -> None:
    """A fact that is not on the allow-list would be lost without a word; `event` is the sentence itself."""
    found = _facts()
    assert {"worker.py", "router_process.py", "settlement.py"} <= set(found)
    allowed = logs.KEYS - {"event", "level", "timestamp"}
    assert {name: keys - allowed for name, keys in found.items() if keys - allowed} == {}


def test_a_failure_that_nobody_is_told_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The feedback's alert, with the facts it gives."""
    logs.configure(role="feedback")
    try:
        alert("an outcome that nobody will be told", {"delivery": "d1", "event_id": "e1", "code": "MSS-552"})
    finally:
        structlog.reset_defaults()
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event_id"], line["code"]) == ("e1", "MSS-552")
    assert line["event"] == line["alert"] == "an outcome that nobody will be told"
