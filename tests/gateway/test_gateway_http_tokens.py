"""Whom the HTTP port listens to: tokens of the site file, API tokens, certificates, and this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.access.store import AccessStore
from router.access.tokens import API_READ, FEED_SEND, Token
from router.contracts import SystemClock
from router.errors import Unavailable
from router.gateway.api_tokens import FRESH, STALE, ApiTokens
from router.gateway.http_admission import HttpAdmission
from router.gateway.http_listener import HttpListener
from router.gateway.settings import HttpConfig
from router.secret import Secret
from tests.access.access_samples import MovedClock
from tests.gateway.gateway_parts import MemoryBus, hl7, make_intake, relay
from tests.gateway.test_gateway_http import ER7, play

EVERYWHERE = "0.0.0.0"  # noqa: S104
OTHER = "ris"


class Kept:
    """The tokens of a store, with what the port asked of it; `away`: the database is not there."""

    def __init__(self, store: AccessStore) -> None:
        self._store, self.away, self.reads = store, False, 0

    def senders(self) -> Mapping[str, Token]:
        if self.away:
            raise Unavailable("ACCESS-AWAY")
        self.reads += 1
        return self._store.tokens.senders()

    def used(self, ids: Collection[str], /) -> None:
        self._store.tokens.used(ids)


class World:
    """One port with API tokens, and a store that can be taken away."""

    def __init__(self, folder: Path) -> None:
        self.clock = MovedClock()
        self.store = AccessStore(f"sqlite:///{folder / 'access.db'}", self.clock)
        self.kept = Kept(self.store)
        self.tokens = ApiTokens(self.kept, self.clock)

    def token(self, *scopes: str, feeds: Collection[str] = ("sil",)) -> tuple[str, Token]:
        ends = self.clock.now() + 86400
        return self.store.tokens.create("sil", scopes=scopes or [FEED_SEND], feeds=feeds, expires=ends, by="chef")

    async def admits(self, text: str, feed: str = "sil", *, certified: bool = False, **settings: Any) -> bool:
        config = HttpConfig(port=0, host=EVERYWHERE, api_tokens=True, **settings)
        given = [f"Bearer {text}"] if text else []
        return await HttpAdmission(config, self.tokens).admits(relay(name=feed), given, certified=certified)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_api_token_is_for_its_feeds_alone(world: World) -> None:
    """Bound to one feed it opens no other; one for the API, or cut short, opens none."""
    text, _ = world.token()
    reading, _ = world.token(API_READ)

    async def story() -> None:
        assert await world.admits(text)
        assert not await world.admits(text, OTHER)
        for wrong in (reading, text[:-1], text + "a", "sgr_", "", "x" * 10_000, "é"):
            assert not await world.admits(wrong), wrong

    asyncio.run(story())


def test_messages_ask_no_database(world: World) -> None:
    """A thousand messages read the tokens once; a flood of wrong ones brings one reading a second."""
    text, _ = world.token()

    async def story() -> None:
        for _ in range(1000):
            assert await world.admits(text)
        assert world.kept.reads == 1
        for _ in range(1000):
            assert not await world.admits("sgr_00000000_" + "x" * 43)
        assert world.kept.reads == 1
        world.clock.move(1.1)
        for _ in range(1000):
            assert not await world.admits("sgr_00000000_" + "x" * 43)
        assert world.kept.reads == 2

    asyncio.run(story())


def test_a_revoked_token_is_refused_ten_seconds_later(world: World) -> None:
    """And a new one is taken a second later; the use of both is noted."""
    text, token = world.token()

    async def story() -> None:
        assert await world.admits(text)
        world.store.tokens.revoke(token.id)
        world.clock.move(FRESH + 0.1)
        assert not await world.admits(text)
        new, _ = world.token()
        world.clock.move(1.1)
        assert await world.admits(new)
        assert [bool(one.last_used) for one in world.store.tokens.all()] == [True, False]
        world.clock.move(FRESH + 0.1)
        assert await world.admits(new)
        assert all(one.last_used for one in world.store.tokens.all())

    asyncio.run(story())


def test_a_token_ends_at_its_time_between_two_readings(world: World) -> None:
    """What is kept in memory knows when each token ends."""
    text, token = world.token()

    async def story() -> None:
        world.clock.at = token.expires - 1
        assert await world.admits(text)
        world.clock.move(2)
        assert not await world.admits(text)

    asyncio.run(story())


def test_while_the_database_is_away_known_tokens_stay_good_for_a_while(world: World) -> None:
    """Five minutes; then the sender is asked to come again, which is no refusal."""
    text, _ = world.token()

    async def story() -> None:
        assert await world.admits(text)
        world.kept.away = True
        world.clock.move(FRESH + 1)
        assert await world.admits(text)
        world.clock.move(STALE)
        with pytest.raises(Unavailable):
            await world.admits(text)
        world.kept.away = False
        world.clock.move(FRESH + 1)
        assert await world.admits(text)

    asyncio.run(story())


def test_a_token_of_the_site_file_stays_good_beside_api_tokens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either opens the feed; with neither only a certificate does, and only where no token is asked for."""
    monkeypatch.setenv("SECRET_OF_THE_PORT", "du-port")
    text, _ = world.token()
    token = Secret(env="SECRET_OF_THE_PORT")

    async def story() -> None:
        assert await world.admits("du-port", token=token) and await world.admits(text, token=token)
        assert not await world.admits("", token=token, certified=True)
        assert await world.admits("", certified=True) and not await world.admits("")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("host", "certified", "admitted"),
    [("127.0.0.1", False, True), ("::1", False, True), (EVERYWHERE, False, False), (EVERYWHERE, True, True)],
)
def test_without_any_token_only_this_machine_and_certificates_are_heard(
    host: str, certified: bool, admitted: bool
) -> None:
    """What `check` refuses to run with is refused to the sender too."""
    admission = HttpAdmission(HttpConfig(port=0, host=host), None)
    assert asyncio.run(admission.admits(relay(), [], certified=certified)) is admitted


def test_two_tokens_in_one_request_are_none(world: World) -> None:
    """Nobody can tell which of the two is meant."""
    text, _ = world.token()
    admission = HttpAdmission(HttpConfig(port=0, host=EVERYWHERE, api_tokens=True), world.tokens)
    given = [f"Bearer {text}", "Bearer other"]
    assert asyncio.run(admission.admits(relay(), given, certified=False)) is False


def test_the_port_answers_what_the_admission_says(world: World) -> None:
    """Over a socket: 401 without, 200 with the token, whatever the case of the word before it."""
    world.clock.at = SystemClock().now()
    text, _ = world.token()
    posts: list[Callable[[httpx.AsyncClient], Any]] = [
        lambda client: client.post("/feeds/sil", content=hl7("1"), headers=ER7),
        lambda client: client.post("/feeds/sil", content=hl7("2"), headers=ER7 | {"authorization": f"bearer {text}"}),
    ]

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        config = HttpConfig(port=0, host=EVERYWHERE, api_tokens=True)
        listener = HttpListener(config, {"sil": relay()}, intake, world.kept)
        await listener.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", trust_env=False) as client:
                assert [(await post(client)).status_code for post in posts] == [401, 200]
        finally:
            await listener.close(2)
            await intake.close(2)

    play(story())
