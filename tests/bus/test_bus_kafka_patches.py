"""What is mended in kafka-python still fits the version that is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from router.bus.kafka import patches

FOLDER: Final = Path(patches.__file__).parent
README: Final = (FOLDER / "README.md").read_text(encoding="utf-8")
READ: Final = re.findall(r"^\| `(\w+\.py)` \| `(kafka[\w.]+:[\w.]+)` \| `([0-9a-f]{16})` \|$", README, re.MULTILINE)
ASK: Final = """
import hashlib, importlib, inspect, sys
module, _, path = sys.argv[1].partition(":")
found = importlib.import_module(module)
for name in path.split("."):
    found = getattr(found, name)
print(hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:16])
"""


@pytest.mark.parametrize(("file", "method", "digest"), READ, ids=[method for _, method, _ in READ])
def test_the_method_that_is_mended_is_the_one_that_was_read(file: str, method: str, digest: str) -> None:
    """A version that changed a method, or mended it, is read again before anybody relies on the mend."""
    command = [sys.executable, "-W", "ignore", "-c", ASK, method]  # a process of its own: nothing is replaced there
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert told == digest, f"{method} has changed: read it, then {file} and its README ({told})"


def test_every_mend_names_its_methods_its_fault_and_its_test() -> None:
    """A file without a row in both tables, or a row without its file or test, is a mend nobody can check."""
    files = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}
    rows = dict(re.findall(r"^\| `(\w+\.py)` \| [^`|][^|]* \| `([\w/.]+)` \|$", README, re.MULTILINE))
    assert files
    assert {file for file, _, _ in READ} == files
    assert rows.keys() == files
    assert all((FOLDER.parents[3] / test).is_file() for test in rows.values())
