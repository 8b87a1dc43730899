"""The ledger in memory that the engine's tests use keeps the contract of every ledger."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.ledger_contract import LedgerContract
from tests.engine.memory import MemoryLedger


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def again(ledger: MemoryLedger) -> Callable[[], MemoryLedger]:
    return lambda: MemoryLedger(ledger)


class TestMemoryLedger(LedgerContract):
    """The contract, in memory."""
