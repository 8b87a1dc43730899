"""`raw.<feed>` on the embedded bus: checked like a listener's message, each record exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.bus.kafka.consumer import record_of
from router.bus.sqlite.sqlite_bus import SqliteBus
from router.contracts import Header, Outgoing, Record, SystemClock
from router.errors import Fenced, Invalid, Unavailable
from router.gateway.gateway import Gateway
from router.gateway.raw_topic import _repeated
from router.hl7.ack import parse_ack
from router.ledger.store import SqlLedger
from tests.gateway.gateway_parts import PSEUDONYMS, Counted, eventually, hl7, relay


class Moody(SqliteBus):
    """The real bus; `mood` is asked before every publish of the raw topic's, `parting` after it closed its producer."""

    mood: Callable[[Any], None] = staticmethod(lambda records: None)
    parting: Callable[[], None] = staticmethod(lambda: None)

    def producer(self, name: str) -> Any:
        inner, bus = super().producer(name), self

        class Producer:
            def close(self) -> None:
                inner.close()
                if "-raw-" in name:
                    bus.parting()

            def publish(self, records: Any, *, settle: Any = None) -> Any:
                if name.startswith("gateway"):
                    bus.mood(records)
                return inner.publish(records, settle=settle)

        return Producer()


def play(tmp_path: Path, story: Any) -> None:
    async def whole() -> None:
        bus = Moody(tmp_path / "bus.db", partitions=2)
        ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")

        def gateway() -> Gateway:
            return Gateway(
                bus=bus,
                ledger=ledger,
                clock=SystemClock(),
                pseudonyms=PSEUDONYMS,
                observer=Counted(),
                feeds=[relay()],
                raw={"sil": "acks"},
                drain=5,
            )

        await story(bus, gateway)
        ledger.close()
        bus.close()

    asyncio.run(asyncio.wait_for(whole(), 40))


def write(bus: SqliteBus, *values: bytes) -> None:
    bus.producer("outside").publish([Outgoing("raw.sil", "", value) for value in values])


def got(bus: SqliteBus, topic: str) -> list[Any]:
    return list(bus.scan(topic))


def test_records_become_events_answers_and_dead_letters(tmp_path: Path) -> None:
    """Good ones on in.<feed>, bad ones in dlq.intake, an answer for each, and after a restart nothing again."""

    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        write(bus, hl7("1"), b"hello", hl7("2"), hl7("1"))
        first = gateway()
        await first.start()
        await eventually(lambda: len(got(bus, "acks")) == 4, 10)
        await first.close()
        assert sorted(one.headers[Header.CONTROL] for one in got(bus, "in.sil")) == ["1", "2"]
        assert [one.value for one in got(bus, "dlq.intake")] == [b"hello"]
        answers = [parse_ack(one.value) for one in got(bus, "acks")]
        assert sorted((one.code, one.control_id) for one in answers) == [("AA", "1")] * 2 + [("AA", "2"), ("AE", "")]
        second = gateway()
        await second.start()
        write(bus, hl7("3"))
        await eventually(lambda: len(got(bus, "acks")) == 5, 10)
        await second.close()
        assert len(got(bus, "in.sil")) == 3

    play(tmp_path, story)


def test_R15_a_request_whose_header_stands_twice_is_refused(tmp_path: Path) -> None:
    """R15: in another case, or repeated as Kafka allows: AE 198 at the header, under an id of its own."""

    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        asked = {"kind": "cda", "request-id": "1", "mssante-ps": "adam@x.mssante.fr"}
        twice = Outgoing("raw.sil", "", b"<a/>", {**asked, "Mssante-Ps": "eve@x.mssante.fr"})
        bus.producer("outside").publish(
            [twice, Outgoing("raw.sil", "", b"<b/>", {**asked, "trace": "1", "Trace": "2"})]
        )
        running = gateway()
        await running.start()
        await eventually(lambda: len(got(bus, "acks")) == 2, 10)
        await running.close()
        dead = {one.value[-4:]: one.headers[Header.CODE] for one in got(bus, "dlq.intake")}
        assert dead[b"<a/>"] == "R15" != dead[b"<b/>"]
        told = [one.errors[0] for one in map(parse_ack, (one.value for one in got(bus, "acks")))]
        assert ("198", "mssante-ps") in [(one.code, one.location) for one in told]

    play(tmp_path, story)


def test_R15_kafka_says_which_headers_a_record_has_twice() -> None:
    """A record of the client keeps the last value of a name, and the names it had more than once."""
    lines = [("mssante-ps", b"adam@x.mssante.fr"), ("dmp", b"Y"), ("mssante-ps", b"eve@x.mssante.fr")]
    found = SimpleNamespace(topic="raw.sil", partition=0, offset=7, key=None, value=b"<a/>", headers=lines, timestamp=0)
    assert record_of(found).repeated == {"mssante-ps"}
    found.headers = lines[1:]
    assert record_of(found).repeated == frozenset()


def test_R15_a_name_that_kafka_repeats_is_no_request() -> None:
    """What the record had twice reaches the check, whatever its case; other headers count for nothing."""
    asked = {"kind": "cda", "Mssante-Ps": "eve@x.mssante.fr", "trace": "1"}
    record = Record("raw.sil", 0, 7, "", b"<a/>", asked)
    assert _repeated(replace(record, repeated=frozenset({"Mssante-Ps"}))) == "mssante-ps"
    assert _repeated(replace(record, repeated=frozenset({"trace"}))) == "" == _repeated(record)


def test_E50_an_outage_waits(tmp_path: Path) -> None:
    """While the bus can't write, nothing is refused; then every record is taken once. Nor can it be left in peace."""

    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        failures = 0

        def away(records: Any) -> None:
            nonlocal failures
            if failures < 2:
                failures += 1
                raise Unavailable("BUS-FULL")

        def worse() -> None:
            raise Unavailable("BUS-AWAY")

        bus.mood = away
        bus.parting = worse
        write(bus, hl7("1"), hl7("2"))
        one = gateway()
        await one.start()
        await eventually(lambda: len(got(bus, "in.sil")) == 2, 15)
        await one.close()
        assert failures == 2 and got(bus, "dlq.intake") == []

    play(tmp_path, story)


def test_a_share_that_moves_under_our_hands_is_read_by_who_has_it(tmp_path: Path) -> None:
    """A second gateway starts: the listeners of the first one stay open, and each record is taken once."""

    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        moves = [Fenced("KAFKA-CommitFailed"), Fenced("KAFKA-CommitFailed")]

        def moved(records: Any) -> None:
            if moves:
                raise moves.pop()

        bus.mood = moved
        write(bus, hl7("1"), hl7("2"))
        one = gateway()
        await one.start()
        await eventually(lambda: len(got(bus, "in.sil")) == 2, 15)
        await one.close()
        assert not moves

    play(tmp_path, story)


def test_another_process_under_our_name_is_not_fought_for_ever(tmp_path: Path) -> None:
    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        def taken(records: Any) -> None:
            raise Fenced("KAFKA-PRODUCER")

        bus.mood = taken
        write(bus, hl7("1"))
        with pytest.raises(Fenced):
            await asyncio.wait_for(gateway().run(asyncio.Event()), 20)

    play(tmp_path, story)


def test_a_record_too_large_for_its_topic_is_refused_alone(tmp_path: Path) -> None:
    """The others of its batch are accepted; the offsets move on."""

    async def story(bus: Moody, gateway: Callable[[], Gateway]) -> None:
        def picky(records: Any) -> None:
            if any(len(record.value) > 5000 for record in records):
                raise Invalid("BUS-SIZE", "", "too large")

        bus.mood = picky
        write(bus, hl7("1"), hl7("2", "NTE|1||" + "x" * 9000), hl7("3"))
        one = gateway()
        await one.start()
        await eventually(lambda: len(got(bus, "acks")) == 3, 10)
        await one.close()
        assert sorted(record.headers[Header.CONTROL] for record in got(bus, "in.sil")) == ["1", "3"]
        assert sorted(record.headers[Header.ACK] for record in got(bus, "acks")) == ["AA", "AA", "AE"]
        assert bus.lag("raw-sil") and sum(bus.lag("raw-sil").values()) == 0

    play(tmp_path, story)
