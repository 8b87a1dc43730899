"""The recipes of CONTRIBUTING.md, followed to the letter in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.recipes import (
    ROOT,
    add_file,
    append,
    blocks,
    changed,
    copy_of_the_repository,
    end_of,
    insert,
    insert_above,
    install_archive_sink,
)

SITE = """environment: qualification
feeds:
  sil: {folder: {path: inbox}}
sinks:
  hl7.dpi: {type: hl7, host: localhost, port: 6661}
"""


def command(site: Path, *words: str, path: tuple[Path, ...] = (ROOT,)) -> subprocess.CompletedProcess[str]:
    """A command of segur-router in the site's folder; `path`: where Python looks for modules first."""
    return subprocess.run(
        [sys.executable, "-m", "router.cli.main", *words],
        cwd=site,
        env=environment(path),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def passes(copy: Path, *tests: str) -> None:
    """Run tests of the copy, with the router of the copy; what the recipe wrote is as ruff wants it."""
    ruff, modules = Path(sys.executable).with_name("ruff"), changed(copy)
    assert modules
    for words in (["check"], ["format", "--check"]):
        linted = subprocess.run(
            [ruff, *words, "--no-cache", *modules], cwd=copy, capture_output=True, text=True, check=False
        )
        assert linted.returncode == 0, linted.stdout
    pytest_words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    done = subprocess.run(
        pytest_words, cwd=copy, env=environment((copy,)), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def environment(path: tuple[Path, ...]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "200"}


def written(site: Path, *names: str) -> None:
    """Files of the page, and the sample message that their examples name."""
    (site / "pipelines").mkdir(parents=True)
    (site / "inbox").mkdir()
    for name in names:
        (site / name).write_text(blocks()[name], encoding="utf-8")
    shutil.copy(ROOT / "pipelines/samples/biologie-ok.hl7", site / "pipelines")


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_step(tmp_path: Path) -> None:
    """One file and its line: the pipeline file takes the key, the builder builds it, `try` and reference show it."""
    copy, site = tmp_path / "copy", tmp_path / "site"
    shutil.copytree(ROOT / "router", copy / "router")
    (copy / "router/steps/limit.py").write_text(blocks()["router/steps/limit.py"], encoding="utf-8")
    taken, entry = blocks()["router/steps/registry.py"].splitlines()
    registry = copy / "router/steps/registry.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("from router.steps.look_up", f"{taken}\nfrom router.steps.look_up", 1)
    registry.write_text(text.replace("BUILT_IN: Final = (\n", f"BUILT_IN: Final = (\n{entry}\n", 1), encoding="utf-8")
    written(site, "pipelines/petits.yaml")
    (site / "router.yaml").write_text(SITE, encoding="utf-8")

    played = command(site, "test", path=(copy,))
    assert played.returncode == 0, played.stdout + played.stderr
    assert "too large" in played.stdout
    tried = command(site, "try", "pipelines/petits.yaml", "pipelines/biologie-ok.hl7", path=(copy,))
    assert "limit" in tried.stdout, tried.stdout + tried.stderr
    assert "filtered" in tried.stdout
    (copy / "docs").mkdir()
    (copy / "schemas").mkdir()
    assert command(copy, "reference", "--write", path=(copy,)).returncode == 0
    assert "| `limit` | LimitStep |  | End here when the documents are larger. |" in (
        copy / "docs/reference.md"
    ).read_text(encoding="utf-8")

    wrong = (site / "pipelines/petits.yaml").read_text(encoding="utf-8").replace("bytes: 1000", "octets: 1000")
    (site / "pipelines/petits.yaml").write_text(wrong, encoding="utf-8")
    refused = command(site, "check", path=(copy,))
    assert refused.returncode != 0
    assert "octets" in refused.stdout + refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_sink_type(tmp_path: Path) -> None:
    """A package beside the router: its sink is named in the site file and in a pipeline, delivers, and is explained."""
    site = tmp_path / "site"
    path = (install_archive_sink(tmp_path / "packages"), ROOT)
    written(site, "router.yaml", "pipelines/archive.yaml")
    (site / "kept").mkdir()
    checked = command(site, "check", path=path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    played = command(site, "test", path=path)
    assert played.returncode == 0, played.stdout + played.stderr

    shutil.copy(site / "pipelines/biologie-ok.hl7", site / "inbox/one.hl7")
    router = subprocess.Popen(
        [sys.executable, "-m", "router.cli.main", "run"],
        cwd=site,
        env=environment(path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: any(one.stat().st_size for one in (site / "kept").iterdir()))
        (kept,) = (site / "kept").iterdir()
        assert kept.read_bytes().lstrip().startswith(b"<?xml")

        def explained() -> bool:
            found = command(site, "explain", kept.name, path=path)
            return found.returncode == 0 and f"fichier {kept.name}" in found.stdout

        assert until(explained)
    finally:
        router.terminate()
        router.wait(20)


@pytest.mark.slow
def test_a_step_of_another_package(tmp_path: Path) -> None:
    """The same file outside the router, offered by an entry point: no line of the router changes."""
    packages = tmp_path / "packages"
    about = packages / "limit_step-1.0.dist-info"
    about.mkdir(parents=True)
    (packages / "limit_step.py").write_text(blocks()["router/steps/limit.py"], encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: limit-step\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[segur_router.steps]\nlimit = limit_step:LIMIT\n", encoding="utf-8")
    site = tmp_path / "site"
    written(site, "pipelines/petits.yaml")
    (site / "router.yaml").write_text(SITE, encoding="utf-8")
    played = command(site, "test", path=(packages, ROOT))
    assert played.returncode == 0, played.stdout + played.stderr
    unknown = command(site, "check")
    assert unknown.returncode != 0
    assert "limit" in unknown.stdout + unknown.stderr


def test_a_site_that_names_a_type_nobody_installed_is_refused(tmp_path: Path) -> None:
    """Without the package the same site file is wrong, with its place and the types that are known."""
    written(tmp_path / "site", "router.yaml", "pipelines/archive.yaml")
    checked = command(tmp_path / "site", "check")
    told = checked.stdout + checked.stderr
    assert checked.returncode != 0
    assert "router.yaml:" in told
    assert "Traceback" not in told


def test_a_package_that_is_broken_is_named(tmp_path: Path) -> None:
    """A type that can't be imported ends every command with one sentence that names it."""
    packages = install_archive_sink(tmp_path / "packages")
    (packages / "archive_sink.py").write_text("import no_such_module\n", encoding="utf-8")
    written(tmp_path / "site", "router.yaml", "pipelines/archive.yaml")
    checked = command(tmp_path / "site", "check", path=(packages, ROOT))
    told = checked.stdout + checked.stderr
    assert checked.returncode != 0
    assert "archive_sink:ARCHIVE" in told
    assert "Traceback" not in told


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository, for a recipe that changes it."""
    return copy_of_the_repository(tmp_path / "copy")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_rule(copy: Path) -> None:
    """A line, a check and a test: the profile applies it, the table stays well-formed, the conformance page has it."""
    rules, check, tests = (
        "router/cisis/table_message.py",
        "router/cisis/check_envelope.py",
        "tests/cisis/test_cisis_rules_message.py",
    )
    insert(copy, rules, blocks()[rules], end_of(copy, rules, "RULES"))
    insert(copy, check, blocks()[check], end_of(copy, check, "check_structure"))
    append(copy, tests)
    written = subprocess.run(
        [sys.executable, "-m", "router.cisis.conformance"],
        cwd=copy, env=environment((copy,)), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert written.returncode == 0, written.stderr
    (row,) = (
        line for line in (copy / "docs/conformance.md").read_text(encoding="utf-8").splitlines() if "| R100 |" in line
    )
    assert "`test_R100_an_evn_in_an_oru_is_told`" in row
    passes(copy, tests, "tests/cisis/test_cisis_table.py", "-k", "R100 or cisis_table")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_code(copy: Path) -> None:
    """Two lines: a code of the DMP gets its meaning, and operators read what to do."""
    advice = "router/sinks/dmp/sink_type.py"
    append(copy, "router/sinks/dmp/verdicts.csv")
    insert_above(copy, advice, blocks()[advice], '"DMP-*"')
    add_file(copy, "tests/sinks/test_sink_dmp_suspended.py")
    passes(copy, "tests/sinks/test_sink_dmp_suspended.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_line_of_explain(copy: Path) -> None:
    """A field, its value and its line: the story shows what the journal holds."""
    places = {
        "router/journal/views.py": "EventStory",
        "router/journal/timeline.py": "EventStory",
        "router/journal/render.py": "_heading",
    }
    for name, where in places.items():
        insert(copy, name, blocks()[name], end_of(copy, name, where))
    add_file(copy, "tests/journal/test_journal_lineages.py")
    passes(copy, "tests/journal/test_journal_lineages.py", "tests/journal/test_journal_render.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_recipe_of_a_command(copy: Path) -> None:
    """A file and two lines: the command is there, in `--help` too."""
    main = "router/cli/main.py"
    imported, added = blocks()[main].splitlines(keepends=True)
    insert_above(copy, main, added, ".add_to(app)")
    insert_above(copy, main, imported, "    init,")
    add_file(copy, "router/cli/feeds.py")
    add_file(copy, "tests/cli/test_cli_feeds.py")
    passes(copy, "tests/cli/test_cli_feeds.py")
    assert "Show the feeds of this site" in command(copy, "--help", path=(copy,)).stdout
