"""What a sender is told is what the rule table says, whoever finds the fault: profile, reader of HL7, reader of CDA."""

from __future__ import annotations

import re
import string

import pytest

from router.cisis import findings
from router.cisis.rule import Case
from router.cisis.rules import TABLE
from router.contracts import SystemClock
from router.exchange import Pseudonyms
from router.gateway.checks import RelayCheck
from router.gateway.received import Feed, Received
from router.gateway.validation import MessageValidator
from router.hl7.ack import Err, parse_ack
from tests.cisis.messages import b64, cda, check, edit, oru

DEEP = b"<ClinicalDocument xmlns='urn:hl7-org:v3'>" + b"<a>" * 5000

#: Everything the readers refuse: (rule, message).
UNREADABLE = {
    "no MSH": ("R01", b"PID|1\r"),
    "short MSH": ("R01", b"MSH|^~\\&|A|B\r"),
    "separators": ("R01", oru().replace(b"^~\\&", b"^^\\&", 1)),
    "framing inside": ("R01", oru().replace(b"CHU X", b"CHU\x1cX", 1)),
    "too many lines": ("R01", oru() + b"ZZZ|1\r" * 100_001),
    "too many segments": ("R01", oru() + b"ZZZ|1\r" * 10_001),
    "long segment": ("R01", oru().replace(b"PV1|1", b"PV1|1" + b"|" * 70_000)),
    "many repetitions": ("R01", edit(oru(), {"PID-3": "A~" * 1001})),
    "line cut": ("R01", oru() + b"QUJDREVG\r"),
    "batch": ("R02", b"FHS|^~\\&|A\r" + oru()),
    "charset": ("R10", oru().replace(b"UNICODE UTF-8", b"KOI8")),
    "bytes": ("R10", oru().replace(b"Eric", b"\xc9ric")),
    "separator bytes": ("R10", oru().replace(b"^~\\&", b"^\xcb\\&", 1)),
    "two messages": ("R24", oru() + oru()),
    "foreign base64": ("R34", edit(oru(), {"OBX[1]-5.5": "QUJ-_DRE"})),
    "nothing decoded": ("R34", edit(oru(), {"OBX[1]-5.5": "===="})),
    "truncated": ("R34", edit(oru(), {"OBX[1]-5.5": "QUJDR"})),
    "several documents": ("R34", edit(oru(), {"OBX[1]-5.5": "QUJD~^TEXT^XML^Base64^QUJD"})),
    "not xml": ("R35", oru(b"Document")),
    "ill-formed": ("R35", oru(b"<a>")),
    "too deep": ("R35", oru(DEEP)),
    "prefix": ("R35", oru(b"<x:a/>")),
    "doctype": ("R35", oru(cda(head="<!DOCTYPE a>"))),
    "root": ("R35", oru(b"<a/>")),
    "header": ("R35", oru(cda().replace(b"<title>", b"<author/>" * 120_000 + b"<title>"))),
    "encoding": ("R35", oru(cda(head='<?xml version="1.0" encoding="UTF-16"?>'))),
}

#: Those that the gateway meets before it asks a profile.
BEFORE_THE_PROFILE = [
    *("no MSH", "short MSH", "separators", "framing inside", "too many lines", "line cut", "batch"),
    *("charset", "bytes", "separator bytes", "two messages"),
]


def told_by(case: Case, err: Err) -> bool:
    """Whether this ERR segment is that case's answer; `{name}` of the table stands for any text."""

    def fits(written: str, text: str) -> bool:
        parts = (re.escape(before) + (".*" if name else "") for before, name, _, _ in string.Formatter().parse(written))
        return re.fullmatch("".join(parts), text) is not None

    detail = err.application[0] if err.application else ""
    same = (case.error, case.detail) == (err.code, detail)
    return same and fits(case.location, err.location) and fits(case.sentence, err.text)


def assert_in_the_table(rule: str, err: Err) -> None:
    assert any(told_by(case, err) for case in TABLE[rule].cases), (rule, err)


def validate() -> tuple[MessageValidator, Feed]:
    pseudonyms = Pseudonyms(b"k")
    made = MessageValidator(SystemClock(), pseudonyms, lambda _: None, lambda _: None)
    return made, Feed(name="sil", check=RelayCheck(pseudonyms), kind="relay")


@pytest.mark.parametrize(("rule", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_answered_from_the_table(rule: str, message: bytes) -> None:
    """R01, R02, R10, R24, R34, R35: code, place, detail and sentence of the reader are a case of the table."""
    faults = check(message).faults
    assert [one.rule for one in faults] == [rule]
    assert_in_the_table(rule, faults[0].err)


@pytest.mark.parametrize(
    ("rule", "message"),
    [UNREADABLE[name] for name in BEFORE_THE_PROFILE],
    ids=BEFORE_THE_PROFILE,
)
def test_the_gateway_answers_what_it_cannot_read_from_the_table(rule: str, message: bytes) -> None:
    """The ACK that leaves holds the table's own words, before any profile is applied."""
    made, feed = validate()
    errors = parse_ack(made.validate(feed, Received(data=message, source="mllp", at=1.0)).ack).errors
    assert len(errors) == 1
    assert_in_the_table(rule, errors[0])


def test_an_outage_and_a_message_too_large_are_answered_from_the_table() -> None:
    """R99 (AR) and R35 (AE) of the gateway say what the table says."""
    made, feed = validate()
    judged = made.validate(feed, Received(data=oru(), source="mllp", at=1.0))
    assert [one.text for one in parse_ack(made.outage(judged)).errors] == [findings.outage().text]
    large = made.oversize(feed, Received(data=oru()[:4096], source="mllp", at=1.0), 32768)
    assert_in_the_table("R35", parse_ack(large.ack).errors[0])
    assert "32768" in parse_ack(large.ack).errors[0].text


def test_base64_of_a_document_is_never_in_an_answer() -> None:
    """The texts of the readers carry places and sizes, never what they could not read."""
    made, feed = validate()
    text = b64(cda())
    answer = made.validate(feed, Received(data=oru() + text[:76].encode() + b"\r", source="mllp", at=1.0)).ack
    assert text[:20].encode() not in answer
