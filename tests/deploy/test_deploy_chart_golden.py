"""Each values file of the chart is rendered and compared with a golden file. SEGUR_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.deploy.chart import CHART, KUBERNETES, VALUES, helm, rendered, template

GOLDEN = Path(__file__).parent / "golden"
CASES = [(name, KUBERNETES) for name in VALUES] + [("minimal", "1.28.0"), ("minimal", "1.37.0")]


@pytest.mark.parametrize(("name", "kubernetes"), CASES)
def test_a_render_is_what_it_was(name: str, kubernetes: str) -> None:
    """What the chart makes of a values file changes only when somebody has looked at the difference."""
    path = GOLDEN / (f"{name}.yaml" if kubernetes == KUBERNETES else f"{name}-{kubernetes}.yaml")
    if os.environ.get("SEGUR_UPDATE_GOLDEN"):
        path.write_text(rendered(name, kubernetes))
    assert rendered(name, kubernetes) == path.read_text(), f"{path}: look, then SEGUR_UPDATE_GOLDEN=1"


@pytest.mark.parametrize("name", VALUES)
def test_a_second_render_is_the_same_to_the_byte(name: str) -> None:
    """Nothing is invented at each render: no random password, no time."""
    assert template("--values", str(VALUES[name])).stdout == rendered(name)


@pytest.mark.parametrize("name", VALUES)
def test_helm_lint_finds_nothing(name: str) -> None:
    """`helm lint --strict` passes with every values file."""
    done = helm("lint", "--strict", str(CHART), "--values", str(VALUES[name]), "--kube-version", KUBERNETES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_every_golden_file_has_its_case() -> None:
    """A golden file that nothing is compared with hides a case that was dropped."""
    known = {name if kubernetes == KUBERNETES else f"{name}-{kubernetes}" for name, kubernetes in CASES}
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == known
    assert len(VALUES) >= 6


def test_an_older_cluster_is_refused() -> None:
    """Before Kubernetes 1.28 a pod has no label with its number, so no slot."""
    done = template("--values", str(VALUES["minimal"]), kubernetes="1.27.0")
    assert done.returncode != 0
    assert "kubeVersion: >=1.28.0-0" in done.stderr


def test_before_sleep_was_an_action_of_its_own_it_is_a_command() -> None:
    """`lifecycle.preStop.sleep` needs Kubernetes 1.30; before, the image's own `sleep` is run."""
    assert "sleep: {seconds: 10}" in rendered("minimal")
    assert 'exec: {command: [sleep, "10"]}' in rendered("minimal", "1.28.0")
