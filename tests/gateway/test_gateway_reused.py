"""E13: a control id that comes back with another content."""

from __future__ import annotations

from router.contracts import Record, SystemClock
from router.exchange import Exchange, Pseudonyms
from router.gateway.checks import RelayCheck
from router.gateway.identity import control_id
from router.gateway.received import Feed, Received, ValidatedMessage
from router.gateway.validation import MessageValidator
from router.hl7.message import Message
from router.runtime.describe import Describe
from router.wire import read_event

_MESSAGE = b"MSH|^~\\&|SIL|A|PFI|A|20260105||ADT^A01^ADT_A01|7|P|2.5\rPID|||1^^^A^PI\r"


_PSEUDONYMS = Pseudonyms(b"k")


def _validator(data: bytes) -> MessageValidator:
    seen = {control_id("sil", Message.parse(data)): b"another event"}
    return MessageValidator(SystemClock(), _PSEUDONYMS, lambda _: None, seen.get)


def _validated(data: bytes = _MESSAGE, *, refuse: bool) -> ValidatedMessage:
    feed = Feed(name="sil", check=RelayCheck(_PSEUDONYMS), kind="relay", refuse_reused=refuse)
    return _validator(data).validate(feed, Received(data=data, source="mllp", at=1.0))


def test_E13_is_accepted_with_a_warning_by_default() -> None:
    """The message is processed, and the warning says that its MSH-10 was used before (R13)."""
    validated = _validated(refuse=False)
    assert validated.code == "AA"
    assert any(warning.startswith("R13: ") for warning in validated.verdict.warnings)


def test_E13_is_refused_where_the_site_wants_it() -> None:
    """AE 207 at MSH-10 (`same-control-id-other-content: refuse`)."""
    validated = _validated(refuse=True)
    assert validated.code == "AE"
    assert [fault.rule for fault in validated.verdict.faults] == ["R13"]
    assert b"MSH^1^10" in validated.ack


def test_each_warning_is_one_line_of_the_journal() -> None:
    """Two warnings of the gateway are two warnings in the journal, also after the event was on the bus."""
    data = _MESSAGE.replace(b"|7|", b"|%s|" % (b"7" * 30))
    validated = _validated(data, refuse=False)
    assert [warning[:5] for warning in validated.verdict.warnings] == ["R13: ", "R14: "]
    (sent,) = _validator(data).records(validated)
    event = read_event(Record(sent.topic, 0, 0, sent.key, sent.value, sent.headers))
    assert Describe(_PSEUDONYMS)(event, Exchange(event))["warnings"] == validated.verdict.warnings
