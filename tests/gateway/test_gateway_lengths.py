"""R14: fields of MSH longer than HL7 allows; what a gateway keeps in memory is counted in bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.contracts import Header
from router.gateway.intake import Intake, Recent
from router.gateway.received import Answer, Received
from router.hl7.ack import parse_ack
from router.wire import read_journal
from tests.gateway.gateway_parts import MemoryBus, hl7, make_intake, records, relay
from tests.gateway.test_gateway_odd import cda_feed


def submit(bus: MemoryBus, data: bytes, **received: Any) -> tuple[Answer, Intake]:
    async def story() -> tuple[Answer, Intake]:
        intake = make_intake(bus)
        intake.start()
        feed = cda_feed() if received.get("kind") == "cda" else relay()
        answer = await intake.submit(feed, Received(data=data, source="mllp", at=0.0, **received))
        await intake.close(2)
        return answer, intake

    return asyncio.run(asyncio.wait_for(story(), 20))


@pytest.mark.parametrize("length", [200, 60_000])
def test_R14_a_control_id_that_is_too_long_is_refused(length: int) -> None:
    """MSH-10 beyond 199 characters: AE 102 at MSH^1^10; answer, dead letter and journal hold its beginning only."""
    bus = MemoryBus()
    answer, _ = submit(bus, hl7("7" * length))
    told = parse_ack(answer.ack)
    assert (answer.code, told.errors[0].code, told.errors[0].location) == ("AE", "102", "MSH^1^10")
    assert told.control_id == "7" * 199 and len(answer.ack) < 1000
    (dead_letter,) = bus.of("dlq.intake")
    assert dead_letter.headers[Header.CODE] == "R14" and len(dead_letter.headers[Header.CONTROL]) == 199
    assert len(read_journal(next(iter(records(bus, "journal")))).control_id) == 199
    assert dead_letter.value == hl7("7" * length)


@pytest.mark.parametrize(("field", "longest"), [(3, 227), (4, 227), (5, 227), (6, 227), (7, 26), (8, 40), (12, 60)])
def test_each_field_of_msh_has_its_length(field: int, longest: int) -> None:
    """As long as HL7 allows is accepted, one character more is AE 102 at that field."""
    for length, code in ((longest, "AA"), (longest + 1, "AE")):
        lines = hl7("1").split(b"\r")
        fields = lines[0].split(b"|")
        fields[field - 1] = b"9" * length
        answer, _ = submit(MemoryBus(), b"\r".join([b"|".join(fields), *lines[1:]]))
        assert answer.code == code
        assert code == "AA" or parse_ack(answer.ack).errors[0].location == f"MSH^1^{field}"


@pytest.mark.parametrize(("length", "warned"), [(20, False), (21, True), (199, True)])
def test_a_control_id_beyond_twenty_is_accepted_with_a_warning(length: int, warned: bool) -> None:
    """HL7 v2.5 and v2.6 give it 20 characters, v2.7 199: senders use UUIDs."""
    bus = MemoryBus()
    assert submit(bus, hl7("a" * length))[0].code == "AA"
    assert ("R14" in bus.of("in.sil")[0].headers.get(Header.WARNINGS, "")) is warned


@pytest.mark.parametrize("name", ["request-id", "sending-application", "sending-facility"])
def test_the_request_of_a_raw_cda_has_the_same_lengths(name: str) -> None:
    """AE 102 that names the header; the answer is short."""
    headers = {"request-id": "1", name: "x" * 5000}
    answer, _ = submit(MemoryBus(), b"<ClinicalDocument/>", kind="cda", headers=headers)
    error = parse_ack(answer.ack).errors[0]
    assert (answer.code, error.code, error.location) == ("AE", "102", name) and len(answer.ack) < 2000


@pytest.mark.parametrize("end", [b"", b"PID|" + b"\xff" * 10], ids=["unreadable header", "foreign bytes"])
def test_the_answer_to_what_cannot_be_read_is_short_too(end: bytes) -> None:
    """What is only glimpsed is echoed up to the lengths of HL7."""
    long = "x" * 50_000
    head = f"MSH|^~\\&|{long}|{long}|{long}^{long}|D|1||ORU^{long}|{long}|{long}|2.5|||||FRA|KOI8\r".encode()
    answer, _ = submit(MemoryBus(), head + end)
    assert answer.code == "AE" and len(answer.ack) < 3000


def test_the_last_answers_are_kept_within_a_budget_of_bytes() -> None:
    """Big answers push old ones out; the count alone would let senders choose how much memory that is."""
    recent = Recent(size=10_000, limit=1_000_000)
    for number in range(1000):
        recent.put(str(number), b"x" * 60_000)
    assert recent.held <= 1_000_000 and recent.get("999") and recent.get("0") is None
    for _ in range(3):
        recent.put("same", b"y" * 100)
    before = recent.held
    recent.put("same", b"y" * 100)
    assert recent.held == before
