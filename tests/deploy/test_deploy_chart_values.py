"""What of the chart is made from the models is fresh, and says the same everywhere."""

from __future__ import annotations

import tomllib

import jsonschema
import pytest

from router.config.chart.files import chart_files, values_schema
from router.config.chart.values import ChartValues
from tests.deploy.chart import CHART, ROOT, VALUES, read

FILES = chart_files(ROOT)


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_is_made_is_fresh(name: str) -> None:
    """values.yaml, its schema and the README are what the models say now."""
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name], "run `make docs`"
    assert len(FILES) == 3


def test_values_yaml_holds_every_key_with_its_default() -> None:
    """values.yaml read again is the model's own defaults."""
    (values,) = read((CHART / "values.yaml").read_text())
    values["site"]["config"] = None
    assert ChartValues.model_validate(values) == ChartValues()


def test_the_chart_has_the_version_of_the_package() -> None:
    """Chart and router are released together: the image's default tag is the version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (chart,) = read((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


@pytest.mark.parametrize("name", VALUES)
def test_values_files_keep_model_and_schema(name: str) -> None:
    """A values file that Helm's schema takes is one that the models take: they can't drift apart."""
    (values,) = read(VALUES[name].read_text())
    jsonschema.validate(values, values_schema({}))
    ChartValues.model_validate(values)


def test_the_schema_is_a_schema() -> None:
    """It keeps the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(values_schema({}))


def test_every_key_is_described() -> None:
    """Each line of values.yaml that has a key has a comment above it, as helm-docs wants it."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    for rank, line in enumerate(lines):
        if line and not line.lstrip().startswith("#"):
            assert lines[rank - 1].lstrip().startswith("#"), line


def test_the_demo_plays_the_shipped_samples() -> None:
    """values-demo.yaml holds copies of shipped samples: they are equal."""
    (values,) = read((CHART / "values-demo.yaml").read_text())
    for name, text in values["pipelines"]["samples"].items():
        assert text.encode() == (ROOT / "pipelines" / "samples" / name).read_bytes()


def test_rules_and_dashboards_are_those_of_the_repository() -> None:
    """The chart's rules are the files that a Prometheus without Kubernetes reads: not a copy."""
    assert (CHART / "files" / "rules").resolve() == ROOT / "deploy" / "prometheus" / "rules"
    assert (CHART / "files" / "dashboards").resolve() == ROOT / "deploy" / "grafana" / "dashboards"
