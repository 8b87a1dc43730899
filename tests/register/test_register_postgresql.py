"""The register on a real PostgreSQL behaves as on SQLite, with two writers at once and while the server is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from router.errors import Unavailable
from router.register import Register
from tests.register.register_samples import PSEUDONYMS, StillClock, change, ins, ipp, ipp_name, zfa
from tests.register.test_register_store import (  # noqa: F401  the same promises, on another database
    test_d2_a_downgrade_is_seen_and_keeps_the_ins_known,
    test_d2_what_a_message_does_not_say_stays,
    test_d8_a_merge_and_its_reverse_make_no_loop,
    test_d8_a_patient_is_found_by_ipp_and_by_ins,
    test_d8_a_silent_change_of_ins_is_work_too,
    test_d8_a_withdrawn_ins_can_come_back,
    test_d8_an_a40_leads_the_former_ipp_to_the_one_that_stays,
    test_d8_an_a47_replaces_an_ins_and_an_ipp,
    test_d8_an_entry_is_settled_once_with_who_and_what,
    test_d8_an_older_event_of_the_partition_overwrites_nothing,
    test_d8_documents_sent_under_a_changed_identity_become_work,
    test_d8_replaying_the_topic_rebuilds_the_register,
    test_d8_the_same_event_twice_does_nothing,
    test_d8_what_leaves_after_the_change_is_work_at_once,
)
from tests.services import PostgresServer, own_postgresql, postgresql_url  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def register(postgresql_url: str, clock: StillClock) -> Iterator[Register]:  # noqa: F811
    """An empty register in a database of its own."""
    opened = Register(postgresql_url, PSEUDONYMS, clock)
    yield opened
    opened.close()


def test_postgresql_long_values_do_not_stop_the_feed(register: Register) -> None:
    """A date that is too long for its column is cut, not retried for ever."""
    long = change("A31", ipp("3"), ins("279035121518989"), zfa=zfa("IO", at="2" * 400), status="~".join(["VALI"] * 90))
    assert register.apply("e1", long).new
    found = register.find(ipp_name("3"))
    assert found is not None and found.opposed and found.qualified


def test_postgresql_two_writers_on_one_patient_lose_nothing(register: Register, postgresql_url: str) -> None:  # noqa: F811
    """Two processes apply events of one new patient at once: each event counts once."""
    other = Register(postgresql_url, PSEUDONYMS, StillClock())
    failures: list[BaseException] = []

    def work(target: Register, first: int) -> None:
        try:
            for n in range(first, 30, 2):
                target.apply(f"e{n}", change("A31", ipp("3"), ipp(f"X{n}")))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(target, n)) for n, target in enumerate((register, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert failures == []
    found = register.find_all([ipp_name(f"X{n}") for n in range(30)])
    assert len(found) == 30 and len({patient.id for patient in found.values()}) == 1


def test_postgresql_away_is_unavailable_until_it_returns(own_postgresql: PostgresServer) -> None:  # noqa: F811
    """While the server is down every call says so; afterwards the register goes on with what it had."""
    register = Register(own_postgresql.url, PSEUDONYMS, StillClock())
    register.apply("e1", change("A31", ipp("3")))
    own_postgresql.stop()
    with pytest.raises(Unavailable):
        register.find(ipp_name("3"))
    with pytest.raises(Unavailable):
        register.apply("e2", change("A31", ipp("4")))
    own_postgresql.start()
    assert register.find(ipp_name("3")) is not None
    assert register.apply("e2", change("A31", ipp("4"))).new
    register.close()
