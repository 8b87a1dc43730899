"""The audit on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.audit_contract import AuditContract
from tests.contracts.traces_contract import TracesContract


class TestSqliteAudit(AuditContract):
    """The contract, on SQLite."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'audit.db'}"


class TestSqliteTraces(TracesContract):
    """The contract of the traces, on SQLite."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'traces.db'}"
