"""docs/architecture.md says what is so: the floors, the homes of libraries, and where each thing stands."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from functools import cache

import pytest

from tests.test_floors import HOMES, ROOT, SOURCES

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
_FLOOR = re.compile(r"^( ?\d+|  )  (\w+) +\S.*?(?:  \(([^)]+)\))?$")
_NAME = re.compile(r"`([a-z]\w*(?:\.\w+)+|[A-Z]\w+\.\w+)(?:\([^`]*\))?`")


@cache
def floors() -> list[tuple[int, str, tuple[str, ...]]]:
    """(floor, room, libraries) of every line of the list, from the top."""
    (block,) = re.findall(r"^```floors\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found, floor = [], -1
    for line in block.splitlines():
        match = _FLOOR.match(line)
        assert match, line
        floor = int(match[1]) if match[1].strip() else floor
        found.append((floor, match[2], tuple(match[3].split(", ")) if match[3] else ()))
    return found


def test_the_floors_are_those_that_the_linter_keeps() -> None:
    """The list of the page and the layers of pyproject.toml name the same rooms in the same order."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (one["layers"] for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    kept = [set(re.split(r" [:|] ", layer)) for layer in layers]
    told = [{room for floor, room, _ in floors() if floor == number} for number in range(len(kept) - 1, -1, -1)]
    assert told == kept


def test_every_room_stands_on_a_floor() -> None:
    """No folder or file of the router is left out: the linter would not look at it."""
    rooms = {path.relative_to(ROOT / "router").parts[0].removesuffix(".py") for path in SOURCES} - {"__init__"}
    assert {room for _, room, _ in floors()} == rooms


def test_the_homes_of_libraries_are_told() -> None:
    """In brackets behind a room: the libraries that it may import."""
    told = {(library, room) for _, room, libraries in floors() for library in libraries}
    assert told == {(library, room) for library, rooms in HOMES.items() for room in rooms}


def classes() -> dict[str, set[str]]:
    """Every class of the router -> the names that it or its methods define."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = found.setdefault(node.name, set())
                for inner in ast.walk(node):
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        names.add(inner.name)
                    elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                        names.add(inner.target.id)
    return found


def is_there(name: str) -> bool:
    """Whether `room.module.name` of the router exists."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = f"router.{'.'.join(parts[:length])}"
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        return all(hasattr(found, part) for part in parts[length:][:1])
    return False


ROOMS = {room for _, room, _ in floors()}


@pytest.mark.parametrize("name", sorted({one for one in _NAME.findall(PAGE) if one.split(".")[0] in ROOMS}))
def test_a_module_that_the_page_names_is_there(name: str) -> None:
    """`room.module` or `room.module.name`: whoever follows the page finds it."""
    assert is_there(name)


def test_a_method_that_the_page_names_is_there() -> None:
    """`Class.method`: the class exists and has it."""
    known = classes()
    named = {one for one in _NAME.findall(PAGE) if one[0].isupper()}
    assert named
    assert not {one for one in named if one.split(".")[1] not in known.get(one.split(".")[0], set())}
