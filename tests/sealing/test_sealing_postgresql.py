"""The keyring on a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.keyring_contract import KeyringContract
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


class TestPostgresqlKeyring(KeyringContract):
    """The contract, on PostgreSQL."""

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:  # noqa: F811
        return postgresql_url
