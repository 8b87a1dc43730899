"""A world for each test, and one for each module of browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.console_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two hospitals, one message of each."""
    made = World(tmp_path)
    made.fill()
    yield made
    made.close()
