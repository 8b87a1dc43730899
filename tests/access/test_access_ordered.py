"""What one person orders alone within the hour counts together: no split order, second tab or other name gets round."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from router.access.makers import of_machine
from router.access.ordered import WITHIN
from router.access.store import AccessStore
from router.access.tokens import API_ACT
from tests.access.access_samples import MovedClock

MOST = 100


def test_orders_of_one_moment_do_not_count_each_other_out(store: AccessStore) -> None:
    """Twenty commands of ten at once, from several processes: ten begin, under whatever name of hers each is given."""
    bob = store.accounts.find("bob")
    assert bob is not None
    names = (bob.id, of_machine("bob"))
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda n: store.ordered.alone(f"o{n}", names[n % 2], "discarded", 10, MOST), range(20)))
    assert sum(begun) == 10
    assert [store.ordered.lately(name, "discarded") for name in names] == [MOST, MOST]


def test_an_order_that_is_confirmed_twice_counts_once(store: AccessStore) -> None:
    """Two tabs, or a POST that is sent again: it had begun."""
    for _ in range(3):
        assert store.ordered.alone("one", "account:1", "replayed", 60, MOST)
    assert store.ordered.lately("account:1", "replayed") == 60


def test_only_the_same_person_the_same_act_and_the_last_hour_count(store: AccessStore, clock: MovedClock) -> None:
    """What was refused in the end is taken off; who has nobody's id is nobody else."""
    alone = store.ordered.alone
    assert alone("a", "account:1", "replayed", 90, MOST) and not alone("b", "account:1", "replayed", 20, MOST)
    assert alone("c", "account:1", "discarded", 20, MOST) and alone("d", "account:2", "replayed", 20, MOST)
    assert alone("e", "", "replayed", 90, MOST) and alone("f", "", "replayed", 90, MOST)
    store.ordered.came_to("a", 70)
    store.ordered.came_to("unknown", 70)
    assert alone("b", "account:1", "replayed", 20, MOST)
    clock.move(WITHIN - 1)
    assert not alone("g", "account:1", "replayed", 20, MOST)
    clock.move(2)
    assert alone("g", "account:1", "replayed", 20, MOST)


def test_what_her_tokens_ordered_counts_also_when_they_have_ended(store: AccessStore, clock: MovedClock) -> None:
    """She makes one, orders by it, revokes it, and makes the next, by the token itself too."""
    bob = store.accounts.find("bob")
    assert bob is not None

    def made(maker: str) -> str:
        ends = clock.now() + 3600
        return store.tokens.create("robot", scopes=[API_ACT], expires=ends, by="bob", maker=maker)[1].person.id

    first = made(bob.id)
    second = made(first)
    assert store.ordered.alone("a", second, "replayed", 60, MOST)
    store.tokens.revoke(second.removeprefix("token:"))
    assert not store.ordered.alone("b", made(bob.id), "replayed", 60, MOST)
    assert store.ordered.alone("c", of_machine("alice"), "replayed", 60, MOST)
