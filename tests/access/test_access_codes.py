"""Keys of second factors on a site with a master key: sealed, also those of before."""

from __future__ import annotations

import pyotp
import pytest

from router.access import totp
from router.access.faults import LoginRefused
from router.access.store import AccessStore
from tests.access.access_samples import GOOD, Seal


def kept(store: AccessStore, name: str) -> str:
    return str(store.accounts._row(name).totp)


def test_a_sealed_key_logs_in_and_stands_nowhere_in_clear(store: AccessStore, seal: Seal) -> None:
    """A key of before is sealed at the next start; the same codes go on, each good once."""
    secret = totp.new_secret()
    store.accounts.set_totp("alice", secret, pyotp.TOTP(secret).at(int(seal.clock.now())))
    assert kept(store, "alice") == secret and store.accounts.seal_keys() == 0
    seal.on()
    assert (store.accounts.seal_keys(), store.accounts.seal_keys()) == (1, 0)
    assert secret not in kept(store, "alice") and kept(store, "alice").startswith("sealed:")
    seal.clock.move(60)
    code = pyotp.TOTP(secret).at(int(seal.clock.now()))
    assert store.login("alice", GOOD, code).name == "alice"
    with pytest.raises(LoginRefused):
        store.login("alice", GOOD, code)
    store.accounts.set_totp("bob", secret, code)
    assert kept(store, "bob").startswith("sealed:") and kept(store, "bob") != kept(store, "alice")


def test_a_sealed_key_outlives_the_rotation_of_the_master_key(store: AccessStore, seal: Seal) -> None:
    """`keys rotate --retire` wraps what it was sealed with anew; the old master key is not needed any more."""
    secret = totp.new_secret()
    seal.on()
    store.accounts.set_totp("alice", secret, pyotp.TOTP(secret).at(int(seal.clock.now())))
    seal.rotate()
    seal.clock.move(60)
    assert store.login("alice", GOOD, pyotp.TOTP(secret).at(int(seal.clock.now()))).name == "alice"


def test_a_key_that_was_copied_or_can_not_be_opened_lets_nobody_in(store: AccessStore, seal: Seal) -> None:
    """Another account's row, a changed one, a site without its master key: one sentence; `--off` is the way out."""
    secret = totp.new_secret()
    seal.on()
    code = pyotp.TOTP(secret).at(int(seal.clock.now()))
    store.accounts.set_totp("alice", secret, code)
    store.accounts._set("bob", totp=kept(store, "alice"))
    store.accounts._set("chef", totp="sealed:" + "A" * 40)
    seal.clock.move(60)
    for name in ("bob", "chef"):
        with pytest.raises(LoginRefused, match="LOGIN-SEALED"):
            store.login(name, GOOD, pyotp.TOTP(secret).at(int(seal.clock.now())))
    seal.off()
    with pytest.raises(LoginRefused, match="LOGIN-SEALED"):
        store.login("alice", GOOD, pyotp.TOTP(secret).at(int(seal.clock.now())))
    store.accounts.remove_totp("alice")
    assert store.login("alice", GOOD).name == "alice"
