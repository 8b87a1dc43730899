"""What strange input, strange senders and strange moments do to the gateway: one bad thing stops nothing else."""

from __future__ import annotations

import asyncio
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Header, Outgoing, SystemClock
from router.errors import OperatorFault
from router.gateway.files import Directory
from router.gateway.folder import WatchedFolder
from router.gateway.gateway import Gateway
from router.gateway.received import Feed, FeedVerdict, Received
from router.gateway.settings import FolderConfig, TlsConfig
from router.gateway.tls import Certificates
from router.hl7 import ack
from router.hl7.message import Message
from router.hl7.mllp import END, frame
from router.ledger.store import SqlLedger
from router.secret import Secret
from tests.gateway.gateway_parts import (
    PSEUDONYMS,
    Client,
    Counted,
    MemoryBus,
    eventually,
    hl7,
    listening,
    make_intake,
    relay,
)


def crowded(control: str = "1") -> bytes:
    """A patient with more identifiers than anybody has: the reader refuses the field when it is asked for."""
    many = b"~".join(b"%d^^^CHU&1.2.3&ISO^PI" % number for number in range(1200))
    return hl7(control).replace(b"42^^^CHU&1.2.3&ISO^PI", many)


# ------------------------------------------------------------------------ a message that can't be told of


def test_a_thousand_identifiers_are_refused_and_what_follows_is_answered() -> None:
    """Promise 5: refused like any other, twice the same; the connection, and the budget, go on."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        async with listening(intake) as listener:
            for _ in range(2):
                client = await Client.connect(listener.port)
                await client.send(crowded(), hl7("2"))
                assert (await client.answer(2))[1] == "MSA|AE|1"
                assert (await client.answer(2))[1] == "MSA|AA|2"
                client.close()
            await eventually(lambda: not listener.connections)
            assert intake.budget.held == 0
        assert len(bus.of("dlq.intake")) == 1

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_thousand_identifiers_in_a_file_do_not_stop_the_gateway(tmp_path: Path) -> None:
    """The file goes to `refused`, the next one is taken."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        intake.start()
        (tmp_path / "a.hl7").write_bytes(crowded())
        (tmp_path / "b.hl7").write_bytes(hl7("2"))
        folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0), relay(), intake)
        await asyncio.to_thread(folder._prepare)
        assert await folder.look() == 2
        await intake.close(2)

    asyncio.run(asyncio.wait_for(story(), 20))
    assert (tmp_path / "refused/a.hl7").exists() and (tmp_path / "done/b.hl7").exists()


def test_a_thousand_identifiers_on_a_raw_topic_do_not_stop_the_gateway(tmp_path: Path) -> None:
    """The record is a dead letter, the next one an event."""

    async def story() -> None:
        bus, ledger = SqliteBus(tmp_path / "bus.db", partitions=1), SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
        bus.producer("outside").publish([Outgoing("raw.sil", "", value) for value in (crowded(), hl7("2"))])
        gateway = Gateway(
            bus=bus,
            ledger=ledger,
            clock=SystemClock(),
            pseudonyms=PSEUDONYMS,
            observer=Counted(),
            feeds=[relay()],
            raw={"sil": None},
            drain=2,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            await eventually(lambda: running.done() or len(list(bus.scan("in.sil"))) == 1)
            assert not running.done() or running.result() is None
            assert len(list(bus.scan("dlq.intake"))) == 1
        finally:
            stop.set()
            await asyncio.wait([running])
        ledger.close()
        bus.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_an_answer_costs_no_more_than_its_message() -> None:
    """A MSH-3 of many components, with the truncation character of v2.7: 12 KB are answered at once."""
    data = hl7("1").replace(b"|^~\\&|LAB|", b"|^~\\&#|" + b"A^" * 6000 + b"|")
    message = Message.parse(data)
    start = time.process_time()
    ack.build("AE", message, now=datetime(2026, 1, 1), control_id="1")
    assert time.process_time() - start < 0.5


def test_repeats_while_the_bus_hangs_are_not_heaped_up() -> None:
    """Promise 8: a sender that repeats itself for as long as the bus says nothing."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        received = Received(data=hl7("1"), source="mllp", at=0.0)
        await intake.submit(relay(), received)
        bus.gate.clear()
        for _ in range(20_000):
            assert (await intake.submit(relay(), received)).code == "AA"
        waiting = len(intake._commit._waiting)
        bus.gate.set()
        await intake.close(5)
        assert waiting <= 2_000

    asyncio.run(asyncio.wait_for(story(), 60))


# ------------------------------------------------------------------------------------------------ the folder


def cda_feed() -> Feed:
    def check(received: Received, message: Message | None, /) -> FeedVerdict:
        return FeedVerdict(key="k")

    return Feed(name="sil", check=check, kind="documents")


async def watched(tmp_path: Path, intake: Any, feed: Feed) -> WatchedFolder:
    folder = WatchedFolder(FolderConfig(path=tmp_path, settle=0), feed, intake)
    await asyncio.to_thread(folder._prepare)
    return folder


def test_a_crash_in_the_middle_of_the_move_keeps_a_cda_and_its_request_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of the steps of a move: the same request is recognised, or the file is gone."""

    class Killed(BaseException):
        pass

    def dying(patch: pytest.MonkeyPatch, at: int) -> None:
        calls = iter(range(10))

        def fatal(real: Any) -> Any:
            def step(self: Directory, *given: Any, **named: Any) -> Any:
                if next(calls) == at:
                    raise Killed
                return real(self, *given, **named)

            return step

        for name in ("move", "remove"):
            patch.setattr(Directory, name, fatal(getattr(Directory, name)))

    for at in range(3):
        place = tmp_path / str(at)
        place.mkdir()
        (place / "a.xml.headers").write_bytes(b"mssante-ps: dr.a@x.mssante.fr\n")
        (place / "a.xml").write_bytes(b"<ClinicalDocument/>")
        bus = MemoryBus()

        async def story(place: Path = place, bus: MemoryBus = bus, at: int = at) -> None:
            intake = make_intake(bus)
            intake.start()
            folder = await watched(place, intake, cda_feed())
            with monkeypatch.context() as patch:
                dying(patch, at)
                with pytest.raises(Killed):
                    await folder.look()
            await (await watched(place, intake, cda_feed())).look()
            await intake.close(2)

        asyncio.run(asyncio.wait_for(story(), 20))
        assert len({one.headers[Header.ID] for one in bus.of("in.sil")}) == 1, at
        left = sorted(one.name for one in place.iterdir())
        assert left == ["done", "refused"], at


def test_a_file_that_its_writer_replaces_meanwhile_is_read_too(tmp_path: Path) -> None:
    """A sender with one name for all: what it puts there while its last file waits for the disk is not moved unread."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        intake.start()
        folder = await watched(tmp_path, intake, relay())
        (tmp_path / "export.hl7").write_bytes(hl7("1"))
        bus.gate.clear()
        looking = asyncio.create_task(folder.look())
        await eventually(lambda: bool(intake._unanswered))
        (tmp_path / "export.tmp").write_bytes(hl7("2"))
        (tmp_path / "export.tmp").replace(tmp_path / "export.hl7")
        bus.gate.set()
        await looking
        await folder.look()
        await folder.look()
        await intake.close(2)
        assert [one.headers[Header.CONTROL] for one in bus.of("in.sil")] == ["1", "2"]

    asyncio.run(asyncio.wait_for(story(), 20))


# ------------------------------------------------------------------------------------------------ raw topics


def test_a_raw_cda_is_recognised_whatever_else_its_record_carries(tmp_path: Path) -> None:
    """D7: bytes and request; a trace or a time-stamp in a header makes no second letter."""

    async def story() -> None:
        bus, ledger = SqliteBus(tmp_path / "bus.db", partitions=1), SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
        request = {"kind": "cda", "request-id": "r1", "mssante-ps": "dr.a@x.mssante.fr"}
        sent = [Outgoing("raw.sil", "", b"<ClinicalDocument/>", request | {"traceparent": f"00-{n}"}) for n in "ab"]
        bus.producer("outside").publish(sent)
        gateway = Gateway(
            bus=bus,
            ledger=ledger,
            clock=SystemClock(),
            pseudonyms=PSEUDONYMS,
            observer=Counted(),
            feeds=[cda_feed()],
            raw={"sil": "acks"},
            drain=2,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        await eventually(lambda: len(list(bus.scan("acks"))) == 2)
        stop.set()
        await running
        assert len(list(bus.scan("in.sil"))) == 1
        ledger.close()
        bus.close()

    asyncio.run(asyncio.wait_for(story(), 30))


# ------------------------------------------------------------------------------------------------ TLS, MLLP


def test_a_certificate_that_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    """The password comes after the key (or the right to read it does): the next look tries again."""

    def key(name: str, password: str) -> None:
        made = f"openssl req -x509 -newkey rsa:2048 -days 30 -subj /CN={name} -passout pass:{password}"
        places = ["-keyout", str(tmp_path / "new.key"), "-out", str(tmp_path / "new.pem")]
        subprocess.run([*made.split(), *places], check=True, capture_output=True)
        for one in ("key", "pem"):
            (tmp_path / f"new.{one}").replace(tmp_path / f"a.{one}")

    key("old", "first")
    (tmp_path / "password").write_text("first")
    config = TlsConfig(
        certificate=tmp_path / "a.pem", key=tmp_path / "a.key", key_password=Secret(file=tmp_path / "password")
    )
    certificates = Certificates(config)
    key("new", "second")
    with pytest.raises(OperatorFault):
        certificates.changed()
    (tmp_path / "password").write_text("second")
    assert certificates.changed()


def test_a_stray_fs_cuts_no_message_while_we_do_not_read() -> None:
    """The silence after an FS is ours, not the sender's: what he has sent meanwhile still stands in the socket."""

    async def story() -> None:
        bus = MemoryBus()
        intake = make_intake(bus)
        async with listening(intake, pipelining=1) as listener:
            client = await Client.connect(listener.port)
            bus.gate.clear()
            whole = hl7("2", "OBX|1|ST|||left" + chr(END) + "right")
            before, after = frame(whole).split(b"left" + bytes([END]))
            client.writer.write(frame(hl7("1")) + before + b"left" + bytes([END]))
            await client.writer.drain()
            await eventually(lambda: bool(intake._unanswered))
            client.writer.write(after)
            await client.writer.drain()
            await asyncio.sleep(0.5)
            bus.gate.set()
            assert (await client.answer())[1] == "MSA|AA|1"
            await client.answer()
        taken = [one.value for one in bus.of("in.sil")] + [one.value for one in bus.of("dlq.intake")]
        assert taken == [hl7("1"), whole]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_password_that_is_away_while_a_certificate_changes_stops_nothing() -> None:
    """The certificate in use stays in use, as for a file that can't be read."""

    class Waiting:
        async def start(self) -> None: ...

        async def tick(self) -> None:
            raise OperatorFault("SECRET", "password", "file can't be read")

        async def close(self, timeout: float) -> None: ...

    async def story() -> None:
        gateway = Gateway(
            bus=MemoryBus(),  # type: ignore[arg-type]
            ledger=None,  # type: ignore[arg-type]
            clock=SystemClock(),
            pseudonyms=PSEUDONYMS,
            observer=Counted(),
            feeds=[relay()],
        )
        gateway._ways = [Waiting()]
        await gateway._tick()

    asyncio.run(story())
