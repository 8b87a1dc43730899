"""The journal on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Table, select, text

from router.contracts import SystemClock
from router.database import TooSlow
from router.errors import Unavailable
from router.journal.store import Journal
from router.journal.tables import BY_DAY, DAY
from tests.contracts.journal_contract import JournalContract
from tests.contracts.unheard_contract import UnheardContract
from tests.journal.journal_samples import received
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


class TestPostgresqlJournal(JournalContract, UnheardContract):
    """The contract, on PostgreSQL."""

    @pytest.fixture
    def journal(self, postgresql_url: str) -> Iterator[Journal]:  # noqa: F811
        journal = Journal(postgresql_url, SystemClock())
        yield journal
        journal.close()

    @pytest.mark.parametrize("first", BY_DAY, ids=lambda table: str(table.name))
    def test_a_purge_and_a_search_never_wait_for_each_other(self, journal: Journal, first: Table) -> None:
        """Whichever table a search has read, it reads all others, though a purge began meanwhile and waits for it."""
        journal.write([received("e" * 64, 5 * DAY)], [], seen=1.0)
        faults: list[Exception] = []

        def purge() -> None:
            try:
                journal.prune(7 * DAY)
            except Unavailable as fault:  # it waited two seconds for us: the next purge does it
                faults.append(fault)

        thread = threading.Thread(target=purge)
        with journal._database.read() as connection:
            connection.execute(select(first).where(first.c.day == 5)).all()
            thread.start()
            time.sleep(0.3)
            for table in BY_DAY:
                connection.execute(select(table).where(table.c.day == 5)).all()
        thread.join(20)
        assert not faults
        assert journal.prune(7 * DAY) + len(journal.story("e" * 64)) == 0

    def test_the_time_of_a_search_is_that_of_all_its_statements(self, journal: Journal) -> None:
        """Each gets what those before it have left."""
        begun = time.monotonic()
        with pytest.raises(TooSlow), journal._database.read(seconds=0.5) as connection:
            for _ in range(20):
                connection.execute(text("SELECT pg_sleep(0.2)"))
        assert time.monotonic() - begun < 2.0

    def test_a_purge_that_was_stopped_is_done_by_the_next(self, journal: Journal) -> None:
        """What is left of the day, the events, goes then."""
        journal.write([received("e" * 64, 5 * DAY)], [], seen=1.0)
        with journal._database.write() as connection:
            for table in BY_DAY:
                connection.execute(text(f"DROP TABLE {table.name}_d5"))
        assert journal.prune(7 * DAY) == 1
        assert journal.oldest() is None and journal.prune(7 * DAY) == 0
