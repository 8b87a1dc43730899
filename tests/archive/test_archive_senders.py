"""What left by each sink, as its outside system got it, is what the archive holds; its digest stands in the receipt."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from router.archive.keeper import ArchiveKeeper
from router.contracts import Attempt, SystemClock, Unobserved
from router.contracts.keeping import Kind
from router.errors import Unavailable
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from router.sinks.hl7.settings import Hl7Config
from router.sinks.hl7.sink import Hl7Sink
from tests.contracts.archive_contract import ASKED, World
from tests.sinks import dmp_world, mssante_samples, test_sink_hl7
from tests.sinks.mssante_server import Script, server

FIRST = Attempt(1, 1_795_000_000.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def keeper(world: World) -> Iterator[ArchiveKeeper]:
    made = ArchiveKeeper(world.archive, Unobserved(), required=True)
    yield made
    made.close()


def kept(world: World, delivery: str) -> dict[tuple[Kind, str], bytes]:
    return {(one.kind, one.name): world.archive.read(one, ASKED) for one in world.archive.items(delivery)}


def test_the_mail_is_kept_as_it_was_sent(tmp_path: Path, world: World, keeper: ArchiveKeeper) -> None:
    """Byte for byte what the operator's server got, kept before; a repeat is the same item."""
    script, one = Script(), mssante_samples.delivery()
    using = replace(mssante_samples.tools(tmp_path / "s"), keeper=keeper)

    async def story() -> list[str]:
        async with server(script) as port:
            sink = mssante_samples.sink(tmp_path / "s", port, using=using)
            outcomes = [await sink.deliver(one, FIRST) for _ in range(2)]
            await sink.close()
            return [outcome.evidence["mail_sha256"] for outcome in outcomes]

    digests = asyncio.run(story())
    ((kind, _), mail), *others = kept(world, one.id).items()
    assert (kind, others) == (Kind.MAIL, [])
    assert digests == [hashlib.sha256(mail).hexdigest()] * 2
    assert mail.replace(b"\r\n", b"\n").strip() in [got.replace(b"\r\n", b"\n").strip() for got in mails(script)]


def mails(script: Script) -> list[bytes]:
    return [got if isinstance(got, bytes) else got.encode() for got in script.mails]


def test_a_mail_that_must_be_kept_and_can_not_does_not_leave(
    tmp_path: Path, world: World, keeper: ArchiveKeeper
) -> None:
    """It waits in its lane; the server heard of no mail."""
    script = Script()
    (tmp_path / "archive").write_text("in the place of the folder")
    using = replace(mssante_samples.tools(tmp_path / "s"), keeper=keeper)

    async def story() -> None:
        async with server(script) as port:
            sink = mssante_samples.sink(tmp_path / "s", port, using=using)
            with pytest.raises(Unavailable, match="ARCHIVE-WRITE"):
                await sink.deliver(mssante_samples.delivery(), FIRST)
            await sink.close()

    asyncio.run(story())
    assert mails(script) == []


def test_the_deposit_in_the_dmp_is_kept(
    tmp_path_factory: pytest.TempPathFactory, world: World, keeper: ArchiveKeeper
) -> None:
    """Request and answer of TD2.1; the question whether there is a DMP is not a proof and is not kept."""
    maker = Maker(11)
    document = maker.document("biology", maker.patient(age=50))
    one = dmp_world.made(document)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> str:
        return (await sink.deliver(one, FIRST)).evidence["soap_sha256"]

    given = replace(dmp_world.tools(), keeper=keeper)
    digest = dmp_world.play(dmp_world.hospitals(tmp_path_factory), story, given=given)
    found = kept(world, one.id)
    assert set(found) == {(Kind.SOAP_REQUEST, "TD2.1"), (Kind.SOAP_ANSWER, "TD2.1")}
    request = found[Kind.SOAP_REQUEST, "TD2.1"]
    assert hashlib.sha256(request).hexdigest() == digest
    assert document.content in request
    assert b"Success" in found[Kind.SOAP_ANSWER, "TD2.1"]


def test_a_business_acknowledgement_is_kept_and_a_relay_is_not(world: World, keeper: ArchiveKeeper) -> None:
    """The ZAM as the sender got it; messages that are relayed are the sender's own."""
    zam = test_sink_hl7.delivery("1")
    relayed = replace(test_sink_hl7.delivery("2"), payload=zam.payload.replace(b"ZAM^Z01^ZAM_Z01", b"ADT^A01^ADT_A01"))

    class Tools:
        clock, observer = SystemClock(), Unobserved()

    async def story() -> None:
        partner = test_sink_hl7.Partner(test_sink_hl7.saying("AA"))
        listener = await asyncio.start_server(partner.serve, "127.0.0.1", 0)
        config = Hl7Config(host="127.0.0.1", port=listener.sockets[0].getsockname()[1])
        tools = Tools()
        tools.keeper = keeper  # type: ignore[attr-defined]
        sink = Hl7Sink("hl7.sil", config, tools)  # type: ignore[arg-type]
        for one in (zam, relayed):
            await sink.deliver(one, FIRST)
        await sink.close()
        listener.close()

    asyncio.run(story())
    assert kept(world, zam.id) == {(Kind.ZAM, ""): zam.payload}
    assert kept(world, relayed.id) == {}
