"""The journal on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.contracts import SystemClock
from router.journal.store import Journal
from tests.contracts.journal_contract import JournalContract
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


class TestPostgresqlJournal(JournalContract):
    """The contract, on PostgreSQL."""

    @pytest.fixture
    def journal(self, postgresql_url: str) -> Iterator[Journal]:  # noqa: F811
        journal = Journal(postgresql_url, SystemClock())
        yield journal
        journal.close()
