"""The audit on a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.audit_contract import AuditContract
from tests.contracts.traces_contract import TracesContract
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


class TestPostgresqlAudit(AuditContract):
    """The contract, on PostgreSQL."""

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:  # noqa: F811
        return postgresql_url


class TestPostgresqlTraces(TracesContract):
    """The contract of the traces, on PostgreSQL."""

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:  # noqa: F811
        return postgresql_url
