"""The hl7 sink against a partner on a real socket: answers, connections, cuts, time-outs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from router.contracts import Attempt, SystemClock, Unobserved
from router.contracts.keeping import KeepsNothing
from router.errors import OutcomeUnknown, Overtaken, Refused, RouterError, Unavailable
from router.exchange import Delivery, Origin
from router.hl7.message import Message
from router.hl7.mllp import Decoder, Frame, frame
from router.sinks.hl7.settings import Hl7Config
from router.sinks.hl7.sink import Hl7Sink
from tests.sinks.rechecks import Looks

TRY = Attempt(1, 0.0)


@dataclass
class Watching:
    clock = SystemClock()
    observer = Unobserved()
    keeper = KeepsNothing()


def message(control: str, size: int = 0) -> bytes:
    head = f"MSH|^~\\&|PFI|H|LAB|H|20260101||ZAM^Z01^ZAM_Z01|{control}|P|2.6|||||FRA|UNICODE UTF-8\rEVN||2026\r"
    return head.encode() + b"NTE|1||" + b"x" * size + b"\r"


def delivery(control: str = "1", size: int = 0) -> Delivery:
    return Delivery(
        id=control,
        event_id="e",
        sink="hl7.sil",
        destination="hl7",
        key="k",
        lane="l",
        payload=message(control, size),
        origin=Origin("in.sil", 0, 0),
    )


def ack(code: str, control: str, *lines: str) -> bytes:
    head = f"MSH|^~\\&|LAB|H|PFI|H|2026||ACK^Z01^ACK|9|P|2.6\rMSA|{code}|{control}\r"
    return (head + "".join(f"{line}\r" for line in lines)).encode()


Answering = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Partner:
    """A system that takes HL7: `answering` writes what it likes for each message; keeps what it got."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.got: list[str] = []
        self.connections = 0
        self.busiest = 0
        self._busy = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        decoder = Decoder(1 << 26)
        while data := await reader.read(65536):
            for event in decoder.feed(data):
                assert isinstance(event, Frame)
                control = Message.parse(event.data).control_id
                self.got.append(control)
                self._busy += 1
                self.busiest = max(self.busiest, self._busy)
                await self._answering(control, writer)
                self._busy -= 1
        writer.close()


async def accepting(control: str, writer: asyncio.StreamWriter) -> None:
    writer.write(frame(ack("AA", control)))


def saying(code: str, *lines: str) -> Answering:
    async def answer(control: str, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(ack(code, control, *lines)))

    return answer


@asynccontextmanager
async def meeting(answering: Answering, **settings: Any) -> AsyncIterator[tuple[Hl7Sink, Partner]]:
    partner = Partner(answering)
    server = await asyncio.start_server(partner.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sink = Hl7Sink("hl7.sil", Hl7Config(host="127.0.0.1", port=port, **settings), Watching())
    try:
        yield sink, partner
    finally:
        await sink.close()
        server.close()


def play(story: Any) -> Any:
    return asyncio.run(asyncio.wait_for(story, 20))


async def failure(sink: Hl7Sink, one: Delivery | None = None) -> RouterError:
    with pytest.raises(RouterError) as caught:
        await sink.deliver(one or delivery(), TRY)
    return caught.value


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_acceptance_is_evidence(code: str) -> None:
    """AA and CA end the delivery; the evidence names the answer."""

    async def story() -> None:
        async with meeting(saying(code)) as (sink, _):
            outcome = await sink.deliver(delivery("17"), TRY)
            assert outcome.evidence == {"hl7_ack": code, "hl7_control_id": "17"}

    play(story())


@pytest.mark.parametrize("code", ["AE", "CE"])
def test_a_refusal_keeps_codes_and_places_only(code: str) -> None:
    """AE and CE dead-letter the delivery; the partner's sentence, which may name a patient, is not kept."""

    async def story() -> None:
        async with meeting(saying(code, "ERR||PID^1^3|101^Required^HL70357|E||||DUPONT inconnu")) as (sink, _):
            error = await failure(sink)
        assert isinstance(error, Refused)
        assert (error.code, error.place, error.text) == (f"HL7-{code}-101", "PID^1^3", "Required field missing")
        assert "DUPONT" not in repr(error)

    play(story())


def test_a_place_that_is_a_value_is_not_kept() -> None:
    """What the partner wrote where a place belongs is dropped unless it is one."""

    async def story() -> None:
        async with meeting(saying("AE", "ERR||DUPONT^ANNE|999^DUPONT|E")) as (sink, _):
            assert "DUPONT" not in repr(await failure(sink))

    play(story())


def test_some_errors_are_tried_again() -> None:
    """An AE whose ERR-3 the configuration lists waits in its lane; the circuit stays closed."""

    async def story() -> None:
        async with meeting(saying("AE", "ERR|||206^Locked"), retried=("206",)) as (sink, _):
            error = await failure(sink)
        assert isinstance(error, Unavailable) and not error.circuit

    play(story())


@pytest.mark.parametrize("code", ["AR", "CR"])
def test_a_rejection_waits(code: str) -> None:
    """AR and CR: later, without opening the circuit."""

    async def story() -> None:
        async with meeting(saying(code)) as (sink, _):
            error = await failure(sink)
        assert isinstance(error, Unavailable) and not error.circuit

    play(story())


def test_nobody_listens() -> None:
    """Connection refused opens the circuit; so does the probe."""

    async def story() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            sink = Hl7Sink("hl7.sil", Hl7Config(host="127.0.0.1", port=taken.getsockname()[1]), Watching())
            error = await failure(sink)
            assert isinstance(error, Unavailable) and error.circuit
            with pytest.raises(Unavailable):
                await sink.probe()

    play(story())


def test_a_cut_after_the_message_is_unknown() -> None:
    """The message was sent whole and no answer came: the outcome is unknown, and the sink says repeat."""

    async def cut(control: str, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def story() -> None:
        async with meeting(cut) as (sink, _):
            assert isinstance(await failure(sink), OutcomeUnknown) and sink.on_unknown == "repeat"

    play(story())


def test_a_cut_in_the_middle_of_the_message_is_not() -> None:
    """The partner left before the end of the frame: it can't have taken it."""

    async def story() -> None:
        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.transport.abort()

        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        sink = Hl7Sink("hl7.sil", Hl7Config(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), Watching())
        error = await failure(sink, delivery(size=30_000_000))
        assert isinstance(error, Unavailable) and not error.circuit
        server.close()

    play(story())


def test_a_cut_between_connecting_and_writing_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection was made and broke before it was its turn: nothing was sent, it is tried again."""

    async def story() -> RouterError:
        async with meeting(accepting) as (sink, _partner):
            connect = sink._connect

            async def broken() -> Any:
                link = await connect()
                link.connection_lost(None)
                return link

            monkeypatch.setattr(sink, "_connect", broken)
            return await failure(sink)

    caught = play(story())
    assert isinstance(caught, Unavailable)
    assert (caught.code, caught.circuit) == ("HL7-CUT", False)


def test_no_answer_in_time_is_unknown() -> None:
    """Silence beyond the time-out; its late answer is never taken for the next message's."""

    async def story() -> None:
        late = True

        async def answer(control: str, writer: asyncio.StreamWriter) -> None:
            if late:
                await asyncio.sleep(0.3)
            writer.write(frame(ack("AA", control)))

        async with meeting(answer, timeout=0.15) as (sink, partner):
            error = await failure(sink, delivery("1"))
            assert isinstance(error, OutcomeUnknown) and error.code == "HL7-TIMEOUT"
            late = False
            assert (await sink.deliver(delivery("2"), TRY)).evidence["hl7_control_id"] == "2"
            assert partner.connections == 2

    play(story())


@pytest.mark.parametrize("answer", [b"hello", b"MSH|^~\\&|X\r", ack("ZZ", "1"), ack("AA", "other"), ack("AA", "")])
def test_an_answer_that_proves_nothing_is_unknown(answer: bytes) -> None:
    """Not an acknowledgement, an unknown code, or the acknowledgement of another message."""

    async def odd(control: str, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(answer))

    async def story() -> None:
        async with meeting(odd) as (sink, _):
            assert isinstance(await failure(sink), OutcomeUnknown)

    play(story())


def test_control_ids_may_be_ignored() -> None:
    """For a partner that answers with a wrong MSA-2 the configuration says so."""

    async def odd(control: str, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(ack("AA", "other")))

    async def story() -> None:
        async with meeting(odd, match_control_id=False) as (sink, _):
            assert (await sink.deliver(delivery(), TRY)).code == "AA"

    play(story())


def test_what_was_overtaken_while_it_waited_for_a_connection_does_not_leave() -> None:
    """The last look comes when the connection stands, and before the first byte."""

    async def story() -> None:
        async with meeting(accepting) as (sink, partner):
            looks = Looks(fatal=1)
            with pytest.raises(Overtaken):
                await sink.deliver(delivery("1"), looks.attempt)
            await sink.deliver(delivery("2"), TRY)
            assert (looks.count, partner.got) == (1, ["2"])

    play(story())


def test_connections_are_kept_and_bounded() -> None:
    """Many deliveries at once use no more connections than allowed; later ones use those again."""

    async def slow(control: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(frame(ack("AA", control)))

    async def story() -> None:
        async with meeting(slow, connections=3) as (sink, partner):
            await asyncio.gather(*(sink.deliver(delivery(str(n)), TRY) for n in range(30)))
            assert (partner.connections, partner.busiest) == (3, 3)
            assert sorted(partner.got, key=int) == [str(n) for n in range(30)]

    play(story())


def test_a_connection_that_died_idle_costs_nothing() -> None:
    """The partner closed the idle connection: the delivery goes over a new one at once."""

    async def story() -> None:
        async with meeting(accepting) as (sink, partner):
            await sink.deliver(delivery("1"), TRY)
            for writer in partner.writers:
                writer.close()
            await asyncio.sleep(0.05)
            await sink.deliver(delivery("2"), TRY)
            assert partner.got == ["1", "2"] and partner.connections == 2

    play(story())


def test_idle_connections_are_kept_alive() -> None:
    """A firewall forgets a silent connection within the hour, and the next message would go nowhere."""

    async def story() -> None:
        async with meeting(saying("AA")) as (sink, _):
            await sink.deliver(delivery(), TRY)
            (link,) = sink._free
            kept = link._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 300

    play(story())


def test_a_probe_s_connection_is_used() -> None:
    """After a probe the next delivery needs no new connection; closing twice is harmless."""

    async def story() -> None:
        async with meeting(accepting) as (sink, partner):
            await sink.probe()
            await sink.deliver(delivery(), TRY)
            assert partner.connections == 1
            await sink.close()
            await sink.close()

    play(story())


def test_repeats_are_the_same_bytes() -> None:
    """The second attempt sends exactly what the first did."""

    async def story() -> None:
        async with meeting(accepting) as (sink, partner):
            await sink.deliver(delivery("5"), TRY)
            await sink.deliver(delivery("5"), Attempt(2, 0.0, unknown=True))
            assert partner.got == ["5", "5"]

    play(story())


def test_a_wrong_configuration_is_refused() -> None:
    """Unknown keys and impossible values don't start."""
    for wrong in ({"port": 0}, {"port": 1, "colour": "blue"}, {"port": 1, "on_unknown": "verify"}):
        with pytest.raises(ValidationError):
            Hl7Config.model_validate({"host": "h", **wrong})
