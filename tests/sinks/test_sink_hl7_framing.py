"""A partner's acknowledgement that is badly framed: taken when it names our message, never otherwise."""

from __future__ import annotations

import asyncio
import logging

import pytest

from router.errors import OutcomeUnknown, Refused
from tests.sinks.test_sink_hl7 import TRY, ack, delivery, failure, meeting, play

FORMS = {
    "unframed": b"%b",
    "unframed, with an end": b"%b\x1c\r",
    "FS LF": b"\x0b%b\x1c\n",
    "FS NUL": b"\x0b%b\x1c\x00",
    "FS": b"\x0b%b\x1c",
    "LF before": b"\n%b\n",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("closes", [False, True], ids=["stays open", "closes"])
def test_a_badly_framed_answer_that_names_our_message_is_taken(
    form: bytes, closes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Delivered, and told once for the partner, not once for each message."""

    async def story() -> None:
        async def answer(control: str, writer: asyncio.StreamWriter) -> None:
            writer.write(form % ack("AA", control))
            if closes:
                writer.close()

        async with meeting(answer, timeout=5) as (sink, _):
            for control in ("17", "18", "19"):
                assert (await sink.deliver(delivery(control), TRY)).evidence["hl7_control_id"] == control

    with caplog.at_level(logging.WARNING, "router.sinks.hl7"):
        play(story())
    assert [one.__dict__["code"] for one in caplog.records] == ["HL7-FRAMING"]


def test_a_refusal_without_frame_is_a_refusal() -> None:
    """AE is AE, in pieces too."""

    async def story() -> None:
        async def answer(control: str, writer: asyncio.StreamWriter) -> None:
            whole = ack("AE", control, "ERR||PID^1^3|207^x^HL70357|E")
            writer.write(whole[:40])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(whole[40:])

        async with meeting(answer, timeout=5) as (sink, _):
            error = await failure(sink)
            assert isinstance(error, Refused) and error.code == "HL7-AE-207"

    play(story())


def test_a_frame_without_end_is_taken_when_its_time_is_over() -> None:
    """VT, the acknowledgement of our message, and no FS."""

    async def story() -> None:
        async def answer(control: str, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x0b" + ack("AA", control))

        async with meeting(answer, timeout=0.4) as (sink, _):
            assert (await sink.deliver(delivery("5"), TRY)).evidence["hl7_control_id"] == "5"

    play(story())


@pytest.mark.parametrize("control", ["", "other"])
def test_an_unframed_answer_to_another_message_is_not_ours(control: str) -> None:
    """Without a frame and without our control id it is noise: the outcome is unknown."""

    async def story() -> None:
        async def answer(_control: str, writer: asyncio.StreamWriter) -> None:
            writer.write(ack("AA", control))

        async with meeting(answer, timeout=0.3, match_control_id=False) as (sink, _):
            assert isinstance(await failure(sink), OutcomeUnknown)

    play(story())


def test_an_unframed_answer_that_comes_late_is_not_the_next_ones() -> None:
    """The connection of an unframed answer is not kept: what still comes on it can't be told apart."""

    async def story() -> None:
        async def answer(control: str, writer: asyncio.StreamWriter) -> None:
            writer.write(ack("AA", control))

        async with meeting(answer, timeout=3) as (sink, partner):
            await sink.deliver(delivery("1"), TRY)
            await sink.deliver(delivery("2"), TRY)
            assert partner.connections == 2

    play(story())
