"""`test`: pipelines by name or file, and failing examples as sentences with their place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from router.config.site import Site
from router.errors import ConfigFault, OperatorFault
from router.runtime.examples import play_all
from tests.cli.cli import command

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    shutil.copy(ROOT / "router.yaml", tmp_path)
    return tmp_path / "router.yaml"


def _wrong(site: Path, old: str, new: str, name: str = "biologie.yaml") -> Path:
    file = site.parent / "pipelines" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


def test_one_pipeline_by_its_name_or_its_file(site: Path) -> None:
    """The others are not played; one that is wrong is not in the way."""
    _wrong(site, "feed:", "fed:", "imagerie.yaml")
    for word in ("biologie", "biologie.yaml", str(site.parent / "pipelines" / "biologie.yaml")):
        said = command("test", word, "--site", str(site), "--json")
        assert said.code == 0, said
        assert {one["pipeline"] for one in said.json} == {"biologie"}
    with pytest.raises(ConfigFault, match="fed: is not known here"):
        play_all(Site(site), ["imagerie"])
    with pytest.raises(OperatorFault, match="no such pipeline: one of biologie, identites, lettres, relais-dpi"):
        play_all(Site(site), ["biolgie"])


@pytest.mark.parametrize(
    ("old", "new", "place", "sentences"),
    [
        (
            "dmp: R45,",
            "dmp: R46,",
            "expect.dmp",
            ["dmp: expected R46, got R45", "decided by `sinks`, line 8 ; R45: Identity not qualified"],
        ),
        (
            "expect: {ack: AE, fault: R41}",
            "expect: {ack: AA}",
            "expect.ack",
            ["ack: expected AA, got AE", "decided by the gateway ; R41: "],
        ),
        (
            'when: document.type == "11502-2"',
            'when: document.type == "18748-4"',
            "examples[0]",
            ["filtered: not expected, and it is", "decided by `when`, line 4 ; document.type =="],
        ),
        (
            "  - enrich: {patient: register}",
            "  - enrich: {patient: register}\n  - keep: request.action == 'delete'",
            "examples[0]",
            ["filtered: not expected, and it is", "decided by `keep`, line 8 ; keep: request.action =="],
        ),
    ],
    ids=["route", "gateway", "when", "step"],
)
def test_a_failing_example_says_what_decided(site: Path, old: str, new: str, place: str, sentences: list[str]) -> None:
    """File, line, expected, got, and the stage that decided, with its line."""
    file = _wrong(site, old, new)
    said = command("test", "biologie", "--site", str(site), "--lang", "en")
    assert said.code == 1
    failing = [line for line in said.out.splitlines() if "biologie.yaml:" in line and place in line]
    assert failing, said.out
    number = int(failing[0].split("biologie.yaml:")[1].split(":")[0])
    assert "expect" in file.read_text().splitlines()[number - 1] or place == "examples[0]"
    whole = "\n".join(failing)
    assert all(sentence in whole for sentence in sentences), whole


def test_a_program_reads_the_place_of_what_fails(site: Path) -> None:
    """`--json` has file, line and column of each difference."""
    _wrong(site, "dmp: R45,", "dmp: R46,")
    said = command("test", "biologie", "--site", str(site), "--json")
    (failing,) = [one for one in json.loads(said.out) if one["problems"]]
    (problem,) = failing["problems"]
    assert problem["path"] == "examples[4].expect.dmp"
    assert problem["line"] > 1
    assert problem["file"].endswith("biologie.yaml")


def test_a_warning_alone_is_no_refusal(site: Path) -> None:
    """`check` ends well, says it, and programs see the severity."""
    _wrong(site, "feed: [sil, ris]", "feed: sil")
    said = command("check", "--files-elsewhere", "--site", str(site), "--json")
    assert said.code == 0
    assert [(one["path"], one["severity"]) for one in said.json] == [("feeds.ris", "warning")]
    screen = command("check", "--files-elsewhere", "--site", str(site), "--lang", "fr")
    assert "1 point à regarder" in screen.out
    assert "NO-PIPELINE" in screen.out
