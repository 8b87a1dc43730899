"""Sessions: how they begin and end, and what the table tells whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.access.faults import LoginRefused
from router.access.person import Person, Role
from router.access.sessions import ANONYMOUS, same
from router.access.store import AccessStore
from router.errors import Bug
from tests.access.access_samples import GOOD, A, B, MovedClock


def begun(store: AccessStore, name: str = "alice") -> str:
    return store.begin(store.login(name, GOOD), "10.0.0.7")


def test_a_session_knows_its_person_and_its_source(store: AccessStore) -> None:
    """The cookie's value leads to the person with the rights of her account."""
    session = store.person_of(begun(store))
    assert session is not None and session.person is not None
    assert (session.person.name, session.person.rights, session.source) == ("alice", {A: Role.READER}, "10.0.0.7")


def test_the_database_does_not_hold_what_the_cookie_holds(store: AccessStore, tmp_path: Path) -> None:
    """Neither the session's value, nor what its forms carry, nor a password, stands in the files."""
    token = begun(store)
    session = store.person_of(token)
    assert session is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (token, session.csrf, GOOD):
        assert secret.encode() not in kept


def test_an_idle_session_ends(store: AccessStore, clock: MovedClock) -> None:
    """Each request puts the end off, up to the end of the shift."""
    token = begun(store)
    for _ in range(23):
        clock.move(1790)
        assert store.person_of(token)
    clock.move(1790)
    assert store.person_of(token)
    clock.move(1790)
    assert store.person_of(token) is None, "twelve hours are over"
    again = begun(store)
    clock.move(1801)
    assert store.person_of(again) is None


def test_a_stream_does_not_keep_a_session_alive(store: AccessStore, clock: MovedClock) -> None:
    """Looked at without being used, it ends as if nobody had looked."""
    token = begun(store)
    for _ in range(3):
        clock.move(590)
        assert store.person_of(token, touch=False)
    clock.move(590)
    assert store.person_of(token, touch=False) is None


def test_a_planted_session_is_worth_nothing_after_the_login(store: AccessStore) -> None:
    """Fixation: the value that the browser had before the login ends with it."""
    planted = store.begin(None, "10.6.6.6")
    assert (session := store.person_of(planted)) is not None and session.person is None
    token = store.begin(store.login("alice", GOOD), "10.0.0.7", replaces=planted)
    assert store.person_of(planted) is None and token != planted
    assert store.person_of(token)


def test_a_step_that_gives_more_changes_the_cookie(store: AccessStore) -> None:
    """`renew` keeps the session and its facts under another value; the old value is dead."""
    token = begun(store)
    store.sessions.put(token, filter="feed=sil")
    new = store.sessions.renew(token, confirmed=12.0)
    session = store.person_of(new)
    assert session is not None and session.values == {"filter": "feed=sil", "confirmed": 12.0}
    assert store.person_of(token) is None
    with pytest.raises(LoginRefused, match="SESSION-ENDED"):
        store.sessions.renew(token)


def test_a_session_without_a_person_is_short(store: AccessStore, clock: MovedClock) -> None:
    """It lives as long as a login takes."""
    token = store.begin(None, "10.0.0.7")
    clock.move(ANONYMOUS + 1)
    assert store.person_of(token) is None


def test_a_right_that_is_taken_is_gone_at_the_next_request(store: AccessStore) -> None:
    """Also the account itself: locked or removed, its open sessions show nothing more."""
    token = begun(store, "bob")

    def rights() -> object:
        session = store.person_of(token)
        return session.person.rights if session and session.person else None

    store.accounts.set_rights("bob", {B: Role.READER})
    assert rights() == {B: Role.READER}
    store.accounts.lock("bob")
    assert rights() is None
    store.accounts.unlock("bob")
    assert rights() is None, "she logs in again"
    token = begun(store, "bob")
    store.accounts.remove("bob")
    assert rights() is None


def test_an_account_made_again_does_not_revive_old_sessions(store: AccessStore) -> None:
    """A colleague who gets a name that was free does not find the sessions of who had it."""
    token = begun(store, "bob")
    store.accounts.remove("bob")
    store.accounts.add("bob", GOOD, {A: Role.ADMINISTRATOR})
    assert store.person_of(token) is None


def test_a_new_password_ends_the_other_sessions(store: AccessStore) -> None:
    """Whoever had the old one is out; the session that changed it goes on when it is named."""
    mine, other = begun(store), begun(store)
    store.accounts.set_password("alice", "cinq-loutres-au-violon", keep=mine)
    assert store.person_of(mine) and store.person_of(other) is None


def test_a_person_sees_and_ends_her_sessions(store: AccessStore) -> None:
    """By an id that gives no access; only her own."""
    tokens = [begun(store), begun(store), begun(store, "bob")]
    alice = store.login("alice", GOOD)
    assert [session.source for session in store.sessions.of(alice.id)] == ["10.0.0.7"] * 2
    first, bobs = store.person_of(tokens[0]), store.person_of(tokens[2])
    assert first is not None and bobs is not None
    assert store.person_of(first.id) is None
    assert store.sessions.end_id(alice.id, first.id) and not store.sessions.end_id(alice.id, bobs.id)
    assert [bool(store.person_of(token)) for token in tokens] == [False, True, True]
    assert store.sessions.end_all(alice.id, but=tokens[1]) == 0
    store.end(tokens[1])
    assert store.person_of(tokens[1]) is None


def test_forms_of_two_sessions_differ(store: AccessStore) -> None:
    """What one session's forms carry is worth nothing in another."""
    one, other = store.person_of(begun(store)), store.person_of(begun(store))
    assert one is not None and other is not None
    assert len(one.csrf) == 64 and same(one.csrf, one.csrf)
    assert not same(one.csrf, other.csrf) and not same("", one.csrf) and not same("é", one.csrf)


def test_a_value_is_taken_once(store: AccessStore) -> None:
    """State and nonce of a login at the identity provider are used up by the first who comes back with them."""
    token = store.begin(None, "10.0.0.7", values={"state": "s", "next": "/search"})
    assert store.sessions.take(token, "state", "nonce") == {"state": "s"}
    assert store.sessions.take(token, "state") == {}
    session = store.person_of(token)
    assert session is not None and session.values == {"next": "/search"}


def test_content_is_shown_until_a_time(store: AccessStore, clock: MovedClock) -> None:
    """A value that is a time is over when it is over."""
    token = begun(store)
    store.sessions.put(token, shown=clock.now() + 900)
    session = store.person_of(token)
    assert session is not None and session.until("shown", clock.now()) and not session.until("other", clock.now())
    assert not session.until("shown", clock.now() + 901)


def test_rights_from_the_identity_provider_stand_in_the_session(store: AccessStore) -> None:
    """A person without an account here has the rights her groups gave her, until the session ends."""
    token = store.begin(dora(), "10.0.0.8", local=False)
    session = store.person_of(token)
    assert session is not None and session.person is not None and not session.local
    assert session.person.may(Role.OPERATOR, B) and not session.person.may(Role.READER, A)


def dora(name: str = "oidc:dora@chu.fr") -> Person:
    """As the identity provider names her."""
    return Person(id="oidc:5b1e", name=name, shown="Dora", rights={B: Role.OPERATOR})


def test_an_account_and_a_person_of_the_provider_share_nothing(store: AccessStore) -> None:
    """Under one name, neither sees nor ends the sessions of the other, and a lock of the account is of it alone."""
    theirs, ours = store.begin(dora("alice"), "10.0.0.8", local=False), begun(store)
    alice = store.login("alice", GOOD)
    assert [one.source for one in store.sessions.of(alice.id)] == ["10.0.0.7"]
    assert [one.source for one in store.sessions.of("oidc:5b1e")] == ["10.0.0.8"]
    assert store.sessions.end_all(alice.id) == 1 and store.person_of(ours) is None
    store.accounts.lock("alice")
    session = store.person_of(theirs)
    assert session is not None and session.person is not None and session.person.id == "oidc:5b1e"


def test_a_name_given_again_is_somebody_else(store: AccessStore) -> None:
    """The id of a removed account is never given again."""
    before = store.login("alice", GOOD).id
    store.accounts.remove("alice")
    store.accounts.add("alice", GOOD, {B: Role.READER})
    assert store.login("alice", GOOD).id != before


def test_a_person_of_the_provider_without_an_id_is_a_bug(store: AccessStore) -> None:
    """Her name must never be taken for one."""
    with pytest.raises(Bug, match="BUG-SessionPerson"):
        store.begin(Person(name="dora", rights={B: Role.READER}), "10.0.0.8", local=False)


@pytest.mark.parametrize("token", ["", "x", "' OR 1=1 --aaaaaaaaaaaaaaaaaaaa", "a" * 43, "é" * 43, "x" * 10_000])
def test_a_cookie_that_is_none_of_ours_is_nobody(store: AccessStore, token: str) -> None:
    """Whatever it holds."""
    assert store.person_of(token) is None
