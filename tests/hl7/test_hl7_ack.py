"""Acknowledgements: the exact layout of the volet, whatever the sender wrote; a partner's answer read back."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Malformed
from router.hl7 import ack
from router.hl7.ack import Err
from router.hl7.message import Message

NOW = datetime(2026, 11, 23, 5, 30)
MSH = (
    "MSH|^~\\&|RIS-Y|Organisation-Y|PFI-Y|Organisation-Y|202106060931||MDM^T04^MDM_T02|015|P|2.6|||||FRA|UNICODE UTF-8"
)


def answer(msh: str, code: ack.Code = "AA", *errors: Err, codec: str = "utf-8") -> list[str]:
    received = Message.parse((msh + "\r").encode(codec))
    return ack.build(code, received, errors, now=NOW, control_id="8f3c2a10").decode(codec).split("\r")


def test_the_layout_of_the_volet() -> None:
    """The segments and fields of hl7-input §4.1, byte for byte."""
    error = Err("207", "PID^1^3", application=ack.application("904"), text="INS du PID-3 différent de celui du CDA")
    assert answer(MSH, "AE", error) == [
        "MSH|^~\\&|PFI-Y|Organisation-Y|RIS-Y|Organisation-Y|20261123053000||ACK^T04^ACK|8f3c2a10|P|2.6|||||"
        "FRA|UNICODE UTF-8",
        "MSA|AE|015",
        "ERR||PID^1^3|207^Application error^messageErrorCondition|E|904^L'INS transmis ne correspond pas exactement à "
        "celui stocké dans la base du consommateur^applicationErrorCondition|||INS du PID-3 différent de celui du CDA",
        "",
    ]


def test_an_acceptance_has_two_segments() -> None:
    """AA: MSH and MSA, without MSH-21."""
    assert answer(MSH)[1:] == ["MSA|AA|015", ""]


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("ORU^R01^ORU_R01", "2.5", ("ACK^R01^ACK", "2.5")),
        ("ORU^R01", "2.5.1", ("ACK^R01^ACK", "2.5")),
        ("ADT^A01^ADT_A01", "2.5^FRA^2.11", ("ACK^A01^ACK", "2.5")),
        ("ADT^A01", "2.3.1", ("ACK^A01^ACK", "2.3.1")),
        ("ADT^A01", "9.9", ("ACK^A01^ACK", "2.5")),
        ("ZAM^Z01^ZAM_Z01", "2.6", ("ACK^Z01^ACK", "2.6")),
        ("ACK", "2.5", ("ACK", "2.5")),
    ],
)
def test_event_and_version(kind: str, version: str, expected: tuple[str, str]) -> None:
    """MSH-9 copies the event; MSH-12 is the profile's, else the sender's when HL7 knows it, else 2.5."""
    fields = answer(MSH.replace("MDM^T04^MDM_T02", kind).replace("|2.6|", f"|{version}|"))[0].split("|")
    assert (fields[8], fields[11]) == expected


def test_E09_the_answer_is_in_the_sender_s_charset() -> None:
    """8859/15 in, 8859/15 out, the typographic apostrophe of a label included."""
    error = Err("207", application=ack.application("905"), text="œuvre")
    lines = answer(MSH.replace("UNICODE UTF-8", "8859/15").replace("PFI-Y", "Pôle€"), "AE", error, codec="iso8859-15")
    assert lines[0].startswith("MSH|^~\\&|Pôle€|") and lines[0].endswith("|FRA|8859/15")
    assert "L'INS transmis n'est pas complet" in lines[2] and lines[2].endswith("œuvre")


def test_E42_the_answer_uses_the_usual_separators() -> None:
    """Declared separators are read, ours are written, and what looks like one of ours is escaped."""
    lines = answer("MSH|$%*@|A^B$1.2@x$ISO|C|D|E|20260101||ORU$R01$ORU_R01|a&b|P|2.5|||||FRA|UNICODE UTF-8")
    assert lines[0].startswith("MSH|^~\\&|D|E|A\\S\\B^1.2&x^ISO|C|") and lines[1] == "MSA|AA|a\\T\\b"


def test_E43_nothing_breaks_out_of_the_answer() -> None:
    """Separators hidden in escapes of the header come back escaped."""
    lines = answer(MSH.replace("|015|", "|0\\F\\1\\X0D\\ERR\\F\\5|").replace("RIS-Y", "R\\F\\S"))
    assert len(lines) == 3 and lines[1] == "MSA|AA|0\\F\\1\\X0D\\ERR\\F\\5" and "|R\\F\\S|" in lines[0]


def test_E44_an_unreadable_message_has_an_empty_msa_2() -> None:
    """Without a readable MSH: ACK, 2.5, MSA-2 empty."""
    lines = ack.build("AE", None, [Err("100")], now=NOW, control_id="1").decode().split("\r")
    assert lines[0] == "MSH|^~\\&|||||20261123053000||ACK|1|P|2.5|||||FRA|UNICODE UTF-8"
    assert lines[1:] == ["MSA|AE", "ERR|||100^Segment sequence error^messageErrorCondition|E", ""]


def test_at_most_twenty_errors() -> None:
    """Every fault is told, within reason."""
    assert len(answer(MSH, "AE", *[Err("101", f"OBX^{n}") for n in range(50)])) == 2 + 20 + 1


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\xa0\u202f ")).filter(
    lambda t: t != '""'
)


@given(texts, texts.filter(bool))
def test_an_answer_is_read_back(text: str, label: str) -> None:
    """What `build` writes, `parse_ack` reads."""
    error = Err("102", "OBX^1^5^1^5", "W", ("906", label, "applicationErrorCondition"), text)
    received = Message.parse((MSH + "\r").encode())
    data = ack.build("AE", received, [error, Err("100")], now=NOW, control_id="1")
    assert ack.parse_ack(data) == ack.Ack("AE", "015", (error, Err("100")))


def test_loose_answers_of_partners() -> None:
    """LF ends, short MSH, lower case, an old ERR-1: read all the same; no MSA is a fault."""
    loose = ack.parse_ack(b"MSH|^~\\&|X\nMSA|ae|7|refus\nERR|PID^1^3^101&missing\n")
    assert (loose.code, loose.control_id, loose.text, loose.errors) == ("AE", "7", "refus", (Err("101", "PID"),))
    for nothing in (b"", b"hello", b"MSH|^~\\&|X\r"):
        with pytest.raises(Malformed):
            ack.parse_ack(nothing)
