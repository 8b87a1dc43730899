"""One odd line on PostgreSQL: an identifier that is too long for an index stops nothing."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

import pytest

from router.contracts import SystemClock
from router.journal.store import Journal
from tests.journal.journal_samples import received
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration
LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=6000))


@pytest.fixture
def journal(postgresql_url: str) -> Iterator[Journal]:  # noqa: F811
    journal = Journal(postgresql_url, SystemClock())
    yield journal
    journal.close()


def test_a_long_msh_10_does_not_stop_the_journal(journal: Journal) -> None:
    journal.write([received(control_id=LONG), received("f" * 64)], [])
    assert journal.story("f" * 64)


def test_a_long_document_id_does_not_stop_the_journal(journal: Journal) -> None:
    journal.write([received(documents=(LONG,)), received("f" * 64)], [])
    assert journal.story("f" * 64)
