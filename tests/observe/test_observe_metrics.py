"""What reaches Prometheus: closed lists of values, and counters that are there before the first event."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import generate_latest

from router.config.site import Site
from router.engine.delivery.supersession_rules import HELD
from router.errors import (
    Bug,
    Fenced,
    Invalid,
    Malformed,
    OperatorFault,
    OutcomeUnknown,
    Overtaken,
    Refused,
    RouterError,
    Unavailable,
)
from router.exchange import Disposition, State
from router.feedback.reading import Kind
from router.gateway.complaints import Why
from router.measures import MEASURES, Measure
from router.observe.metrics import Metrics
from router.runtime.label_values import PIPELINE_CODES, begin_at_zero, closed_lists, sink_codes
from router.runtime.roles import ROLES
from router.sinks.registry import SINK_TYPES

ROUTER = Path(__file__).resolve().parents[2] / "router"
FAULTS = {"Malformed", "Invalid", "Refused", "Unavailable", "OutcomeUnknown"}


def page(metrics: Metrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_a_value_outside_its_list_is_other() -> None:
    """A label never grows: what a peer invents is `other`, our own unexpected errors are `BUG`."""
    metrics = Metrics({"code": {"R01"}})
    for code in ("R01", "DMP-Invented", "DMP-Another", "BUG-KeyError"):
        metrics.count("dead_letters_total", stage="intake", feed="sil", sink="", code=code)
    metrics.count("frames_odd_total", feed="sil", why="never heard of")
    lines = page(metrics)
    head = 'segur_dead_letters_total{code="%s",feed="sil",sink="",stage="intake"} %s'
    for code, count in (("R01", "1.0"), ("other", "2.0"), ("BUG", "1.0")):
        assert head % (code, count) in lines
    assert 'segur_frames_odd_total{feed="sil",why="other"} 1.0' in lines


@pytest.mark.parametrize(
    ("measure", "label", "words"),
    [
        ("mail_read_total", "kind", {*Kind}),
        ("frames_odd_total", "why", {*get_args(Why)}),
        ("deliveries_total", "disposition", {*Disposition} - {Disposition.FILTERED}),
        ("pending", "state", {*State} - {State.DONE, State.SUPERSEDED, State.DEAD}),
    ],
)
def test_words_are_those_of_the_rooms(measure: Measure, label: str, words: set[str]) -> None:
    """A word that a room may count is in the list of the measure."""
    assert set(MEASURES[measure].words[label]) == {str(word) for word in words}


def test_every_fault_has_a_word_for_its_outcome() -> None:
    """`delivery_seconds` names outcomes by words, not by classes."""
    kinds = (
        Malformed,
        Invalid,
        Refused,
        Bug,
        Unavailable,
        OutcomeUnknown,
        Fenced,
        Overtaken,
        OperatorFault,
        RouterError,
    )
    said = {kind.outcome for kind in kinds}
    assert said | {"delivered"} == set(MEASURES["delivery_seconds"].words["outcome"])


def _raised(*rooms: str) -> set[str]:
    """Codes that stand as texts in the faults these rooms raise."""
    found = set()
    for room in rooms:
        for path in (ROUTER / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in FAULTS and node.args:
                    code = node.args[0]
                    found |= {str(code.value)} if isinstance(code, ast.Constant) else set()
    return found


@pytest.mark.parametrize("kind", ["dmp", "mssante", "hl7"])
def test_codes_of_our_sinks_are_counted_by_name(kind: str) -> None:
    """Whatever a sink of ours raises by name has a counter from the start."""
    assert _raised(f"sinks/{kind}") - set(sink_codes(kind)) == set()
    assert len(sink_codes(kind)) < 150


def test_codes_of_steps_are_counted_by_name() -> None:
    """Whatever a step raises by name has a counter from the start."""
    assert _raised("steps", "xds", "cda", "hl7") - set(PIPELINE_CODES) - {"HL7-ACK"} == set()
    assert HELD in sink_codes("dmp")


@pytest.fixture
def site() -> Site:
    return Site(ROUTER.parent / "router.yaml")


def test_every_counter_begins_at_0(site: Site) -> None:
    """With no event at all, each counter has its series: `increase()` sees the first dead letter of a kind."""
    metrics = Metrics(closed_lists(site))
    begin_at_zero(site, ROLES, metrics)
    lines = page(metrics)
    later = {"events_total", "documents_total"}  # made where pipelines are loaded; fires no alert
    for name, declared in MEASURES.items():
        if declared.kind == "counter" and name not in later:
            assert any(line.startswith(f"segur_{name}") for line in lines), name
    sink = next(name for name, kind in site.config.sink_types.items() if kind == "mssante")
    for series in (
        f'segur_dead_letters_total{{code="MSS-552",feed="",sink="{sink}",stage="sink"}} 0.0',
        'segur_dead_letters_total{code="NO-PIPELINE",feed="sil",sink="",stage="pipeline"} 0.0',
        f'segur_inversions_total{{sink="{sink}"}} 0.0',
        f'segur_untold_failures_total{{sink="{sink}"}} 0.0',
        'segur_reload_total{result="refused"} 0.0',
        'segur_worker_restarts_total{role="sinks"} 0.0',
    ):
        assert series in lines, series


def test_a_pod_makes_the_counters_of_its_role_alone(site: Site) -> None:
    """A gateway has no counters of sinks; a plug-in's codes are `other`."""
    metrics = Metrics(closed_lists(site))
    begin_at_zero(site, ["gateway"], metrics)
    text = "\n".join(page(metrics))
    assert 'segur_dead_letters_total{code="R45",feed="sil",sink="",stage="intake"} 0.0' in text
    assert 'stage="sink"' not in text
    assert "segur_inversions_total{" not in text
    assert {"other", "BUG"} <= {code for kind in SINK_TYPES for code in sink_codes(kind)}
