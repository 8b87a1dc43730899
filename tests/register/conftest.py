"""An empty register, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.register import Register
from tests.register.register_samples import PSEUDONYMS, StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def register(tmp_path: Path, clock: StillClock) -> Iterator[Register]:
    """An empty register in a file."""
    opened = Register(f"sqlite:///{tmp_path / 'register.db'}", PSEUDONYMS, clock)
    yield opened
    opened.close()
