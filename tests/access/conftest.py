"""A store on SQLite for every test; `test_access_postgresql.py` gives another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.access.store import AccessStore
from tests.access.access_samples import MovedClock, opened, people


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def store(tmp_path: Path, clock: MovedClock) -> Iterator[AccessStore]:
    store = opened(f"sqlite:///{tmp_path / 'access.db'}", clock)
    people(store)
    yield store
    store.close()
