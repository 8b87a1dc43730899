"""A token may never more than who made it, now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from router.access import rights as rights_of
from router.access.makers import EVERYTHING
from router.access.person import EVERY, Person, Role
from router.access.store import AccessStore
from router.access.tokens import API_READ, FEED_SEND, Token
from tests.access.access_samples import CHEAP, GOOD, A, B, MovedClock, as_version_2, opened

DAY = 86400.0
READER, OPERATOR, ADMINISTRATOR = Role.READER, Role.OPERATOR, Role.ADMINISTRATOR
Held = Mapping[str, Role]


def robot(store: AccessStore, clock: MovedClock, maker: str, rights: Held, *, days: float = 9) -> tuple[str, Token]:
    """A token of the API of this maker."""
    ends = clock.now() + days * DAY
    return store.tokens.create("robot", scopes=[API_READ], expires=ends, by="x", rights=rights, maker=maker)


def sender(store: AccessStore, clock: MovedClock, maker: str, within: Sequence[str]) -> Token:
    ends = clock.now() + DAY
    _, token = store.tokens.create(
        "sil", scopes=[FEED_SEND], expires=ends, by="x", feeds=["sil"], maker=maker, within=within
    )
    return token


def may(store: AccessStore, text: str) -> Held | None:
    """What the token may now; None when it is over."""
    found = store.token(text)
    return found.rights if found is not None else None


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({A: ADMINISTRATOR}, EVERYTHING, {A: ADMINISTRATOR}),
        ({A: ADMINISTRATOR}, {A: READER}, {A: READER}),
        ({A: ADMINISTRATOR}, {B: ADMINISTRATOR}, {}),
        ({EVERY: OPERATOR}, {A: ADMINISTRATOR, B: READER}, {A: OPERATOR, B: READER}),
        ({EVERY: READER, A: ADMINISTRATOR}, {EVERY: OPERATOR}, {EVERY: READER, A: OPERATOR}),
        ({A: ADMINISTRATOR}, {}, {}),
    ],
)
def test_what_two_rights_both_give(one: Held, other: Held, both: Held) -> None:
    """The lower role in each structure, where `*` counts for each; the same the other way round."""
    assert rights_of.both(one, other) == rights_of.both(other, one) == both


def test_a_token_shrinks_with_its_maker(store: AccessStore, clock: MovedClock) -> None:
    """It has the rights that the account still has; none while it is locked; it is over with the account for ever."""
    store.accounts.add("rosa", GOOD, {A: ADMINISTRATOR, B: ADMINISTRATOR})
    text, _ = robot(store, clock, store.login("rosa", GOOD).id, {A: ADMINISTRATOR, B: OPERATOR})
    assert may(store, text) == {A: ADMINISTRATOR, B: OPERATOR}
    store.accounts.set_rights("rosa", {A: READER})
    assert may(store, text) == {A: READER}
    store.accounts.lock("rosa")
    assert may(store, text) is None
    store.accounts.unlock("rosa")
    assert may(store, text) == {A: READER}
    store.accounts.remove("rosa")
    store.accounts.add("rosa", GOOD, {EVERY: ADMINISTRATOR})
    assert may(store, text) is None


def test_a_token_made_by_a_token_ends_with_it(store: AccessStore, clock: MovedClock) -> None:
    """Not later, with no more rights, and at once when any of those before it is revoked or its maker is gone."""
    store.accounts.add("rosa", GOOD, {A: ADMINISTRATOR})
    first, parent = robot(store, clock, store.login("rosa", GOOD).id, {A: ADMINISTRATOR}, days=2)
    second, child = robot(store, clock, parent.person.id, {A: OPERATOR, B: OPERATOR})
    third, grandchild = robot(store, clock, child.person.id, {A: ADMINISTRATOR})
    assert [one.expires for one in (child, grandchild)] == [parent.expires] * 2
    assert (may(store, second), may(store, third)) == ({A: OPERATOR}, {A: OPERATOR})
    store.accounts.set_rights("rosa", {A: READER})
    assert (may(store, second), may(store, third)) == ({A: READER}, {A: READER})
    store.tokens.revoke(child.id)
    assert (may(store, first), may(store, second), may(store, third)) == ({A: READER}, None, None)
    store.accounts.remove("rosa")
    assert may(store, first) is None


def test_a_token_of_the_command_line_stands_alone(store: AccessStore, clock: MovedClock) -> None:
    """Whoever gives commands on the machine may everything: nothing that happens to accounts changes it."""
    ends = clock.now() + DAY
    text, _ = store.tokens.create("robot", scopes=[API_READ], expires=ends, by="alice", rights={A: OPERATOR})
    store.accounts.remove("alice")
    assert may(store, text) == {A: OPERATOR}


def test_a_token_of_a_person_of_the_provider_has_the_rights_of_her_last_login(
    store: AccessStore, clock: MovedClock
) -> None:
    """Her groups are known at her logins alone; a token of somebody who was never seen is over."""
    store.begin(Person(id="oidc:1", name="oidc:dora", rights={A: ADMINISTRATOR}), "10.0.0.8", local=False)
    text, _ = robot(store, clock, "oidc:1", {A: ADMINISTRATOR})
    other, _ = robot(store, clock, "oidc:2", {A: ADMINISTRATOR})
    assert (may(store, text), may(store, other)) == ({A: ADMINISTRATOR}, None)
    store.begin(Person(id="oidc:1", name="oidc:dora", rights={A: READER}), "10.0.0.8", local=False)
    assert may(store, text) == {A: READER}


def test_a_sender_needs_an_administrator_of_its_feeds(store: AccessStore, clock: MovedClock) -> None:
    """While its maker is none of all structures of the feeds, it sends to none; it is no sender once she is gone."""
    store.accounts.add("rosa", GOOD, {A: ADMINISTRATOR, B: ADMINISTRATOR})
    sender(store, clock, store.login("rosa", GOOD).id, [A, B])
    machine = sender(store, clock, "", [])
    assert [one.sends_to for one in store.tokens.senders().values()] == [{"sil"}, {"sil"}]
    store.accounts.set_rights("rosa", {A: ADMINISTRATOR, B: OPERATOR})
    assert sorted(len(one.sends_to) for one in store.tokens.senders().values()) == [0, 1]
    store.accounts.remove("rosa")
    assert [one.id for one in store.tokens.senders().values()] == [machine.id]


def test_two_tokens_of_one_name_are_told_apart(store: AccessStore, clock: MovedClock) -> None:
    """By the id, which stands in the name that the audit writes too."""
    (_, one), (_, other) = robot(store, clock, "", {A: READER}), robot(store, clock, "", {B: READER})
    assert one.person.id != other.person.id
    assert [kept.person.name for kept in (one, other)] == [f"token:robot:{kept.id}" for kept in (one, other)]


def test_tables_of_before_get_ids(made: Path, tmp_path: Path, clock: MovedClock) -> None:
    """Accounts have one each, tokens stay good as those of the machine, people log in again."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    (tmp_path / "old.db").write_bytes(made.read_bytes())
    store = opened(url, clock)
    session = store.begin(store.login("alice", GOOD), "10.0.0.7")
    text, _ = store.tokens.create("robot", scopes=[API_READ], expires=clock.now() + DAY, by="chef", rights={A: READER})
    as_version_2(store)
    store.close()
    store = AccessStore(url, clock, hasher=CHEAP, upgrade=True)
    assert len({account.id for account in store.accounts.all()}) == 3
    assert (
        store.person_of(session) is None
        and store.person_of(store.begin(store.login("alice", GOOD), "10.0.0.7")) is not None
    )
    assert may(store, text) == {A: READER}
    store.close()
