"""The changelog tells of the version that is built."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_package() -> None:
    """A release without an entry, or an entry without a release, is a mistake."""
    entries = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert entries[0] == VERSION
    assert entries == sorted(entries, key=lambda one: [int(part) for part in one.split(".")], reverse=True)


def test_the_command_says_the_version() -> None:
    """`--version` is what a report of a fault begins with."""
    told = subprocess.run(
        [sys.executable, "-m", "router.cli.main", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert told == f"segur-router {VERSION}\n"
