"""A store on SQLite for every test; `test_access_postgresql.py` gives another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.access.store import AccessStore
from tests.access.access_samples import MovedClock, Seal, opened, people


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual people, made once: each test has a copy."""
    path = tmp_path_factory.mktemp("access") / "access.db"
    store = opened(f"sqlite:///{path}", MovedClock())
    people(store)
    store.close()
    return path


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def store(made: Path, tmp_path: Path, clock: MovedClock) -> Iterator[AccessStore]:
    shutil.copy(made, tmp_path / "access.db")
    store = opened(f"sqlite:///{tmp_path / 'access.db'}", clock)
    yield store
    store.close()


@pytest.fixture
def seal(store: AccessStore, tmp_path: Path, clock: MovedClock) -> Iterator[Seal]:
    made = Seal(store, tmp_path, clock)
    yield made
    made.close()
