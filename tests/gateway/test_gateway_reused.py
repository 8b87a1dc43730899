"""E13: a control id that comes back with another content."""

from __future__ import annotations

from router.contracts import SystemClock
from router.exchange import Pseudonyms
from router.gateway.checks import RelayCheck
from router.gateway.identity import control_id
from router.gateway.received import Feed, Received, ValidatedMessage
from router.gateway.validation import MessageValidator
from router.hl7.message import Message

_MESSAGE = b"MSH|^~\\&|SIL|A|PFI|A|20260105||ADT^A01^ADT_A01|7|P|2.5\rPID|||1^^^A^PI\r"


def _validated(*, refuse: bool) -> ValidatedMessage:
    pseudonyms = Pseudonyms(b"k")
    seen = {control_id("sil", Message.parse(_MESSAGE)): b"another event"}
    validate = MessageValidator(SystemClock(), pseudonyms, lambda _: None, seen.get)
    feed = Feed(name="sil", check=RelayCheck(pseudonyms), kind="relay", refuse_reused=refuse)
    return validate.validate(feed, Received(data=_MESSAGE, source="mllp", at=1.0))


def test_E13_is_accepted_with_a_warning_by_default() -> None:
    """The message is processed, and the warning says that its MSH-10 was used before (R13)."""
    validated = _validated(refuse=False)
    assert validated.code == "AA"
    assert any(warning.startswith("R13: ") for warning in validated.checked.warnings)


def test_E13_is_refused_where_the_site_wants_it() -> None:
    """AE 207 at MSH-10 (`same-control-id-other-content: refuse`)."""
    validated = _validated(refuse=True)
    assert validated.code == "AE"
    assert [fault.rule for fault in validated.checked.faults] == ["R13"]
    assert b"MSH^1^10" in validated.ack
