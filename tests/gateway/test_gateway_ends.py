"""How a sender ends a message or a connection: it is answered, or somebody is told. Nothing vanishes in silence."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from router.cisis.findings import Finding
from router.contracts import Header
from router.gateway.intake import Intake
from router.gateway.received import FeedVerdict, Received
from router.gateway.settings import TlsConfig
from router.hl7.ack import Err
from router.hl7.message import Message
from router.hl7.mllp import frame
from tests.gateway.gateway_parts import Client, MemoryBus, eventually, hl7, listening, make_intake, relay
from tests.gateway.test_gateway_whole import Authority

BIG = "OBX|1|ST|||" + "x" * 50_000


class Heard:
    """Keeps the alerts."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, what: str, facts: Mapping[str, str]) -> None:
        self.alerts.append((what, facts))

    @property
    def codes(self) -> list[str]:
        return [facts.get("code", what) for what, facts in self.alerts]


def heard_by(intake: Intake) -> Heard:
    heard = Heard()
    intake.complaints.alert = heard
    return heard


def play(loop: str, story: Any) -> None:
    (uvloop.run if loop == "uvloop" else asyncio.run)(asyncio.wait_for(story, 30))


both = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def test_a_refusal_that_a_person_must_hear_of_is_an_alert() -> None:
    """D1: a deletion that the DMP can't take: feed, event and `withdraw`, once for one message, and no identity."""

    def check(_received: Received, _message: Message | None) -> FeedVerdict:
        return FeedVerdict(faults=(Finding("R45", Err("207", "PID^1^32", text="statut")),), alert="deletion-downgraded")

    async def story() -> None:
        intake = make_intake(MemoryBus())
        heard = heard_by(intake)
        async with listening(intake, relay(check)) as listener:
            client = await Client.connect(listener.port)
            for _ in range(2):
                assert any(line.startswith("MSA|AE|") for line in await client.ask(hl7()))
            client.close()
        [(what, facts)] = heard.alerts
        assert (what, facts["feed"], facts["code"]) == ("deletion-downgraded", "sil", "R45")
        assert facts["event_id"] and "segur-router withdraw" in facts["text"] and "DUPONT" not in str(facts)

    play("asyncio", story())


@both
@pytest.mark.parametrize("count", [1, 5])
def test_a_sender_that_closes_its_side_after_the_frame_is_answered(loop: str, count: int) -> None:
    """Half-closed after one frame or several: every message is stored and answered, then we close too."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            await client.send(*(hl7(str(number), BIG) for number in range(count)))
            client.writer.write_eof()
            await asyncio.sleep(0.3)
            bus.gate.set()
            assert [(await client.answer())[1] for _ in range(count)] == [f"MSA|AA|{number}" for number in range(count)]
            with pytest.raises(ConnectionError):
                await client.answer()
            await eventually(lambda: not listener.connections and not listener.places.taken)
            assert listener.intake.budget.held == 0
        assert len(bus.of("in.sil")) == count

    play(loop, story())


@both
@pytest.mark.parametrize("pipelining", [1, 64])
def test_who_closes_his_side_while_we_do_not_read_is_answered_too(loop: str, pipelining: int) -> None:
    """The end of the stream stands behind messages that we have not read yet."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), pipelining=pipelining) as listener:
            client = await Client.connect(listener.port)
            await client.send(*(hl7(str(number), BIG) for number in range(20)))
            client.writer.write_eof()
            assert [(await client.answer())[1] for _ in range(20)] == [f"MSA|AA|{number}" for number in range(20)]

    play(loop, story())


@both
@pytest.mark.parametrize("end", [b"\x1c", b"\x1c\n", b"\x1c\x00"])
def test_an_end_without_cr_and_a_closed_side_is_an_end(loop: str, end: bytes) -> None:
    """FS, nothing or something else, then the end of the stream: the message is whole, and answered."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus())) as listener:
            client = await Client.connect(listener.port)
            client.writer.write(b"\x0b" + hl7("1") + end)
            client.writer.write_eof()
            assert (await client.answer())[1] == "MSA|AA|1"

    play(loop, story())


@pytest.mark.alone
@both
@pytest.mark.parametrize("end", [b"\x1c\n", b"\x1c\x00", b"\x1c\n\n", b"\x1c \r"])
def test_a_malformed_end_is_answered_and_told(loop: str, end: bytes) -> None:
    """FS LF, FS NUL…: answered after a short silence, or before the next VT; feed and peer are named."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        heard = heard_by(intake)
        async with listening(intake) as listener:
            client = await Client.connect(listener.port)
            client.writer.write(b"\x0b" + hl7("1") + end + b"\x0b" + hl7("2") + end)
            assert [(await client.answer(2))[1] for _ in range(2)] == ["MSA|AA|1", "MSA|AA|2"]
            assert (await client.ask(hl7("3")))[1] == "MSA|AA|3"
        assert heard.codes == ["odd-end"]
        assert (heard.alerts[0][1]["feed"], heard.alerts[0][1]["peer"]) == ("sil", "127.0.0.1")
        assert intake.observer.counts[("frames_odd_total", "sil", "odd-end")] == 2  # type: ignore[attr-defined]

    play(loop, story())


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"\x0b" + hl7("1"), "cut"), (b"\x0b" + hl7("1") + b"\x1cX", "cut"), (hl7("1"), "outside")],
    ids=["no end", "FS and more", "no frame"],
)
def test_a_message_that_was_not_taken_is_told_without_its_values(sent: bytes, code: str) -> None:
    """Cut in the middle, or without framing: an alert that names feed and peer, and nothing of the message."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        heard = heard_by(intake)
        async with listening(intake) as listener:
            client = await Client.connect(listener.port)
            client.writer.write(sent)
            client.writer.write_eof()
            with pytest.raises(ConnectionError):
                await client.answer()
            await eventually(lambda: not listener.connections)
        assert heard.codes == [code] and "DUPONT" not in str(heard.alerts)
        assert heard.alerts[0][1]["feed"] == "sil" and heard.alerts[0][1]["peer"] == "127.0.0.1"

    play("uvloop", story())


def test_a_frame_that_does_not_end_in_time_is_told() -> None:
    """After the frame's time-out the connection closes, and a person can know why."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        heard = heard_by(intake)
        async with listening(intake, frame_timeout=0.2) as listener:
            client = await Client.connect(listener.port)
            client.writer.write(b"\x0b" + hl7("1"))
            with pytest.raises(ConnectionError):
                await client.answer()
        assert heard.codes == ["unfinished"]

    play("uvloop", story())


def test_a_whole_message_of_a_sender_that_is_gone_is_taken_and_told() -> None:
    """The connection broke before the answer: the message is stored, its place kept until then, the loss told."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        intake = make_intake(bus)
        heard = heard_by(intake)
        async with listening(intake) as listener:
            client = await Client.connect(listener.port)
            await client.send(hl7("1"), hl7("2", BIG))
            await eventually(lambda: len(intake._unanswered) == 2)
            raw = client.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
            client.writer.transport.abort()
            await asyncio.sleep(0.2)
            assert len(listener.places.taken) == 1
            bus.gate.set()
            await eventually(lambda: len(bus.of("in.sil")) == 2 and not listener.places.taken)
        assert heard.codes == ["unsent"] and intake.budget.held == 0

    play("uvloop", story())


@both
def test_over_tls_a_closed_side_costs_no_message(loop: str, tmp_path: Path) -> None:
    """TLS ends both sides at once: the message is stored, and sent again it gets the stored answer."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with listening(make_intake(bus), tls=TlsConfig(certificate=certificate, key=key)) as listener:
            context = ssl.create_default_context(cafile=authority.path)
            client = await Client.connect(listener.port, ssl=context, server_hostname="localhost")
            await client.send(hl7("1", BIG))
            client.writer.transport.close()
            await asyncio.sleep(0.3)
            bus.gate.set()
            await eventually(lambda: len(bus.of("in.sil")) == 1 and not listener.places.taken)
            again = await Client.connect(listener.port, ssl=context, server_hostname="localhost")
            assert (await again.ask(hl7("1", BIG)))[1] == "MSA|AA|1"
        assert len(bus.of("in.sil")) == 1

    play(loop, story())


def test_who_does_not_read_his_answers_is_closed() -> None:
    """Answers that nobody fetches hold no connection for ever."""

    async def story() -> None:
        intake = make_intake(MemoryBus())
        heard = heard_by(intake)
        async with listening(intake, frame_timeout=0.3) as listener:
            client = await Client.connect(listener.port, limit=1024)
            await eventually(lambda: bool(listener.connections))
            for transport in (client.writer.transport, next(iter(listener.connections))._transport):
                assert transport is not None
                for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 4096)
            message = frame(hl7("1"))

            async def flood() -> None:
                while True:
                    client.writer.write(message * 50)
                    await client.writer.drain()

            flooding = asyncio.create_task(flood())
            await eventually(lambda: "answer-unread" in heard.codes, 20)
            await eventually(lambda: not listener.connections, 10)
            flooding.cancel()

    play("uvloop", story())


def test_a_bug_on_one_message_leaves_the_connection_and_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks in our code while a message is read: AE, its bytes kept, and the next one is answered."""
    parse = Message.parse

    def breaking(data: bytes, **options: Any) -> Message:
        if b"broken" in data:
            raise ZeroDivisionError
        return parse(data, **options)

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            monkeypatch.setattr(Message, "parse", breaking)
            client = await Client.connect(listener.port)
            await client.send(hl7("1"), hl7("broken"), hl7("3", BIG))
            answers = [(await client.answer())[1] for _ in range(3)]
        assert answers == ["MSA|AA|1", "MSA|AE", "MSA|AA|3"]
        assert [one.headers[Header.CODE] for one in bus.of("dlq.intake")] == ["BUG-ZeroDivisionError"]

    play("uvloop", story())
