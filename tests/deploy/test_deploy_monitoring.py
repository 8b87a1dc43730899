"""Rules, runbooks and dashboards name what exists, and every alert is proven to fire and to stay silent."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router.cli.main import app
from tests.deploy import grafana
from tests.deploy.chart import ROOT, VALUES, read, template
from tests.deploy.promql import grouped, problems

RULES = ROOT / "deploy" / "prometheus" / "rules"
TESTS = ROOT / "deploy" / "prometheus" / "tests"
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"
_COMMAND = re.compile(r"`segur-router ([a-z][a-z -]*)")


@cache
def one_of(path: Path) -> dict[str, Any]:
    (document,) = read(path.read_text(encoding="utf-8"))
    return document


@cache
def rules() -> list[dict[str, Any]]:
    return [
        rule for path in sorted(RULES.glob("*.yaml")) for group in one_of(path)["groups"] for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def recorded() -> dict[str, set[str]]:
    """Recording rule -> labels that its expression leaves; the chart records one more."""
    found = {"segur:role_expected": {"role"}}
    return found | {rule["record"]: grouped(rule["expr"]) for rule in rules() if "record" in rule}


ALERTS = sorted({rule["alert"] for rule in alerts()})


def panels(board: Path) -> list[dict[str, Any]]:
    return [one for one in json.loads(board.read_text())["panels"] if one["type"] != "row"]


def queries(board: Path) -> list[str]:
    """Every expression of a dashboard, with its variables as Grafana fills them in for "all"."""
    made = json.loads(board.read_text())
    found = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    found += [one["expr"] for one in made["annotations"]["list"]]
    return [re.sub(r"\$\w+", ".*", one) for one in found]


def variables(board: Path) -> list[tuple[str, str]]:
    """(metric, label) that each variable of a dashboard lists."""
    made = json.loads(board.read_text())["templating"]["list"]
    pairs = [re.fullmatch(r"label_values\((\w+), (\w+)\)", one["definition"]) for one in made if one["type"] == "query"]
    return [(one[1], one[2]) for one in pairs if one is not None]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_rules_name_what_a_router_has(rule: dict[str, Any]) -> None:
    """No metric, label or word of a rule is unknown; each selector names its job."""
    assert problems(rule["expr"], recorded()) == []
    bare = re.findall(r"\bsegur_\w+(?!\w)(?!\{)", rule["expr"])
    assert bare == [], "a rule of one router must not count another job's"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_panels_name_what_a_router_has(board: Path) -> None:
    """No metric or label of a panel, an annotation or a variable is unknown."""
    assert [wrong for query in queries(board) for wrong in problems(query, recorded())] == []
    assert [wrong for metric, label in variables(board) for wrong in problems(f'{metric}{{{label}=~".*"}}', {})] == []


def test_a_name_that_no_router_has_is_found() -> None:
    """The check itself: a renamed metric, a lost label, a word that is never said."""
    assert problems("segur_journal_lag_seconds > 1", {}) == ["no metric segur_journal_lag_seconds"]
    assert problems("sum by (sink) (segur_acks_total)", {}) == ["no metric here has the label sink"]
    assert problems('segur_acks_total{ack="NACK"}', {}) == ["segur_acks_total: ack is never NACK"]
    assert problems("segur_intake_seconds", {}) == ["no metric segur_intake_seconds"]
    assert problems('segur_lag{sink="a"}', {}) == ["segur_lag has no label sink"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_dashboards_can_be_provisioned(board: Path) -> None:
    """A variable names the data source, nothing asks for an import; panels have a place of their own."""
    made = json.loads(board.read_text())
    assert "__inputs" not in made
    assert made["templating"]["list"][0] | {"current": {}} == made["templating"]["list"][0]
    assert (made["templating"]["list"][0]["name"], made["templating"]["list"][0]["type"]) == (
        "datasource",
        "datasource",
    )
    ids = [one["id"] for one in made["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = set(product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])))
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels(board):
        assert panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_dashboards_say_what_grafana_knows(board: Path) -> None:
    """Every key and every word of a dashboard, its panels, their options and queries stands in Grafana's schema."""
    assert grafana.problems(json.loads(board.read_text())) == []


@pytest.mark.parametrize(
    ("where", "changed"),
    [
        ("options", {"graphMdoe": "area"}),
        ("options", {"graphMode": "aera"}),
        ("fieldConfig", {"overrides": [{"matcher": {"id": "byName"}, "properties": [{"id": "custom.lineWidht"}]}]}),
        ("targets", [{"refId": "A", "expr": "1", "legend": "{{sink}}"}]),
        ("type", "statistics"),
        ("gridPosition", {"x": 0}),
    ],
    ids=["key", "word", "override", "query", "panel", "place"],
)
def test_what_grafana_does_not_know_is_found(where: str, changed: Any) -> None:
    """The check itself: each is one problem that Grafana would pass over in silence, or show as an empty panel."""
    board = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "overview.json").read_text())
    panel = next(one for one in board["panels"] if one["type"] == "stat")
    panel[where] = {**panel[where], **changed} if where in ("options", "fieldConfig") else changed
    assert len(grafana.problems(board)) == 1


def test_dashboards_have_names_of_their_own() -> None:
    """Overview, sinks, feeds, bus: each with its uid."""
    uids = [json.loads(board.read_text())["uid"] for board in BOARDS]
    assert len(set(uids)) == len(uids) == 4


@cache
def unit_tests() -> list[dict[str, Any]]:
    """What the unit tests of the rules expect of alerts."""
    cases = [case for path in TESTS.glob("*.yaml") for case in one_of(path)["tests"]]
    return [check for case in cases for check in case["alert_rule_test"]]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_proven(name: str) -> None:
    """In the unit tests each severity of an alert fires once, and the alert stays silent once."""
    checks = [check for check in unit_tests() if check["alertname"] == name]
    fired = {one["exp_labels"]["severity"] for check in checks for one in check["exp_alerts"]}
    assert fired == {rule["labels"]["severity"] for rule in alerts() if rule["alert"] == name}
    assert name == "SegurWatchdog" or any(not check["exp_alerts"] for check in checks)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is(name: str) -> None:
    """A known severity, a summary, and the page of its own name."""
    for rule in alerts():
        if rule["alert"] == name:
            assert rule["labels"]["severity"] in ("page", "ticket", "none")
            assert len(rule["annotations"]["summary"]) > 20
            assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_every_runbook_has_its_alert() -> None:
    """A page that no alert leads to is out of date."""
    assert [path.stem for path in sorted(RUNBOOKS.glob("*.md"))] == ALERTS


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_begins_with_a_command_that_exists(name: str) -> None:
    """What it means for patients, what to look at, what to do; every command it names answers `--help`."""
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert headings == [name, "Pour les patients", "À regarder", "À faire"]
    assert text.split("## À faire")[1].strip().startswith("1. `segur-router ")
    for words in set(_COMMAND.findall(text)):
        command = words.split(" --")[0].split()
        done = CliRunner().invoke(app, [*command, "--help"])
        assert done.exit_code == 0, (command, done.output)


def test_the_job_is_the_same_under_another_name() -> None:
    """A release with names of its own is scraped under the job that rules and dashboards name."""
    done = template("--values", str(VALUES["hopital"]), "--set", "nameOverride=pfi")
    assert done.returncode == 0, done.stderr
    (monitor,) = [one for one in read(done.stdout) if one["kind"] == "ServiceMonitor"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert {"targetLabel": "job", "replacement": "segur-router"} in endpoint["relabelings"]
