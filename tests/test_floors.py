"""The shape of the repository: floors, homes of foreign libraries, sizes, and generated files that are fresh."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from router.cisis import conformance
from router.config import reference

ROOT = Path(__file__).resolve().parents[1]
ROUTER = ROOT / "router"
SOURCES = sorted(ROUTER.rglob("*.py"))
LONGEST = 350

#: Foreign library -> the rooms (or top-level files) that may import it. A new home is a decision: write it here.
HOMES = {
    "argon2": ("access",),
    "authlib": ("console",),
    "aiosmtplib": ("sinks",),
    "cel": ("config",),
    "cryptography": ("sealing", "simulators", "sinks"),
    "dns": ("sinks",),
    "joserfc": ("console",),
    "hl7apy": ("hl7",),
    "aiohttp": ("sinks",),
    "httpx": ("console", "directory"),
    "imapclient": ("feedback",),
    "isal": ("archive", "sinks"),
    "jinja2": ("console",),
    "kafka": ("bus",),
    "limits": ("console",),
    "lxml": ("cda", "cisis", "directory", "simulators", "sinks"),
    "markupsafe": ("console",),
    "nh3": ("console",),
    "opentelemetry": ("observe",),
    "prometheus_client": ("observe",),
    "pybase64": ("cda", "cisis", "engine", "hl7", "sinks"),
    "pyotp": ("access",),
    "pypdfium2": ("console",),
    "rich": ("cli", "demo", "terminal"),
    "ruamel": ("config", "demo"),
    "saxonche": ("cda",),
    "sqlalchemy": ("access", "archive", "audit", "console", "database", "journal", "ledger", "register", "sealing"),
    "sse_starlette": ("console",),
    "starlette": ("console", "gateway", "observe"),
    "structlog": ("console", "observe", "runtime"),
    "tenacity": ("engine",),
    "typer": ("cli",),
    "typst": ("rendering",),
    "uvicorn": ("console", "gateway", "observe"),
    "uvloop": ("runtime",),
}
#: Libraries of the tests: an oracle that the router itself used would judge nothing.
ONLY_IN_TESTS = ("dockerfile_parse", "hl7", "hypothesis", "jsonschema", "kubernetes_validate", "pytest", "xmlsec")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports, also inside functions; our own relative names left out."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def room(path: Path) -> str:
    return path.relative_to(ROUTER).parts[0]


def imports_between_files() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, also inside functions and for type checkers only."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES
    }
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        mine = found[module] = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                mine |= {alias.name for alias in node.names} & modules.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in modules:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                mine |= inner & modules.keys() or {node.module}
        mine.discard(module)
    return found


def floors(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules by height: the first floor imports nothing of ours, each other only what lies below it."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    found = []
    while sorter.is_active():
        found.append(sorted(sorter.get_ready()))
        sorter.done(*found[-1])
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    """The files stand on floors: whoever reads one needs only those below it. `pytest -rP` prints them."""
    graph = imports_between_files()
    try:
        stand = floors(graph)
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")
    for number, names in enumerate(stand):
        print(number, *(name.removeprefix("router.") for name in names))
    assert len(stand) > 10


def test_imports_go_down_the_floors_only() -> None:
    """import-linter keeps every contract of pyproject.toml."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_foreign_library_stays_in_its_homes(library: str) -> None:
    """No room imports a library that lives elsewhere."""
    strangers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if library in imported(path) and room(path) not in HOMES[library]
    ]
    assert not strangers


@pytest.mark.parametrize("library", sorted(HOMES))
def test_every_home_is_lived_in(library: str) -> None:
    """A room that no longer uses a library loses the right to it."""
    used = {room(path) for path in SOURCES if library in imported(path)}
    assert set(HOMES[library]) <= used


def test_the_oracles_of_the_tests_are_not_in_the_router() -> None:
    """What judges the router in the tests is never part of it."""
    both = {str(path.relative_to(ROOT)): set(ONLY_IN_TESTS) & imported(path) for path in SOURCES}
    assert not {path: names for path, names in both.items() if names}


def test_files_stay_readable_in_one_sitting() -> None:
    """No source file is longer than the limit that CONTRIBUTING gives."""
    assert f"at most {LONGEST} lines" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert SOURCES
    assert not {path: lines for path, lines in long.items() if lines > LONGEST}


def test_nothing_is_left_for_later_in_a_comment() -> None:
    """What is not done stands in the documentation, not in a mark inside the code."""
    mark = re.compile(r"\b(" + "TO" + "DO|FIX" + r"ME|XXX)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if mark.search(line)
    ]
    assert not found


def test_every_module_says_what_it_is_for() -> None:
    """Each file starts with a docstring."""
    mute = [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(parsed(path))]
    assert not mute


@pytest.mark.parametrize("name", sorted(reference.files()))
def test_the_reference_is_fresh(name: str) -> None:
    """Schemas and reference page say what the models say; `make docs` writes them."""
    assert (ROOT / name).read_text(encoding="utf-8") == reference.files()[name], "run `make docs`"


def test_the_conformance_page_is_fresh() -> None:
    """The page names every rule, every edge input and the tests as they are now; `make docs` writes it."""
    committed = (ROOT / conformance.PAGE).read_text(encoding="utf-8")
    assert committed == conformance.page(ROOT), "run `make docs`"
