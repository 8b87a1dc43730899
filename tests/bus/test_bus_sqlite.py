"""The embedded bus keeps the contract of every bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from tests.contracts.bus_contract import BusContract


class TestSqliteBus(BusContract):
    """The contract, on SQLite."""

    @pytest.fixture
    def bus(self, tmp_path: Path) -> Iterator[SqliteBus]:
        bus = SqliteBus(tmp_path / "bus.db")
        yield bus
        bus.close()

    @pytest.fixture
    def again(self, tmp_path: Path, bus: SqliteBus) -> Iterator[Callable[[], SqliteBus]]:
        opened: list[SqliteBus] = []

        def open_again() -> SqliteBus:
            opened.append(SqliteBus(tmp_path / "bus.db"))
            return opened[-1]

        yield open_again
        for other in opened:
            other.close()
