"""Local accounts: who gets in, who waits, and what a stranger learns."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

import argon2
import pyotp
import pytest

from router.access import totp
from router.access.faults import CodeNeeded, LoginRefused
from router.access.lockout import FREE, wait
from router.access.person import Role
from router.access.store import AccessStore
from router.errors import OperatorFault
from tests.access.access_samples import CHEAP, GOOD, NOBODY, A, B, MovedClock, opened

WRONG = "quatre-loutres-au-piano"


def outcome(store: AccessStore, name: str, password: str, code: str = "") -> tuple[str, str, float]:
    """(code, sentence, wait) of a login; that of a success is empty."""
    try:
        store.login(name, password, code)
    except LoginRefused as fault:
        return fault.code, fault.text, fault.wait
    return "", "", 0.0


def test_the_right_password_gives_the_person_and_what_she_may(store: AccessStore) -> None:
    """A reader of one hospital is nobody in the other."""
    person = store.login("alice", GOOD)
    assert (person.name, person.shown, person.scopes) == ("alice", "Alice A.", None)
    assert person.may(Role.READER, A) and not person.may(Role.OPERATOR, A)
    assert not person.may(Role.READER, B) and not person.may(Role.READER, "")
    assert person.structures() == frozenset({A})


@pytest.mark.parametrize("typed", ["ALICE", "  alice ", "Ａlice"])
def test_a_name_is_one_however_it_is_typed(store: AccessStore, typed: str) -> None:
    """Case, spaces around it and wide letters make no other account."""
    assert store.login(typed, GOOD).name == "alice"


@pytest.mark.parametrize(
    "name", ["' OR 1=1 --", "alice'; DROP TABLE access_account;--", "%", "a" * 5000, "\x00", "?0000", ""]
)
def test_a_name_that_is_an_attack_is_a_name_that_nobody_has(store: AccessStore, name: str) -> None:
    """It is refused with the sentence of any unknown name, and the accounts are still there."""
    assert outcome(store, name, GOOD)[0] == "LOGIN-REFUSED"
    assert [account.name for account in store.accounts.all()] == ["alice", "bob", "chef"]


def test_an_unknown_name_can_not_be_told_from_a_known_one(store: AccessStore) -> None:
    """Same sentences and same waits, attempt by attempt, as for a wrong password."""
    known = [outcome(store, "alice", WRONG) for _ in range(FREE + 3)]
    unknown = [outcome(store, NOBODY, WRONG) for _ in range(FREE + 3)]
    assert known == unknown
    assert known[0][0] == "LOGIN-REFUSED" and known[-1][0] == "LOGIN-WAIT"


def test_an_unknown_name_costs_a_hash_of_the_same_parameters(tmp_path: Path, clock: MovedClock) -> None:
    """What is verified for nobody was hashed as what is verified for somebody."""
    verified: list[argon2.Parameters] = []

    class Noting(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            verified.append(argon2.extract_parameters(str(hash)))
            return super().verify(hash, password)

    store = opened(f"sqlite:///{tmp_path / 'noting.db'}", clock, Noting(time_cost=1, memory_cost=16, parallelism=1))
    store.accounts.add("alice", GOOD, {})
    for name in ("alice", NOBODY):
        outcome(store, name, WRONG)
    store.close()
    assert len(verified) == 2 and verified[0] == verified[1]


def test_the_wait_grows_and_ends(store: AccessStore, clock: MovedClock) -> None:
    """Five failures are free; then half a minute, doubled each time, a quarter of an hour at most."""
    for _ in range(FREE):
        assert outcome(store, "alice", WRONG)[0] == "LOGIN-REFUSED"
    code, text, seconds = outcome(store, "alice", GOOD)
    assert (code, seconds) == ("LOGIN-WAIT", 30.0) and "30 s" in text
    clock.move(31)
    assert outcome(store, "alice", WRONG)[0] == "LOGIN-REFUSED"
    assert outcome(store, "alice", GOOD)[2] == 60.0
    clock.move(61)
    assert outcome(store, "alice", GOOD) == ("", "", 0.0)
    assert outcome(store, "alice", WRONG)[0] == "LOGIN-REFUSED"
    assert [wait(n) for n in (0, 4, 5, 6, 9, 10, 10_000)] == [0, 0, 30, 60, 480, 900, 900]


def test_attempts_at_the_same_moment_are_counted_each(store: AccessStore) -> None:
    """Twenty guesses at once are not twenty guesses for the price of one."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(outcome(store, "alice", WRONG)[0])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("LOGIN-REFUSED") == FREE and found.count("LOGIN-WAIT") == 20 - FREE


def test_an_administrator_ends_the_wait(store: AccessStore) -> None:
    """`unlock` lets the person try at once."""
    for _ in range(FREE + 1):
        outcome(store, "alice", WRONG)
    assert store.accounts.all()[0].waits > 0
    store.accounts.unlock("alice")
    assert outcome(store, "alice", GOOD)[0] == ""


def test_a_locked_account_is_refused_with_the_usual_sentence(store: AccessStore) -> None:
    """Even with the right password: a stranger does not learn that it is right."""
    store.accounts.lock("alice")
    assert outcome(store, "alice", GOOD) == outcome(store, "bob", WRONG)
    store.accounts.unlock("alice")
    assert outcome(store, "alice", GOOD)[0] == ""


def test_a_code_is_asked_for_and_good_once(store: AccessStore, clock: MovedClock) -> None:
    """With a second factor the password alone gives nothing, and a code that was used gives nothing again."""
    secret = totp.new_secret()
    store.accounts.set_totp("alice", secret, pyotp.TOTP(secret).at(int(clock.now())))
    clock.move(60)
    code = pyotp.TOTP(secret).at(int(clock.now()))
    with pytest.raises(CodeNeeded):
        store.login("alice", GOOD)
    assert outcome(store, "alice", WRONG)[0] == "LOGIN-REFUSED"
    assert outcome(store, "alice", GOOD, "000000" if code != "000000" else "111111")[0] == "LOGIN-REFUSED"
    assert store.login("alice", GOOD, f"{code[:3]} {code[3:]}").name == "alice"
    assert outcome(store, "alice", GOOD, code)[0] == "LOGIN-REFUSED"


def test_asking_for_the_code_is_no_failure(store: AccessStore, clock: MovedClock) -> None:
    """Whoever logs in ten times a day in two steps is never made to wait; wrong codes are failures."""
    secret = totp.new_secret()
    store.accounts.set_totp("alice", secret, pyotp.TOTP(secret).at(int(clock.now())))
    for _ in range(2 * FREE):
        assert outcome(store, "alice", GOOD)[0] == "LOGIN-CODE"
    for _ in range(FREE):
        assert outcome(store, "alice", GOOD, "x")[0] == "LOGIN-REFUSED"
    assert outcome(store, "alice", GOOD)[0] == "LOGIN-WAIT"


def test_a_second_factor_is_taken_only_with_a_code_of_it(store: AccessStore) -> None:
    """A telephone whose clock is wrong is found before it locks its owner out."""
    with pytest.raises(OperatorFault, match="ACCESS-CODE"):
        store.accounts.set_totp("alice", totp.new_secret(), "12")
    assert store.accounts.all()[0].totp is False
    assert outcome(store, "alice", GOOD)[0] == ""


def test_a_hash_of_old_parameters_is_made_anew_at_login(tmp_path: Path, clock: MovedClock) -> None:
    """Stronger parameters reach every account without anybody choosing a new password."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    old = opened(url, clock)
    old.accounts.add("alice", GOOD, {})
    old.close()
    new = opened(url, clock, argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    for _ in range(2):
        assert new.login("alice", GOOD).name == "alice"
    new.close()
    again = opened(url, clock, CHEAP)
    assert again.login("alice", GOOD).name == "alice"
    again.close()


@pytest.mark.parametrize(
    "password",
    ["court", "Motdepasse2026", "azerty1234567890", "AZERTYUIOP!!", "aaaaaaaaaaaa", "xyzxyzxyzxyz", "123456789012",
     "alice-alice-alice", "Segur-Router-2026", "h0pital", "correct horse battery staple", "x" * 300],
)  # fmt: skip
def test_a_password_that_is_tried_first_is_refused(store: AccessStore, password: str) -> None:
    """Short, obvious, counting, repeated, or the name itself; the account keeps its old one."""
    with pytest.raises(OperatorFault, match="ACCESS-PASSWORD"):
        store.accounts.set_password("alice", password)
    assert outcome(store, "alice", GOOD)[0] == ""


@pytest.mark.parametrize("password", ["soleil jardin pluie", "839201746512", "Ünïcôdé ménagerie", "tasse;hibou;quai"])
def test_a_long_password_needs_no_digit_and_no_sign(store: AccessStore, password: str) -> None:
    """Length is enough; an accent typed in two pieces is the same accent."""
    store.accounts.set_password("alice", password)
    assert outcome(store, "alice", password.replace("é", "e\u0301"))[0] == ""
    assert outcome(store, "alice", GOOD)[0] == "LOGIN-REFUSED"


def test_an_account_of_the_demo_opens_nothing_in_production(tmp_path: Path, clock: MovedClock) -> None:
    """Its password stands in a script: it may be weak, and a production site refuses it like a wrong one."""
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    for production, code in ((False, ""), (True, "LOGIN-REFUSED")):
        store = AccessStore(url, clock, hasher=CHEAP, production=production)
        if not production:
            store.accounts.add("demo", "demo", {}, demo=True)
        assert outcome(store, "demo", "demo")[0] == code
        assert [account.demo for account in store.accounts.all()] == [True]
        store.close()


@pytest.mark.parametrize("name", ["", "a", "é-tienne", "a b", "-x", "a" * 65, "x'; --", "<b>x"])
def test_the_name_of_an_account_is_plain(store: AccessStore, name: str) -> None:
    """Whatever could be read as something else is refused when the account is made."""
    with pytest.raises(OperatorFault, match="ACCESS-NAME"):
        store.accounts.add(name, GOOD, {})


def test_two_accounts_never_share_a_name(store: AccessStore) -> None:
    """Nor do two that differ by case alone."""
    with pytest.raises(OperatorFault, match="ACCESS-TAKEN"):
        store.accounts.add("Alice", GOOD, {})
