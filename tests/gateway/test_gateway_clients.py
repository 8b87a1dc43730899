"""A client certificate, or a token, names the feeds and the structures that its owner may speak for (decisions D11)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.cisis.findings import Finding
from router.contracts import SystemClock
from router.gateway.gateway import Gateway
from router.gateway.received import Feed, FeedVerdict, Received
from router.gateway.settings import HttpConfig, MllpConfig, TlsConfig
from router.hl7.ack import Err
from router.hl7.message import Message
from router.ledger.store import SqlLedger
from tests.gateway.gateway_parts import PSEUDONYMS, Client, Counted, hl7
from tests.gateway.test_gateway_whole import Authority, play

A, B = "750100125", "690123456"
ER7 = {"content-type": "application/hl7-v2"}


def says(received: Received, _message: Message | None, /) -> FeedVerdict:
    """Refuses everything with the structures that the sender may speak for."""
    text = ",".join(sorted(received.structures)) or "tous"
    return FeedVerdict(faults=(Finding("R65", Err("207", "PRT", text=text)),))


class Place:
    """A listener of each kind with client certificates; `sil` may speak for A, `commun` for all, `ris` is unknown."""

    def __init__(self, folder: Path) -> None:
        self.authority, clients = Authority(folder), Authority(folder, "clients")
        certificate, key = self.authority.issue("localhost", "server")
        tls = TlsConfig(certificate=certificate, key=key, client_ca=clients.path)
        self.pairs = {name: clients.issue(name) for name in ("sil", "commun", "ris")}
        granted = {"sil": frozenset({A}), "commun": frozenset[str]()}
        feeds = [
            Feed(name="sil", check=says, clients=granted, token=lambda: "du-sil"),
            Feed(name="ris", check=says, clients={"ris": frozenset({B})}),
        ]
        self.gateway = Gateway(
            bus=SqliteBus(folder / "bus.db"),
            ledger=SqlLedger(f"sqlite:///{folder / 'ledger.db'}"),
            clock=SystemClock(),
            pseudonyms=PSEUDONYMS,
            observer=Counted(),
            feeds=feeds,
            drain=3,
            mllp={"sil": MllpConfig(port=0, tls=tls)},
            http=HttpConfig(port=0, tls=tls),
            http_feeds=["sil", "ris"],
        )

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        context.load_cert_chain(*self.pairs[name])
        return context

    async def mllp(self, name: str) -> str:
        client = await Client.connect(self.gateway.ports["sil"], ssl=self.context(name), server_hostname="localhost")
        try:
            return "\r".join(await client.ask(hl7(name)))
        finally:
            client.close()

    async def http(self, name: str, feed: str, token: str = "", **headers: str) -> httpx.Response:
        base = f"https://localhost:{self.gateway.ports['http']}"
        if token:
            headers["authorization"] = f"Bearer {token}"
        async with httpx.AsyncClient(base_url=base, verify=self.context(name), trust_env=False) as client:
            return await client.post(f"/feeds/{feed}", content=hl7(f"h{name}"), headers=ER7 | headers)


def played(folder: Path, story: Any) -> None:
    async def run() -> None:
        place = Place(folder)
        await place.gateway.start()
        try:
            await story(place)
        finally:
            await place.gateway.close()

    play(run())


def test_mllp_a_certificate_speaks_for_its_structures(tmp_path: Path) -> None:
    """What it may speak for reaches the check; a name that the feed does not list is turned away."""

    async def story(place: Place) -> None:
        assert A in await place.mllp("sil")
        assert "tous" in await place.mllp("commun")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await place.mllp("ris")

    played(tmp_path, story)


def test_http_a_certificate_is_that_of_its_feeds(tmp_path: Path) -> None:
    """One port serves several feeds: 403 on another's, and no header makes somebody else of a client."""

    async def story(place: Place) -> None:
        answer = await place.http("sil", "sil", "du-sil")
        assert answer.status_code == 422 and A in answer.text
        forged = {"x-forwarded-for": "10.0.0.1", "x-segur-structures": B}
        assert A in (await place.http("sil", "sil", "du-sil", **forged)).text
        assert (await place.http("ris", "ris")).status_code == 422
        assert (await place.http("ris", "sil", "du-sil")).status_code == 403
        assert (await place.http("sil", "ris")).status_code == 403

    played(tmp_path, story)


def test_http_a_token_is_that_of_one_feed(tmp_path: Path) -> None:
    """401 without it, whoever shows a certificate; another feed does not ask for it."""

    async def story(place: Place) -> None:
        for token in ("", "du-ris"):
            assert (await place.http("sil", "sil", token)).status_code == 401
        assert (await place.http("ris", "ris")).status_code == 422

    played(tmp_path, story)


def test_requests_of_one_connection_keep_its_name(tmp_path: Path) -> None:
    """Two clients at once, several requests each: nobody is taken for the other."""

    async def story(place: Place) -> None:
        asked = [("sil", "sil", "du-sil"), ("ris", "ris", "")] * 5
        answers = await asyncio.gather(*(place.http(*one) for one in asked))
        assert [A in one.text for one in answers] == [True, False] * 5
        assert [B in one.text for one in answers] == [False, True] * 5

    played(tmp_path, story)
