"""Tokens of programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.access.person import Role
from router.access.store import AccessStore
from router.access.tokens import API_READ, FEED_SEND, LONGEST
from router.errors import OperatorFault
from tests.access.access_samples import A, MovedClock

DAY = 86400.0


def test_a_token_is_a_person_with_scopes(store: AccessStore, clock: MovedClock) -> None:
    """It may what its scopes and its rights both allow, and nothing tells its text afterwards."""
    text, token = store.tokens.create(
        "tableau", scopes=[API_READ], expires=clock.now() + DAY, by="chef", rights={A: Role.READER}
    )
    person = store.token(text)
    assert person is not None
    assert person.name == f"token:tableau:{token.id}" and person.scopes == frozenset({API_READ})
    assert person.rights == {A: Role.READER}
    assert text.startswith(f"sgr_{token.id}_") and text not in repr(store.tokens.all())


def test_the_database_does_not_hold_the_token(store: AccessStore, clock: MovedClock, tmp_path: Path) -> None:
    """Only its digest stands in the files."""
    text, _ = store.tokens.create("tableau", scopes=[API_READ], expires=clock.now() + DAY, by="chef")
    assert text[len("sgr_00000000_") :].encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_token_ends(store: AccessStore, clock: MovedClock) -> None:
    """At its end, and at once when it is revoked; it can be revoked once."""
    first, _ = store.tokens.create("un", scopes=[API_READ], expires=clock.now() + DAY, by="chef")
    second, kept = store.tokens.create("deux", scopes=[API_READ], expires=clock.now() + 3 * DAY, by="chef")
    clock.move(DAY)
    assert store.token(first) is None and store.token(second)
    store.tokens.revoke(kept.id)
    assert store.token(second) is None
    with pytest.raises(OperatorFault, match="ACCESS-TOKEN"):
        store.tokens.revoke(kept.id)
    assert [(token.name, bool(token.revoked)) for token in store.tokens.all()] == [("deux", True), ("un", False)]


def test_senders_are_those_that_may_send_now(store: AccessStore, clock: MovedClock) -> None:
    """By their digest, with the feeds they are bound to."""
    ends = clock.now() + DAY
    store.tokens.create("lecteur", scopes=[API_READ], expires=ends, by="chef")
    _, sil = store.tokens.create("sil", scopes=[FEED_SEND], feeds=["sil", "ris"], expires=ends, by="chef")
    _, gone = store.tokens.create("vieux", scopes=[FEED_SEND], feeds=["sil"], expires=ends, by="chef")
    store.tokens.revoke(gone.id)
    assert [(token.id, token.feeds) for token in store.tokens.senders().values()] == [
        (sil.id, frozenset({"sil", "ris"}))
    ]
    clock.move(DAY)
    assert store.tokens.senders() == {}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"scopes": ["everything"]}, "ACCESS-SCOPE"),
        ({"scopes": [FEED_SEND]}, "ACCESS-FEED"),
        ({"expires": 0.0}, "ACCESS-EXPIRY"),
        ({"expires": LONGEST * 2 + 2e9}, "ACCESS-EXPIRY"),
        ({"name": "<script>"}, "ACCESS-NAME"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(
    store: AccessStore, clock: MovedClock, wrong: dict[str, object], code: str
) -> None:
    """Each mistake has its sentence, and nothing is kept."""
    usual: dict[str, object] = {"name": "x1", "scopes": [API_READ], "expires": clock.now() + DAY, "by": "chef"}
    with pytest.raises(OperatorFault, match=code):
        store.tokens.create(**{**usual, **wrong})  # type: ignore[arg-type]
    assert store.tokens.all() == []


@pytest.mark.parametrize("text", ["", "sgr_", "sgr_00000000_" + "a" * 43, "Bearer x", "sgr_' OR '1'='1", "é" * 60])
def test_a_text_that_is_no_token_of_ours_is_nobody(store: AccessStore, text: str) -> None:
    """Whatever it holds."""
    assert store.token(text) is None


def test_the_last_use_is_noted(store: AccessStore, clock: MovedClock) -> None:
    """Within a minute: a token that nobody uses can be found and revoked."""
    text, token = store.tokens.create("tableau", scopes=[API_READ], expires=clock.now() + DAY, by="chef")
    assert token.last_used == 0.0
    clock.move(100)
    store.token(text)
    assert store.tokens.all()[0].last_used == clock.now()
