"""Where the inputs that were once answered wrongly are; tests that want them skip visibly when the folder is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SEGUR_CASES", Path(__file__).resolve().parents[2] / "shared" / "cases"))


def case(name: str) -> bytes:
    """The bytes of one input, or a visible skip."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"input {name} is not in {FOLDER}")
    return path.read_bytes()
