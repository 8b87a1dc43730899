"""The shipped examples pass on any hospital's site, not only on that of their fictitious one."""

from __future__ import annotations

import shutil
from pathlib import Path

from ruamel.yaml import YAML

from router.config.site import Site
from router.runtime.examples import play_all

ROOT = Path(__file__).resolve().parents[2]
OURS = "690123456"


def _site(folder: Path) -> Path:
    yaml = YAML()
    site = yaml.load((ROOT / "router.yaml").read_text())
    site["structures"] = {OURS: site["structures"]["750100125"]}
    for feed in site["feeds"].values():
        if "rules" in feed:
            feed["rules"].pop("structures", None)
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    with (folder / "router.yaml").open("w") as file:
        yaml.dump(site, file)
    return folder / "router.yaml"


def test_shipped_examples_pass_on_another_hospitals_site(tmp_path: Path) -> None:
    """They are played in the name of the feed's own structure."""
    results = play_all(Site(_site(tmp_path)))
    assert len(results) > 10
    assert [(one.example, one.problems) for one in results if one.problems] == []


def test_an_example_may_be_about_a_foreign_structure(tmp_path: Path) -> None:
    """One that expects R65 is played as it is written."""
    site = _site(tmp_path)
    file = tmp_path / "pipelines" / "biologie.yaml"
    head, mark, _ = file.read_text().partition("examples:")
    wanted = "\n  - {name: structure inconnue, message: samples/biologie-ok.hl7, expect: {ack: AE, fault: R65}}\n"
    file.write_text(head + mark + wanted)
    results = [one for one in play_all(Site(site)) if one.pipeline == "biologie"]
    assert [one.problems for one in results] == [[]]
