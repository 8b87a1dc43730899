"""The router as it was at an older revision, out of the history of this checkout."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


class NoHistory(LookupError):
    """The revision is not in this checkout: its history is shallow, or it is no checkout."""


@dataclass(frozen=True, slots=True)
class Older:
    """folder: goes on PYTHONPATH;  version: as its processes tell it"""

    folder: Path
    version: str


def released() -> str:
    """The commit of the last release before the present one: it gave the project its number. Raises `NoHistory`."""
    found = _git("log", "--format=%H", "-G^version = ", "HEAD~1", "--", "pyproject.toml").decode().split()
    if not found:
        raise NoHistory("no release is in this history")
    return found[0]


def unpack(revision: str, folder: Path) -> Older:
    """Write the code of a revision into an empty folder. Its libraries are those of this environment.

    Its version has the revision added: a verdict counts only where the same software reads it, and two releases are
    not the same software, though work between two releases bears the number of the last one. Raises `NoHistory`.
    """
    packed = _git("archive", "--format=tar", revision, "router", "pyproject.toml")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--directory", str(folder)], input=packed, check=True)
    short = _git("rev-parse", "--short", revision).decode().strip()
    number = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    version = f"{number}+{short}"
    about = folder / f"segur_router-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: segur-router\nVersion: {version}\n")
    return Older(folder, version)


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise NoHistory("git is not installed") from error
    if done.returncode:
        raise NoHistory(done.stderr.decode(errors="replace").strip())
    return done.stdout
