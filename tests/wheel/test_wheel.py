"""The wheel is the product: built, installed in an empty environment, and used as somebody does who has nothing else.

It sees the libraries of the environment of the tests, and nothing of the checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path

import pytest

from router.software import our_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
NOT_SHIPPED = {".po", ".md", ".pyc"}
"""Sources of the catalogues, notes for developers, caches."""
PORTS = re.compile(r"(?:port: |127\.0\.0\.1:)(\d{4,5})\b")


class Installed:
    """The program of an environment that holds the wheel. Commands run in `folder`."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SEGUR_"))}
        self._environment = {**kept, "PATH": f"{program.parent}:/usr/bin:/bin", "SEGUR_LANG": "fr"}

    def run(self, *words: str, code: int = 0) -> str:
        """A command to its end; what it printed on both streams."""
        done = subprocess.run(
            [self.program, *words], cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout + done.stderr

    def python(self, text: str) -> str:
        command = [str(self.program.with_name("python")), "-c", text]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    @contextmanager
    def running(self, *words: str, until: str) -> Iterator[None]:
        """A command that stays, from the line that says so to the end of the block."""
        log = self.folder / f"{words[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.program, *words], cwd=self.folder, env=self._environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            _wait(lambda: until in log.read_text() or process.poll() is not None)
            assert until in log.read_text(), log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what the Containerfile copies, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("router", "pipelines"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True, cwd=target)
    (made,) = target.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment: its libraries are those of the tests, by a path; the router is the wheel's."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "libraries-of-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*command, "--no-deps", "--no-index", "--ignore-installed", wheel], check=True, cwd=environment)
    return Installed(environment / "bin" / "segur-router", tmp_path_factory.mktemp("elsewhere"))


def test_the_wheel_holds_every_file_that_the_router_reads(wheel: Path) -> None:
    """Pipelines, samples, schemas, value sets, catalogues, sections: each file of the package is in it."""
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    files = [*(ROOT / "router").rglob("*"), *(ROOT / "router" / "starter" / "pipelines").rglob("*")]
    shipped = [path for path in files if path.is_file() and path.name[0] != "." and path.suffix not in NOT_SHIPPED]
    wanted = {str(path.relative_to(ROOT)) for path in shipped}
    assert wanted - names == set()
    assert {name.partition("/")[0] for name in names} == {"router", f"segur_router-{our_version()}.dist-info"}
    assert "router/starter/pipelines/samples/biologie-ok.hl7" in names


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Licence, description, version of Python, the command; a type checker finds the mark."""
    with zipfile.ZipFile(wheel) as opened:
        (info,) = {name.partition("/")[0] for name in opened.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(opened.read(f"{info}/METADATA").decode())
        assert "segur-router = router.cli.main:main" in opened.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in opened.namelist()
        assert "router/py.typed" in opened.namelist()
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert metadata["Version"] == our_version()
    assert "The first five minutes" in str(metadata.get_payload())


def test_nothing_of_the_checkout_is_seen(installed: Installed) -> None:
    """The package that runs is the environment's own."""
    place = Path(installed.python("import router; print(router.__file__)").strip())
    assert place.is_relative_to(installed.program.parents[1])
    assert installed.run("--version") == f"segur-router {our_version()}\n"


def test_what_is_generated_can_be_had_from_the_wheel(installed: Installed) -> None:
    """Reference, schemas, value sets, rules: from the models that were installed, in French from the catalogue."""
    installed.run("reference", "--write", "--root", "reference")
    reference = (installed.folder / "reference" / "docs" / "reference.md").read_text()
    assert reference == (ROOT / "docs" / "reference.md").read_text()
    assert len(json.loads(installed.run("cisis", "value-sets", "list", "--json"))) > 5
    assert "Sévérité" in installed.run("cisis", "rules")


def test_the_drills_run_on_the_installed_router(installed: Installed) -> None:
    """A to D, outside of a checkout: what they need beside the wheel are the folders `tests` and `docs`."""
    sources = installed.folder / "sources"
    for name in ("tests", "docs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    place = Installed(installed.program, sources)
    drills = [str(path.relative_to(sources)) for path in sorted(sources.glob("tests/runtime/test_runtime_drill*.py"))]
    words = ["-q", "-p", "no:cacheprovider", "-k", "drill and not kafka", *drills]
    text = f"import pytest, sys, router; print(router.__file__); pytest.main({words})"
    told = place.python(text)
    assert Path(told.splitlines()[0]).is_relative_to(installed.program.parents[1])
    assert "5 passed" in told, told


def test_the_demo_finds_its_stage(installed: Installed) -> None:
    """Its site, pipelines and simulators, without the story itself, which the tests of the demo play."""
    text = (
        "import asyncio; from pathlib import Path; from router.demo.stage import stage\n"
        "async def look():\n"
        "    async with stage(Path('demo').absolute(), seed=1) as played: print(played.world.dmp.url)\n"
        "asyncio.run(look())"
    )
    assert installed.python(text).startswith("https://127.0.0.1:")
    installed.run("check", "--site", "demo/router.yaml")


def test_a_first_document_is_delivered(installed: Installed) -> None:
    """`init`, `check`, `test`, and the three commands that `init` prints: the document is at the DMP and mailed."""
    told = installed.run("init", "site")
    commands = [line.split("segur-router ")[1].split() for line in told.splitlines() if "&& segur-router " in line]
    simulate, run, send, explain = commands
    place = Installed(installed.program, installed.folder / "site")
    sil = _on_free_ports(place.folder / "router.yaml")
    place.run("check")
    assert "15 réussis, 0 en échec" in place.run("test")
    with place.running(*simulate, until="prêt"), place.running(*run, until="prêt"):
        assert "AA" in place.run(*send, "--to", f"127.0.0.1:{sil}")
        _wait(lambda: "Z02 Y" in place.run(*explain))
        story = place.run(*explain)
    assert "dmp.hopital-a (DMP) : remis" in story
    assert "(dr.francois.faucher1@medecin.test.mssante.fr) : remis" in story
    assert len(list((place.folder / "var" / "courriels").glob("*.eml"))) == 1


def _on_free_ports(site: Path) -> int:
    """Give every port of a site file another number; returns that of the feed `sil`."""
    text = site.read_text(encoding="utf-8")
    others = {port: str(_free()) for port in PORTS.findall(text)}
    site.write_text(PORTS.sub(lambda found: found[0].replace(found[1], others[found[1]]), text), encoding="utf-8")
    return int(others["2575"])


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(truth: object) -> None:
    """Until it holds, two minutes at most."""
    assert callable(truth)
    deadline = time.monotonic() + 120
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.5)
