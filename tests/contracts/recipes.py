"""The files that CONTRIBUTING.md shows, as a reader would copy them: the name stands after the language of a block."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def blocks() -> dict[str, str]:
    """File name -> content."""
    return dict(_BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))


def copy_of_the_repository(folder: Path) -> Path:
    """What the recipes change, and what the tests that they add need.

    What Python has compiled comes along: a file that a recipe changes has another time and size, and is compiled anew.
    """
    for name in ("router", "tests", "benchmarks", "docs", "schemas", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def changed(copy: Path) -> list[str]:
    """The modules that a recipe added or changed, relative to the copy."""
    found = (path.relative_to(copy) for name in ("router", "tests") for path in (copy / name).rglob("*.py"))
    return [str(one) for one in found if not _same(copy / one, ROOT / one)]


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


def add_file(copy: Path, name: str) -> None:
    """A new file, as the page shows it."""
    assert not (copy / name).exists(), f"{name} is there already"
    (copy / name).write_text(blocks()[name], encoding="utf-8")


def append(copy: Path, name: str) -> None:
    """The lines of a block at the end of a file."""
    with (copy / name).open("a", encoding="utf-8") as file:
        file.write(blocks()[name])


def insert(copy: Path, name: str, lines: str, number: int) -> None:
    """Lines behind line `number` of a file (1 = the first)."""
    kept = (copy / name).read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / name).write_text("".join([*kept[:number], lines, *kept[number:]]), encoding="utf-8")


def insert_above(copy: Path, name: str, lines: str, text: str) -> None:
    """Lines above the last line of a file that holds this text."""
    kept = (copy / name).read_text(encoding="utf-8").splitlines()
    insert(copy, name, lines, max(number for number, line in enumerate(kept) if text in line))


def end_of(copy: Path, name: str, wanted: str) -> int:
    """The last line of the function, class, table or call of this name in a file."""
    for node in ast.walk(ast.parse((copy / name).read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=found) | ast.ClassDef(name=found) if found == wanted:
                return node.end_lineno or 0
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if found == wanted:
                return (node.end_lineno or 0) - 1
            case ast.Call(func=ast.Name(id=found)) if found == wanted:
                return (node.end_lineno or 0) - 1
    raise LookupError(f"{name}: {wanted}")


def install_archive_sink(folder: Path) -> Path:
    """The sample sink type as `pip install` would leave it in `folder`: the module, and its entry points."""
    project = tomllib.loads(blocks()["pyproject.toml"])["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (folder / "archive_sink.py").write_text(blocks()["archive_sink.py"], encoding="utf-8")
    lines = [f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"]
    (about / "METADATA").write_text("".join(lines), encoding="utf-8")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    return folder


@cache
def archive_sink(old: str = "", new: str = "") -> ModuleType:
    """The sample's module, in this process; with `old` replaced by `new`, a sink that breaks a promise."""
    text = blocks()["archive_sink.py"]
    if old not in text:
        raise LookupError(old)
    made = ModuleType(f"archive_sink_{abs(hash((old, new)))}")
    sys.modules[made.__name__] = made
    exec(compile(text.replace(old, new), "CONTRIBUTING.md", "exec"), made.__dict__)  # noqa: S102  # our own page
    return made
