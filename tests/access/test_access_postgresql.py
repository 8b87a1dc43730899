"""The same promises on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.access.store import AccessStore
from tests.access.access_samples import MovedClock, opened, people
from tests.access.test_access_login import (  # noqa: F401  the same promises, on another database
    test_a_code_is_asked_for_and_good_once,
    test_a_name_that_is_an_attack_is_a_name_that_nobody_has,
    test_attempts_at_the_same_moment_are_counted_each,
    test_the_wait_grows_and_ends,
    test_two_accounts_never_share_a_name,
)
from tests.access.test_access_sessions import (  # noqa: F401
    test_a_planted_session_is_worth_nothing_after_the_login,
    test_a_right_that_is_taken_is_gone_at_the_next_request,
    test_a_value_is_taken_once,
    test_an_idle_session_ends,
)
from tests.access.test_access_tokens import (  # noqa: F401
    test_a_token_ends,
    test_senders_are_those_that_may_send_now,
)
from tests.services import postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def store(postgresql_url: str, clock: MovedClock) -> Iterator[AccessStore]:  # noqa: F811
    """An empty database of its own, with the usual people."""
    store = opened(postgresql_url, clock)
    people(store)
    yield store
    store.close()
