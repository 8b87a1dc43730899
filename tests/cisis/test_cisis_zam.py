"""Business acknowledgements: the layouts of the volet, per generation, and the codes they may bear."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from router.cisis import smtp_codes, zam
from router.cisis.zam import Kind, ReplyTo
from router.hl7.message import Message
from router.request import Dialect
from tests.cisis.messages import DOCTOR
from tests.examples import example

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
EVENT = datetime(2021, 10, 5, 15, 29, 8, tzinfo=UTC)
SENDER = ReplyTo("015", sending=("SIL-Y", "labo"), receiving=("PFI-X", "Organisation-X"))
REFUSED = ("DMPClosed", "DMP fermé", zam.DMP_ERRORS)


def build(kind: str, positive: bool, reply: ReplyTo = SENDER, **more: Any) -> Message:
    made = zam.build(kind, positive, reply=reply, event_date=EVENT, now=NOW, control_id="017", **more)
    return Message.parse(made)


def rows(message: Message) -> list[list[str]]:
    """Every segment as its fields, the date and the id of the message left out."""
    found = [bytes(segment.raw("1")).decode() for segment in message.segments() if segment.name != "MSH"]
    text = message.to_bytes().replace(b"\r", b"\n").decode(message.codec).split("\n")
    table = [line.rstrip("|").split("|") for line in text if line]
    table[0][6] = table[0][9] = ""
    assert len(found) == len(table) - 1
    return table


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("ack/zam-reception-mss.hl7", Kind.RECEPTION, {"recipient": ("801234567897", DOCTOR)}),
        ("ack/zam-lecture-mss.hl7", Kind.READING, {"recipient": ("801234567897", DOCTOR)}),
    ],
)
def test_a_positive_answer_has_the_layout_of_the_samples(name: str, kind: Kind, more: dict[str, Any]) -> None:
    """Field by field what the national samples hold, but for date and id."""
    assert rows(build(kind, True, **more)) == rows(Message.parse(example(name)))


def test_a_refusal_of_the_dmp_has_the_layout_of_the_sample() -> None:
    """The profile's spelling of two labels replaces the sample's (hl7-input §4.2)."""
    golden = rows(Message.parse(example("ack/zam-reception-dmp.hl7")))
    golden[-1][3] = golden[-1][3].replace("Application internal error", "Application error")
    golden[-1][5] = golden[-1][5].replace("DMPERRORCODE", "DMP_ERROR_CODE")
    assert rows(build(Kind.DMP, False, error=REFUSED)) == golden


def test_2_0_is_answered_in_its_own_coding_systems() -> None:
    """MSH-21, OBX-5.3 and ERR-3.3 are those of the sender's generation."""
    old = ReplyTo("015", dialect=Dialect.V2_0)
    made = build("Z01", False, old, error=REFUSED)
    assert made.text("MSH-21.1") == "2.0"
    assert (made.text("OBX-5.3"), made.text("ERR-3.3")) == ("HL70136", "HL70357")
    new = build("Z01", False, error=REFUSED)
    assert (new.text("OBX-5.3"), new.text("ERR-3.3")) == ("expandedYes-NoIndicator", "messageErrorCondition")


def test_1_2_knows_no_business_acknowledgement() -> None:
    """None is ever made for it; a raw CDA's sender is answered as 2.1."""
    assert not zam.known_to(Dialect.V1_2) and zam.known_to(Dialect.CDA)
    with pytest.raises(ValueError, match="no business acknowledgement"):
        build("Z01", True, ReplyTo("015", dialect=Dialect.V1_2))


def test_the_second_obx_and_the_error_are_there_exactly_when_wanted() -> None:
    """Z01 has no recipient; ERR comes with N only; what lacks is a mistake of the caller's."""
    assert len(build("Z01", True).segments("OBX")) == 1
    assert "ERR" not in build("Z02", True, recipient=("", DOCTOR))
    assert len(build("Z02", True, recipient=("", DOCTOR)).segments("OBX")) == 2
    with pytest.raises(ValueError, match="recipient"):
        build("Z02", True)
    with pytest.raises(ValueError, match="says why"):
        build("Z01", False)


def test_it_is_written_in_the_sender_s_character_set() -> None:
    """MSH-18 is echoed and obeyed."""
    made = zam.build("Z01", True, reply=ReplyTo("015", charset="8859/15"), event_date=EVENT, now=NOW, control_id="1")
    assert "Accusé".encode("iso8859-15") in made and Message.parse(made).text("MSH-18") == "8859/15"


def test_the_text_for_a_person_stands_in_err_8() -> None:
    """ERR-8, escaped."""
    assert build("Z01", False, error=REFUSED, text="a|b").text("ERR-8") == "a|b"


@pytest.mark.parametrize(
    ("reply", "enhanced", "code"),
    [
        ("550", "", "550"),
        ("", "5.1.1", "550"),
        ("", "5.1.2", "512"),
        ("", "4.2.2", "422"),
        ("", "5.2.2", "552"),
        ("", "5.3.4", "523"),
        ("", "5.7.1", "541"),
        ("", "4.4.7", "441"),
        ("458", "", "451"),
        ("571", "5.9.9", "554"),
        ("", "", "554"),
    ],
)
def test_a_real_reply_code_becomes_one_of_the_table(reply: str, enhanced: str, code: str) -> None:
    """A code outside SMTPERRORCODE takes its family's."""
    assert smtp_codes.error(reply, enhanced) == (code, smtp_codes.LABELS[code], "SMTPERRORCODE")
