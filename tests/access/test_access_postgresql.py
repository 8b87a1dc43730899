"""The same promises on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from router.access.person import Person
from router.access.store import AccessStore
from router.errors import OperatorFault
from tests.access.access_samples import CHEAP, MovedClock, as_version_2, opened, people
from tests.access.test_access_codes import (  # noqa: F401
    test_a_key_that_was_copied_or_can_not_be_opened_lets_nobody_in,
    test_a_sealed_key_logs_in_and_stands_nowhere_in_clear,
    test_a_sealed_key_outlives_the_rotation_of_the_master_key,
)
from tests.access.test_access_login import (  # noqa: F401  the same promises, on another database
    test_a_code_is_asked_for_and_good_once,
    test_a_name_that_is_an_attack_is_a_name_that_nobody_has,
    test_attempts_at_the_same_moment_are_counted_each,
    test_the_wait_grows_and_ends,
    test_two_accounts_never_share_a_name,
)
from tests.access.test_access_makers import (  # noqa: F401
    test_a_token_made_by_a_token_ends_with_it,
    test_a_token_shrinks_with_its_maker,
)
from tests.access.test_access_ordered import test_orders_of_one_moment_do_not_count_each_other_out  # noqa: F401
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


def test_tables_of_before_get_room_for_a_sealed_key(postgresql_url: str, clock: MovedClock) -> None:  # noqa: F811
    """The column of version 1 was too short; who may not change tables says what to run."""
    store = opened(postgresql_url, clock)
    people(store)
    with store._database.write() as db:
        db.execute(text("ALTER TABLE access_account ALTER COLUMN totp TYPE VARCHAR(64)"))
        db.execute(text("ALTER TABLE access_session ALTER COLUMN name TYPE VARCHAR(64)"))
    as_version_2(store)
    with store._database.write() as db:
        db.execute(text("UPDATE schema_versions SET version=1 WHERE room='access'"))
    store.close()
    with pytest.raises(OperatorFault, match="ACCESS-OLDER"):
        opened(postgresql_url, clock)
    store = AccessStore(postgresql_url, clock, hasher=CHEAP, upgrade=True)
    store.accounts._set("alice", totp="sealed:" + "A" * 200)
    assert store.accounts.all()[0].totp
    store.begin(Person(id="oidc:1", name=f"oidc:{'a' * 64}", rights={}), "10.0.0.8", local=False)
    store.close()
