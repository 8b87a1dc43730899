"""Pods replaced one after the other under load, in small (`python -m benchmarks.rolling` is the long one)."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.rolling.measures import Gap, Starvation, longest_gap
from benchmarks.rolling.members import absent
from benchmarks.rolling.plan import REPLICAS, Plan, Result, Turn, Turned, every_turn, together
from benchmarks.rolling.pods import Fall, Pod, command, environment
from benchmarks.rolling.report import broken, last_line
from benchmarks.rolling.run import play
from benchmarks.rolling.service import Service
from benchmarks.soak.checker import Violation
from benchmarks.soak.traffic import Pace
from tests.deploy.chart import read

GOLDEN = Path(__file__).resolve().parents[1] / "deploy" / "golden" / "minimal.yaml"
TURNS = (
    Turn("pipelines", 1),
    Turn("sinks", 1),
    Turn("feedback", 0),
    Turn("journal", 0),
    Turn("gateway", 1),
    Turn("gateway", 0),
    Turn("sinks", 0, kill=True),
)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_every_role_is_replaced_under_load_and_nobody_is_the_worse_for_it(tmp_path: Path) -> None:
    """A pod of each role, both gateways, then a kill: nothing lost, repeated or inverted, no fence, no long wait."""
    pace = Pace(relays=4, relay_rate=5.0, documents=1, ceiling=100_000)
    result = play(tmp_path, Plan(11, turns=TURNS, rest=1.5, pace=pace, at_once=True))
    assert broken(result) == [], "\n\n".join([last_line(result), *result.stories.values()])
    assert [one.turn for one in result.turned] == list(TURNS)
    assert {"feedback", "journal", "pipelines", "out.hl7.dpi"} <= set(result.members)
    assert result.counts["relays"] > 0
    assert result.counts["deposits"] > 0
    assert result.counts["mails"] > 0
    assert result.resent > 0  # senders were sent to the other gateway


def test_pods_are_started_as_the_chart_starts_them() -> None:
    """Arguments, variables and grace of every role are those of the chart's manifests."""
    found = {}
    for one in read(GOLDEN.read_text()):
        if one["kind"] == "StatefulSet":
            pod = one["spec"]["template"]
            found[pod["metadata"]["labels"]["app.kubernetes.io/component"]] = pod["spec"]
    assert set(found) == set(REPLICAS)
    for role, spec in found.items():
        router = spec["containers"][0]
        assert router["args"] == command(role)
        assert {one["name"] for one in router["env"]} == set(environment(role, Path("router.yaml"), 0))
        stop = router.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        pod = Pod(role, 0, "127.0.0.1", Path(), {})
        assert spec["terminationGracePeriodSeconds"] - stop == pod.grace


def test_the_long_run_replaces_every_pod() -> None:
    """Each slot of each role once politely, the highest first; then one pod of each role is killed."""
    polite = [(one.role, one.slot) for one in every_turn() if not one.kill]
    assert sorted(polite) == sorted((role, slot) for role, count in REPLICAS.items() for slot in range(count))
    assert polite.index(("gateway", 1)) < polite.index(("gateway", 0))
    assert {one.role for one in every_turn() if one.kill} == set(REPLICAS)


def test_pods_of_several_roles_are_replaced_at_once() -> None:
    """One of each role at a time; gateways and killed pods alone."""
    left, steps = deque(TURNS), []
    while left:
        steps.append([one.name for one in together(left)])
    assert steps == [
        ["pipelines-1", "sinks-1", "feedback-0", "journal-0"], ["gateway-1"], ["gateway-0"], ["sinks-0 killed"]
    ]  # fmt: skip
    twice = deque([Turn("sinks", 1), Turn("sinks", 0)])
    assert together(twice) == [Turn("sinks", 1)]


def test_a_gap_is_measured_to_both_ends() -> None:
    """Silence before the first and after the last acknowledgement counts like that between two."""
    assert longest_gap([], 10.0, 12.0) == Gap(10.0, 2.0)
    assert longest_gap([9.0, 10.5, 10.75, 13.0], 10.0, 12.0) == Gap(10.75, 1.25)
    assert longest_gap([10.75, 11.0], 10.0, 11.25) == Gap(10.0, 0.75)


def test_what_waited_for_a_processor_is_not_the_routers() -> None:
    """Of a gap, the seconds in which its processes got no processor are taken off."""
    assert Gap(0.0, 1.5, 0.7).own == pytest.approx(0.8)
    assert Gap(0.0, 1.5, 2.0).own == 0.0
    starvation = Starvation(lambda: [])
    assert starvation.between(0.0, 9e9) == 0.0
    starvation.look()
    assert starvation.between(0.0, 9e9) == 0.0


def test_a_service_gives_new_connections_to_those_that_are_ready() -> None:
    """They take turns; one that left gets none, and with nobody ready nobody answers."""
    service = Service()
    service.join("a")
    service.join("b")
    assert {service.next(), service.next()} == {"a", "b"}
    service.leave("a")
    assert [service.next(), service.next()] == ["b", "b"]
    service.leave("b")
    assert service.next() not in {"a", "b"}


def test_a_pod_without_a_member_in_any_group_is_found() -> None:
    """A sinks pod is there by one of its sinks; sinks-10 does not speak for sinks-1."""
    found = {"out.x": ["sinks-0-x", "sinks-10-x"], "pipelines": ["pipelines-1"]}
    assert absent(found, ["sinks-0", "sinks-1", "pipelines-0", "pipelines-1"]) == ["sinks-1", "pipelines-0"]


def test_every_broken_promise_is_told() -> None:
    """A loss, a fence, a stop that was not clean, another name and a long wait each make the run fail."""
    good = Turned(Turn("gateway", 1), 1.0, 0, 2.0, Gap(0, 0.2), Gap(0, 0.6), 0.3, 0.5, 0.0)
    assert broken(Result(Plan(1), [good])) == []
    killed = replace(good, turn=Turn("gateway", 1, kill=True), code=-9)
    assert broken(Result(Plan(1), [killed])) == []
    assert broken(Result(Plan(1), [replace(good, code=1)])) == ["gateway-1: stopped with 1 after 1.0 s"]
    assert broken(Result(Plan(1), [replace(good, waited=Gap(0, 1.4))])) == ["gateway-1: a sender waited 1.4 s"]
    assert broken(Result(Plan(1), [replace(good, silence=Gap(0, 1.4))])) == ["gateway-1: a sender waited 1.4 s"]
    assert broken(Result(Plan(1), [replace(good, silence=Gap(0, 1.4, 0.6))])) == []
    assert broken(Result(Plan(1), [replace(good, waited=Gap(0, 9.0), share=0.9)])) == []  # nobody can tell
    fenced = Result(Plan(1), [good], falls=[Fall("sinks-0", 75)], violations=[Violation("lost", "R1", "gone")])
    assert broken(fenced) == ["lost: R1: gone", "sinks-0: its worker ended with 75"]
    assert "1 lost, 0 duplicated, 0 inverted of 0; 1 fences" in last_line(fenced)
    assert broken(Result(Plan(1), absent=["sinks-1"])) == ["sinks-1 is in no consumer group"]
    assert broken(Result(Plan(1), other_names=["sinks-0 runs sinks-1"])) == ["sinks-0 runs sinks-1"]
