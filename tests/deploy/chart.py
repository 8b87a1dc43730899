"""Rendering of the Helm chart for the tests: `helm template`, its manifests, and questions that many tests ask."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "segur-router"
RELEASE = "essai"
KUBERNETES = "1.34.0"

Manifest = dict[str, Any]

#: Name -> values file. Each is rendered, compared with its golden file, and held against every rule.
VALUES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
VALUES["demo"] = CHART / "values-demo.yaml"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm. Never skipped: a machine without it is told how to get it."""
    if shutil.which("helm") is None:
        raise AssertionError("helm is not installed: run `scripts/services chart`")
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


@functools.cache
def rendered(name: str, kubernetes: str = KUBERNETES) -> str:
    """What `helm template` makes of a values file."""
    done = template("--values", str(VALUES[name]), kubernetes=kubernetes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def template(*arguments: str, kubernetes: str = KUBERNETES) -> subprocess.CompletedProcess[str]:
    return helm("template", RELEASE, str(CHART), "--namespace", "sante", "--kube-version", kubernetes, *arguments)


@functools.cache
def manifests(name: str, kubernetes: str = KUBERNETES) -> tuple[Manifest, ...]:
    """The same, read: every object, hooks and tests included."""
    return tuple(read(rendered(name, kubernetes)))


def read(text: str) -> Iterator[Manifest]:
    """Objects of a stream of YAML. 0444 is octal to Kubernetes: YAML 1.1."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # type: ignore[assignment]
    for one in yaml.load_all(text):
        if one is not None:
            yield json.loads(json.dumps(one))


def of_kind(name: str, kind: str) -> list[Manifest]:
    return [one for one in manifests(name) if one["kind"] == kind]


def workloads(name: str) -> list[Manifest]:
    """What runs for good: a StatefulSet a role, and the console's Deployment."""
    return of_kind(name, "StatefulSet") + of_kind(name, "Deployment")


def pod_of(manifest: Manifest) -> Manifest | None:
    """The specification of the pods that an object makes; None when it makes none."""
    if manifest["kind"] == "Pod":
        return manifest["spec"]  # type: ignore[no-any-return]
    if manifest["kind"] in ("StatefulSet", "Job", "Deployment", "DaemonSet"):
        return manifest["spec"]["template"]["spec"]  # type: ignore[no-any-return]
    return None


def pods(name: str) -> list[tuple[str, Manifest]]:
    """(name of the object, specification of its pods)."""
    found = [(one["metadata"]["name"], pod_of(one)) for one in manifests(name)]
    return [(label, pod) for label, pod in found if pod is not None]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def hook(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("annotations", {}).get("helm.sh/hook", ""))
