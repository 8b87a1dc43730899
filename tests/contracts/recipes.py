"""The files that CONTRIBUTING.md shows, as a reader would copy them: the name stands after the language of a block."""

from __future__ import annotations

import re
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
