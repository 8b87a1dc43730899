"""The archive on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.archive_contract import ArchiveContract
from tests.services import postgresql_url  # noqa: F401


class TestSqliteArchive(ArchiveContract):
    """The contract, on SQLite: an archive and a keyring in one file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'archive.db'}"


@pytest.mark.integration
class TestPostgresqlArchive(ArchiveContract):
    """The contract, on PostgreSQL."""

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:  # noqa: F811
        return postgresql_url
