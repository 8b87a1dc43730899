"""The journal on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.contracts import SystemClock
from router.journal.store import Journal
from tests.contracts.journal_contract import JournalContract
from tests.contracts.unheard_contract import UnheardContract


class TestSqliteJournal(JournalContract, UnheardContract):
    """The contract, on SQLite."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[Journal]:
        journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}", SystemClock())
        yield journal
        journal.close()
