"""The MLLP listener over real sockets: answers, order, junk, limits, outages, drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
import uvloop

from router.contracts import Header, Outgoing
from router.errors import Invalid, Unavailable
from router.gateway.received import FeedVerdict, Received
from router.hl7.message import Message
from router.hl7.mllp import frame
from router.wire import read_journal
from tests.gateway.gateway_parts import (
    Client,
    Counted,
    MemoryBus,
    MemoryLedger,
    eventually,
    hl7,
    listening,
    make_intake,
    records,
    relay,
)
from tests.typed import present


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


def test_an_accepted_message_is_on_the_bus_before_its_answer() -> None:
    """AA, and the event with its id, key, time and stored answer; the answer waits for the bus."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            await client.send(hl7("7"))
            with pytest.raises(asyncio.TimeoutError):
                await client.answer(0.2)
            bus.gate.set()
            lines = await client.answer()
        assert lines[1] == "MSA|AA|7"
        (event,) = bus.of("in.sil")
        assert event.value == hl7("7")
        assert (event.headers[Header.CONTROL], event.headers[Header.ACK], event.headers[Header.SOURCE]) == (
            "7",
            "AA",
            "mllp",
        )
        assert len(event.headers[Header.ID]) == 32 == len(event.key)
        assert "42" not in event.key and "DUPONT" not in str(event.headers)

    play(story())


def test_answers_come_in_the_order_of_the_messages() -> None:
    """Pipelined messages, large and small, split at odd places: one answer each, in order, and in order on the bus."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            messages = [hl7(str(n), "OBX|1|ST|||" + "x" * (n % 3 * 20_000)) for n in range(60)]
            stream = b"noise".join(map(frame, messages))
            for at in range(0, len(stream), 7001):
                client.writer.write(stream[at : at + 7001])
                await client.writer.drain()
            answers = [(await client.answer())[1] for _ in messages]
        assert answers == [f"MSA|AA|{n}" for n in range(60)]
        assert [one.headers[Header.CONTROL] for one in bus.of("in.sil")] == [str(n) for n in range(60)]

    play(story())


@pytest.mark.parametrize("garbage", [b"hello", b"", b"PID|1", b"\x00\xff"])
def test_E44_frame_not_starting_with_msh(garbage: bytes) -> None:
    """AE 100 with an empty MSA-2, the bytes in quarantine, the connection kept."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            lines = await client.ask(garbage)
            assert lines[1:] == ["MSA|AE", lines[2]] and lines[2].startswith("ERR|||100^Segment sequence error^")
            assert (await client.ask(hl7("8")))[1] == "MSA|AA|8"
        (dead_letter,) = bus.of("dlq.intake")
        assert dead_letter.value == garbage and dead_letter.headers[Header.CODE] == "R01"
        entry = read_journal(next(iter(records(bus, "journal"))))
        assert (entry.kind, entry.ack, entry.code, entry.feed) == ("refused", "AE", "R01", "sil")

    play(story())


def test_E44_vt_twice_junk_and_missing_cr() -> None:
    """Junk between frames, a doubled VT and an FS without CR all give their message its answer."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus())) as listener:
            client = await Client.connect(listener.port)
            client.writer.write(b"junk\r\n\x0b\x0b" + hl7("1") + b"\x1c\r\r\nmore\x0b" + hl7("2") + b"\x1c")
            assert (await client.answer())[1] == "MSA|AA|1"
            assert (await client.answer())[1] == "MSA|AA|2"
            assert (await client.ask(hl7("3")))[1] == "MSA|AA|3"

    play(story())


def test_E47_batch_over_mllp() -> None:
    """FHS: AE 200 with an empty MSA-2."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus())) as listener:
            lines = await (await Client.connect(listener.port)).ask(b"FHS|^~\\&|A\rBHS|^~\\&\r" + hl7())
        assert lines[1] == "MSA|AE" and "|200^" in lines[2]

    play(story())


@pytest.mark.parametrize("message", [hl7("5", extra="|||x").replace(b"|5|P|2.5|", b"|5|P|2.5||1|"), hl7("5", "DSC|1")])
def test_E16_continuation_is_refused(message: bytes) -> None:
    """MSH-14 or a DSC segment: AE 199 at MSH^1^14."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus())) as listener:
            lines = await (await Client.connect(listener.port)).ask(message)
        assert lines[1] == "MSA|AE|5" and lines[2].startswith("ERR||MSH^1^14|199^")

    play(story())


def test_E10_unknown_charset_is_answered_with_its_control_id() -> None:
    """A message we can't decode still gets its MSH-10 back."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus())) as listener:
            lines = await (await Client.connect(listener.port)).ask(hl7("77", charset="KOI8"))
        assert lines[1] == "MSA|AE|77" and lines[2].startswith("ERR||MSH^1^18|103^")

    play(story())


def test_E15_over_the_limit_the_connection_survives() -> None:
    """A frame beyond max_frame: AE 207 906, and the next message is taken."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus), max_frame=10_000) as listener:
            client = await Client.connect(listener.port)
            lines = await client.ask(hl7("9", "OBX|1|ST|||" + "x" * 30_000))
            assert lines[1] == "MSA|AE|9" and "|207^" in lines[2] and "|906^" in lines[2]
            assert (await client.ask(hl7("10")))[1] == "MSA|AA|10"
            client.writer.write(b"\x0bMSH" + b"y" * 60_000)
            assert (await client.answer())[1] == "MSA|AE"
            with pytest.raises(ConnectionError):
                await client.answer()

    play(story())


def test_E15_a_large_document_is_taken() -> None:
    """21.5 MB in one message: AA, whole on the bus."""

    async def story() -> None:
        bus, message = MemoryBus(), hl7("big", "OBX|1|ED|||^TEXT^XML^Base64^" + "QUJD" * 5_400_000)
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            assert (await client.ask(message))[1] == "MSA|AA|big"
        assert bus.of("in.sil")[0].value == message

    play(story())


def test_E12_the_same_message_twice() -> None:
    """Sent again, even with another MSH-7: the very same answer, one event; the journal knows."""

    async def story() -> None:
        bus, observer = MemoryBus(), Counted()
        async with listening(make_intake(bus, observer=observer)) as listener:
            client = await Client.connect(listener.port)
            first = await client.ask(hl7("1"))
            assert await client.ask(hl7("1")) == first
            assert await client.ask(hl7("1").replace(b"|20260101|", b"|20260102093000|")) == first
        assert len(bus.of("in.sil")) == 1
        assert [read_journal(one).kind for one in records(bus, "journal")] == ["duplicate"] * 2
        assert observer.counts[("duplicates_avoided_total", "intake")] == 2

    play(story())


def test_E12_twice_at_once_on_two_connections() -> None:
    """The same message in flight twice gives one event and the same answer to both."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with listening(make_intake(bus)) as listener:
            clients = [await Client.connect(listener.port) for _ in range(2)]
            for client in clients:
                await client.send(hl7("1"))
            await asyncio.sleep(0.1)
            bus.gate.set()
            answers = [await client.answer() for client in clients]
        assert answers[0] == answers[1] and len(bus.of("in.sil")) == 1

    play(story())


def test_E13_the_same_control_id_with_other_content() -> None:
    """Another message under a known MSH-10 is accepted with a warning."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            assert (await client.ask(hl7("1")))[1] == (await client.ask(hl7("1", "NTE|1||x")))[1] == "MSA|AA|1"
        first, second = bus.of("in.sil")
        assert Header.WARNINGS not in first.headers and "MSH-10" in second.headers[Header.WARNINGS]

    play(story())


def test_E14_a_message_accepted_before_a_restart() -> None:
    """After a restart the ledger knows the id: the stored answer is given, nothing is written again."""

    async def story() -> None:
        first_bus, ledger = MemoryBus(), MemoryLedger()
        async with listening(make_intake(first_bus, ledger)) as listener:
            first = await (await Client.connect(listener.port)).ask(hl7("1"))
        event = first_bus.of("in.sil")[0]
        ledger.stored[event.headers[Header.ID]] = ("\r".join(first) + "\r").encode()
        bus = MemoryBus()
        async with listening(make_intake(bus, ledger)) as listener:
            assert await (await Client.connect(listener.port)).ask(hl7("1")) == first
        assert bus.of("in.sil") == []

    play(story())


def test_a_ledger_that_is_away_stops_nobody() -> None:
    """Without the ledger messages are accepted: the pipelines' claim will recognise repeats."""

    async def story() -> None:
        ledger = MemoryLedger()
        ledger.away = True
        async with listening(make_intake(MemoryBus(), ledger)) as listener:
            assert (await (await Client.connect(listener.port)).ask(hl7("1")))[1] == "MSA|AA|1"

    play(story())


def test_E50_bus_full_then_back() -> None:
    """The bus can't write: AR 207, nothing stored; the sender's retry gets AA."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            bus.error = Unavailable("BUS-FULL", "", "disk full")
            lines = await client.ask(hl7("1"))
            assert lines[1] == "MSA|AR|1" and "|207^" in lines[2] and "|906^" in lines[2]
            bus.error = None
            assert bus.topics == {}
            assert (await client.ask(hl7("1")))[1] == "MSA|AA|1"
        assert len(bus.of("in.sil")) == 1

    play(story())


def test_a_message_the_bus_refuses_is_told_so() -> None:
    """A record its topic can't carry gets AE, not an endless AR; others of the batch go through."""

    class Picky(MemoryBus):
        def publish(self, records: Sequence[Outgoing], *, settle: Any = None) -> Any:
            if any(len(record.value) > 5000 for record in records):
                raise Invalid("BUS-SIZE", "", "too large")
            return super().publish(records, settle=settle)

    async def story() -> None:
        bus = Picky()
        bus.gate.clear()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            await client.send(hl7("1"), hl7("2", "NTE|1||" + "x" * 9000), hl7("3"))
            bus.gate.set()
            assert [(await client.answer())[1] for _ in range(3)] == ["MSA|AA|1", "MSA|AE|2", "MSA|AA|3"]
        assert [read_journal(one).code for one in records(bus, "journal")] == ["BUS-SIZE"]

    play(story())


def test_a_bug_in_a_check_is_a_refusal_with_its_bytes() -> None:
    """Our own error answers AE with a dead letter named after it; it holds no text of the exception."""

    def broken(received: object, message: object, /) -> FeedVerdict:
        raise ZeroDivisionError("DUPONT")

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus), relay(broken)) as listener:
            lines = await (await Client.connect(listener.port)).ask(hl7("1"))
        assert lines[1] == "MSA|AE|1" and "DUPONT" not in lines[2]
        (dead_letter,) = bus.of("dlq.intake")
        assert dead_letter.headers[Header.CODE] == "BUG-ZeroDivisionError" and "DUPONT" not in str(dead_letter.headers)

    play(story())


def test_a_refused_message_sent_again_leaves_one_dead_letter() -> None:
    """An engine that repeats a refused message for ever does not fill the dead letters."""

    async def story() -> None:
        bus = MemoryBus()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            answers = [(await client.ask(hl7("")))[1] for _ in range(3)]
        assert answers == ["MSA|AE"] * 3 and len(bus.of("dlq.intake")) == 1

    play(story())


def test_one_slow_message_does_not_hold_the_others() -> None:
    """While a big message is being checked, another connection's small ones are answered."""

    def slow(_received: Received, message: Message | None, /) -> FeedVerdict:
        if len(present(message)) > 100_000:
            time.sleep(0.6)
        return FeedVerdict(key="k")

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), relay(slow)) as listener:
            one, two = await Client.connect(listener.port), await Client.connect(listener.port)
            await one.send(hl7("big", "OBX|1|ST|||" + "x" * 200_000))
            started = time.monotonic()
            for number in range(20):
                await two.ask(hl7(str(number)))
            assert time.monotonic() - started < 0.5
            assert (await one.answer())[1] == "MSA|AA|big"

    play(story())


def test_idle_connections_are_closed_and_counted() -> None:
    """Silence beyond the time-out closes a connection, sooner in the middle of a message."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), idle_timeout=0.6, frame_timeout=0.2) as listener:
            idle, half = await Client.connect(listener.port), await Client.connect(listener.port)
            half.writer.write(b"\x0bMSH|")
            await eventually(lambda: len(listener.connections) == 2)
            started = time.monotonic()
            with pytest.raises(ConnectionError):
                await half.answer()
            assert time.monotonic() - started < 0.55
            with pytest.raises(ConnectionError):
                await idle.answer()

    play(story())


def test_one_connection_too_many_is_closed() -> None:
    """Beyond max_connections a new one is closed at once; the others go on."""

    async def story() -> None:
        async with listening(make_intake(MemoryBus()), max_connections=1) as listener:
            first = await Client.connect(listener.port)
            assert (await first.ask(hl7("1")))[1] == "MSA|AA|1"
            second = await Client.connect(listener.port)
            with pytest.raises(ConnectionError):
                await second.ask(hl7("2"))
            assert (await first.ask(hl7("3")))[1] == "MSA|AA|3"

    play(story())


def test_stopping_answers_what_came_whole() -> None:
    """On stop the messages in work are answered before the connection closes."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        async with listening(make_intake(bus)) as listener:
            client = await Client.connect(listener.port)
            await client.send(hl7("1"), hl7("2"))
            await eventually(lambda: len(listener.intake._unanswered) == 2)
            closing = asyncio.create_task(listener.close(5))
            await asyncio.sleep(0.1)
            bus.gate.set()
            assert [(await client.answer())[1] for _ in range(2)] == ["MSA|AA|1", "MSA|AA|2"]
            await closing
            with pytest.raises(ConnectionError):
                await client.answer()

    play(story())


def test_memory_stays_within_the_budget() -> None:
    """With the bus stopped, many senders of big messages are left unread beyond the budget, then all are served."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        intake = make_intake(bus, budget=2_000_000)
        highest = 0
        async with listening(intake, max_frame=2_000_000) as listener:
            clients = [await Client.connect(listener.port) for _ in range(20)]
            sends = [
                asyncio.create_task(client.send(hl7(str(n), "OBX|1|ST|||" + "x" * 1_000_000)))
                for n, client in enumerate(clients)
            ]
            for _ in range(60):
                await asyncio.sleep(0.01)
                highest = max(highest, intake.budget.held)
            assert highest <= 2_000_000 + 1_000_000 + 20 * 262_144
            bus.gate.set()
            for n, client in enumerate(clients):
                assert (await client.answer())[1] == f"MSA|AA|{n}"
            await asyncio.gather(*sends)
            assert intake.budget.held == 0

    play(story())


def test_a_silent_sender_does_not_block_the_others_when_the_budget_is_full() -> None:
    """The one allowed to go on loses its place when it sends nothing."""

    async def story() -> None:
        intake = make_intake(MemoryBus(), budget=150_000)
        async with listening(intake) as listener:
            silent, other = await Client.connect(listener.port), await Client.connect(listener.port)
            silent.writer.write(b"\x0bMSH|" + b"x" * 140_000)
            await eventually(lambda: intake.budget.held > 100_000)
            await other.send(hl7("1", "OBX|1|ST|||" + "x" * 400_000))
            assert (await other.answer())[1] == "MSA|AA|1"

    play(story())


def test_who_comes_while_the_budget_is_full_is_served_afterwards() -> None:
    """A connection made at that moment is left unread, not broken, and breaks nobody else's."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        intake = make_intake(bus, budget=100_000)
        async with listening(intake) as listener:
            first = await Client.connect(listener.port)
            await first.send(hl7("1", "OBX|1|ST|||" + "x" * 200_000))
            await eventually(lambda: intake.budget.full)
            second = await Client.connect(listener.port)
            await second.send(hl7("2"))
            bus.gate.set()
            assert (await first.answer())[1] == "MSA|AA|1"
            assert (await second.answer())[1] == "MSA|AA|2"

    play(story())


def test_who_comes_while_the_budget_is_full_is_left_unread() -> None:
    """On uvloop, as in production: senders that connect then push nothing into memory beyond one read each."""

    async def story() -> None:
        bus = MemoryBus()
        bus.gate.clear()
        intake = make_intake(bus, budget=2_000_000)
        async with listening(intake, max_frame=4_000_000) as listener:
            first = await Client.connect(listener.port)
            await first.send(hl7("1", "OBX|1|ST|||" + "x" * 2_500_000))
            await eventually(lambda: intake.budget.full)
            late = [await Client.connect(listener.port) for _ in range(10)]
            sends = [
                asyncio.create_task(client.send(hl7(f"L{n}", "OBX|1|ST|||" + "x" * 3_000_000)))
                for n, client in enumerate(late)
            ]
            for _ in range(50):
                await asyncio.sleep(0.01)
            assert intake.budget.held <= 2_500_000 + 10 * 262_144 + 100_000
            bus.gate.set()
            assert (await first.answer())[1] == "MSA|AA|1"
            for n, client in enumerate(late):
                assert (await client.answer())[1] == f"MSA|AA|L{n}"
            await asyncio.gather(*sends)

    uvloop.run(asyncio.wait_for(story(), 60))
