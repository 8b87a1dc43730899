"""The house keeps its shape: floors, homes of foreign libraries, sizes, and generated files that are fresh."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.config.reference import files

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "router").rglob("*.py"))

#: Foreign library -> rooms that may import it.
HOMES = {
    "kafka": {"bus"},
    "hl7apy": {"hl7"},
    "sqlalchemy": {"ledger", "journal", "register"},
    "lxml": {"cda", "xds", "sinks", "simulators", "directory", "cisis"},
    "tenacity": {"engine"},
    "prometheus_client": {"observe"},
    "structlog": {"observe", "runtime"},
    "ruamel": {"config", "demo"},
    "cel": {"config"},
    "aiosmtplib": {"sinks"},
    "imapclient": {"feedback"},
    "httpx": {"sinks", "directory"},
    "starlette": {"gateway", "observe"},
    "uvicorn": {"gateway", "observe"},
    "typer": {"cli"},
}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)


def test_imports_go_down_the_floors() -> None:
    """import-linter's contracts of pyproject.toml hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("library", HOMES)
def test_a_foreign_library_has_its_homes(library: str) -> None:
    """Whoever replaces a library knows where to look."""
    rooms = {path.relative_to(ROOT / "router").parts[0] for path in MODULES if library in _imported(path)}
    assert rooms <= HOMES[library]


def test_files_are_small() -> None:
    """A file of more than 450 lines is two subjects under one roof."""
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: lines for path, lines in long.items() if lines > 450} == {}


def test_nothing_is_left_unfinished() -> None:
    """No marker of later work stands in the package."""
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [str(path) for path in MODULES if marks.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", files())
def test_generated_files_are_fresh(name: str) -> None:
    """Schemas and reference say what the models say: `make docs` writes them."""
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name]
