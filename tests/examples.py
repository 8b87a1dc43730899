"""Where the national example messages are; tests that want them skip visibly when the folder is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SEGUR_EXAMPLES", Path(__file__).resolve().parents[2] / "shared" / "examples"))


def example(name: str) -> bytes:
    """The bytes of one example message, or a visible skip."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"national example {name} is not in {FOLDER}")
    return path.read_bytes()
