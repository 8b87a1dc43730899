"""The HTTP way in over real sockets: statuses, kinds of body, limits, the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from router.contracts import Header
from router.errors import Bug, Unavailable
from router.exchange import Pseudonyms
from router.gateway.http_listener import HttpListener
from router.gateway.received import Feed, FeedVerdict, Received
from router.gateway.settings import HttpConfig
from router.hl7.ack import parse_ack
from router.hl7.message import Message
from router.payload import unpack_request
from router.secret import Secret
from tests.gateway.gateway_parts import MemoryBus, hl7, make_intake, relay

ER7 = {"content-type": "application/hl7-v2"}
XML = {"content-type": "text/xml; charset=utf-8"}


def documents(received: Received, message: Message | None, /) -> FeedVerdict:
    """A feed that takes raw CDA."""
    return FeedVerdict(key=Pseudonyms(b"k").of(received.headers.get("request-id", "")), checked="test")


@asynccontextmanager
async def serving(bus: Any, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    intake = make_intake(bus)
    intake.start()
    feeds = {"sil": relay(), "cda": Feed(name="cda", check=documents)}
    listener = HttpListener(HttpConfig(port=0, **settings), feeds, intake)
    await listener.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", trust_env=False) as client:
            yield client
    finally:
        await listener.close(2)
        await intake.close(2)


def play(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


def test_er7_is_accepted_with_its_acknowledgement() -> None:
    """200 and the AA as body; text/plain is the same."""

    async def story() -> None:
        bus = MemoryBus()
        async with serving(bus) as client:
            for number, kind in enumerate(("application/hl7-v2", "text/plain; charset=utf-8")):
                answer = await client.post("/feeds/sil", content=hl7(str(number)), headers={"content-type": kind})
                assert answer.status_code == 200
                assert parse_ack(answer.content).code == "AA" and parse_ack(answer.content).control_id == str(number)
        assert [one.headers[Header.SOURCE] for one in bus.of("in.sil")] == ["http", "http"]

    play(story())


def test_a_refused_message_is_422_with_its_reasons() -> None:
    """The AE is the body; the bytes are in quarantine."""

    async def story() -> None:
        bus = MemoryBus()
        async with serving(bus) as client:
            answer = await client.post("/feeds/sil", content=b"hello", headers=ER7)
        assert answer.status_code == 422 and parse_ack(answer.content).errors[0].code == "100"
        assert bus.of("dlq.intake")[0].value == b"hello"

    play(story())


def test_E50_an_outage_is_503_with_retry_after() -> None:
    """AR: later, nothing stored."""

    async def story() -> None:
        bus = MemoryBus()
        bus.error = Unavailable("BUS-FULL")
        async with serving(bus) as client:
            answer = await client.post("/feeds/sil", content=hl7(), headers=ER7)
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            assert parse_ack(answer.content).code == "AR" and bus.topics == {}

    play(story())


def test_a_raw_cda_carries_its_request_in_headers() -> None:
    """The event's body holds request and document; no address is in the record's headers."""

    async def story() -> None:
        bus, document = MemoryBus(), "<ClinicalDocument>é</ClinicalDocument>".encode()
        headers = {**XML, "X-Segur-Request-Id": "R1", "X-Segur-Mssante-Ps": "adam@x.mssante.fr"}
        async with serving(bus) as client:
            first = await client.post("/feeds/cda", content=document, headers=headers)
            again = await client.post("/feeds/cda", content=document, headers=headers)
            other = await client.post("/feeds/cda", content=document, headers={**headers, "X-Segur-Dmp": "Y"})
        assert first.status_code == 200 and parse_ack(first.content).control_id == "R1"
        assert again.content == first.content and other.headers["x-segur-event"] != first.headers["x-segur-event"]
        event = bus.of("in.cda")[0]
        assert unpack_request(event.value) == ({"request-id": "R1", "mssante-ps": "adam@x.mssante.fr"}, document)
        assert event.headers[Header.KIND] == "cda" and "adam" not in str(event.headers)

    play(story())


def test_a_request_whose_header_stands_twice_is_refused() -> None:
    """400 that names the header: which of two recipients, or of two statuses, is meant nobody can tell."""

    async def story() -> None:
        bus = MemoryBus()
        twice = [
            ("Content-Type", "application/xml"),
            ("X-Segur-Request-Id", "R1"),
            ("X-Segur-Mssante-Ps", "adam@x.mssante.fr"),
            ("x-segur-mssante-ps", "eve@x.mssante.fr"),
        ]
        async with serving(bus) as client:
            answer = await client.post("/feeds/cda", content=b"<a/>", headers=twice)
            once = await client.post("/feeds/cda", content=b"<a/>", headers=twice[:3])
        assert (answer.status_code, answer.text) == (400, "en-tête répété : x-segur-mssante-ps\n")
        assert once.status_code == 200 and len(bus.of("in.cda")) == 1

    play(story())


def test_a_relay_takes_no_cda() -> None:
    """A raw CDA on a relay feed is refused."""

    async def story() -> None:
        async with serving(MemoryBus()) as client:
            assert (await client.post("/feeds/sil", content=b"<a/>", headers=XML)).status_code == 422

    play(story())


def test_what_is_not_for_us() -> None:
    """Unknown feed, unknown kind of body, wrong method."""

    async def story() -> None:
        async with serving(MemoryBus()) as client:
            assert (await client.post("/feeds/none", content=b"x", headers=ER7)).status_code == 404
            assert (await client.post("/feeds/sil", content=b"x")).status_code == 415
            assert (await client.get("/feeds/sil")).status_code == 405

    play(story())


def test_a_body_beyond_the_limit_is_413_and_refused_like_any_other() -> None:
    """By its declared length, or once it has grown too large: the AE names the limit, a dead letter keeps the head."""
    large = hl7("7") + b"NTE|1||" + b"x" * 30_000

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 1000):
            yield large[at : at + 1000]

    async def story() -> None:
        bus = MemoryBus()
        async with serving(bus, max_body=20_000) as client:
            for content in (large, chunks()):
                answer = await client.post("/feeds/sil", content=content, headers=ER7)
                told = parse_ack(answer.content)
                assert (answer.status_code, told.code, told.control_id) == (413, "AE", "7")
                assert answer.headers["connection"] == "close"
                assert "20000" in answer.text
            cda = await client.post("/feeds/cda", content=b"<a>" + large, headers={**XML, "x-segur-request-id": "d1"})
            assert (cda.status_code, parse_ack(cda.content).control_id) == (413, "d1")
            assert (await client.post("/feeds/sil", content=hl7(), headers=ER7)).status_code == 200
        dead_letters = bus.topics["dlq.intake"]
        assert [record.headers[Header.CODE] for record in dead_letters] == ["R35", "R35"]
        assert dead_letters[0].value == large[:4096]

    play(story())


def test_the_token_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token configured, a request without it is 401, whatever it wants."""
    monkeypatch.setenv("SEGUR_TEST_TOKEN", "s3cret")

    async def story() -> None:
        async with serving(MemoryBus(), token=Secret(env="SEGUR_TEST_TOKEN")) as client:
            for wrong in ({}, {"authorization": "Bearer no"}):
                assert (await client.post("/feeds/sil", content=hl7(), headers={**ER7, **wrong})).status_code == 401
            right = {**ER7, "authorization": "Bearer s3cret"}
            assert (await client.post("/feeds/sil", content=hl7(), headers=right)).status_code == 200

    play(story())


def test_a_server_that_ended_ends_the_gateway() -> None:
    """Otherwise nobody would listen, and nobody would know."""

    async def story() -> None:
        listener = HttpListener(HttpConfig(port=0), {}, make_intake(MemoryBus()))
        await listener.start()
        await listener.tick()
        listener._server.should_exit = True  # type: ignore[union-attr]
        await asyncio.wait([listener._serving])  # type: ignore[type-var]
        with pytest.raises(Bug):
            await listener.tick()

    play(story())
