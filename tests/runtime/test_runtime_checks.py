"""The gateway's checks, joined to the national profile and the register."""

from __future__ import annotations

from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.contracts import Header, SystemClock
from router.exchange import Pseudonyms
from router.gateway.received import Feed, FeedVerdict, Received
from router.gateway.validation import MessageValidator
from router.request import Identifier
from router.runtime.checks import DocumentsCheck
from router.simulators.sender.maker import Maker
from tests.cisis.messages import b64, cda, oru

PSEUDONYMS = Pseudonyms(b"k")
HEADERS = {"request-id": "R1", "action": "initial", "dmp": "Y"}


def _check(says: bool, *, trusted: bool = False, **headers: str) -> FeedVerdict:
    maker = Maker(5)
    document = maker.document("biology", maker.patient())
    asked: list[Identifier] = []

    def qualified(number: Identifier) -> bool:
        asked.append(number)
        return says

    rules = ProfileRules(feed="sil", environment="qualification", trust_ins_status=trusted)
    check = DocumentsCheck(rules, ValueSets.load(), PSEUDONYMS, None, qualified)
    received = Received(data=document.content, source="http", at=1.0, kind="cda", headers={**HEADERS, **headers})
    verdict = check(received, None)
    believed = headers.get("ins-status", "VALI") != "VALI" or (trusted and "ins-status" in headers)
    assert len(asked) == (0 if believed else 1)
    return verdict


def test_R46_the_registers_vali_qualifies_a_raw_cda() -> None:
    """A raw CDA without `ins-status` is qualified when the register says VALI, and the event remembers it (D2)."""
    verdict = _check(True)
    assert verdict.faults == ()
    assert verdict.headers[Header.INS_STATUS] == "VALI"


def test_R46_without_the_register_a_raw_cda_is_not_qualified() -> None:
    """Nobody says VALI: its INS leaves by no road."""
    assert "R46" in [fault.rule for fault in _check(False).faults]


def test_a_trusted_senders_own_word_is_enough() -> None:
    """With `ins-status: VALI` nobody is asked, where the site says `trust-ins-status` of the feed."""
    verdict = _check(False, trusted=True, **{"ins-status": "VALI"})
    assert verdict.faults == () and verdict.headers[Header.INS_STATUS] == "VALI"


def test_R46_nobody_else_qualifies_an_identity() -> None:
    """`ins-status: VALI` of any sender is ignored: the register alone can say it, and the operator is warned (D2)."""
    verdict = _check(False, **{"ins-status": "VALI"})
    assert "R46" in [fault.rule for fault in verdict.faults]
    assert any("ins-status" in warning for warning in verdict.warnings)
    assert _check(True, **{"ins-status": "VALI"}).headers[Header.INS_STATUS] == "VALI"


def test_R46_a_sender_who_doubts_is_believed() -> None:
    """The register's older VALI does not overrule a request that says the identity is provisional."""
    assert "R46" in [fault.rule for fault in _check(True, **{"ins-status": "PROV"}).faults]


def test_E03_the_sender_and_the_journal_learn_that_lines_were_joined() -> None:
    """A feed that joins base64 lines accepts the message with the warning R01, as any other listener's warning."""
    rules = ProfileRules(feed="sil", environment="qualification", rejoin_base64=True)
    check = DocumentsCheck(rules, ValueSets.load(), PSEUDONYMS)
    validator = MessageValidator(SystemClock(), PSEUDONYMS, lambda _: None, lambda _: None)
    text = b64(cda())
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    for data, expected in ((oru(), False), (oru().replace(text.encode(), lines.encode()), True)):
        feed = Feed(name="sil", check=check, rejoin=True)
        validated = validator.validate(feed, Received(data=data, source="mllp", at=1.0))
        assert validated.code == "AA"
        assert any(warning.startswith("R01: ") for warning in validated.verdict.warnings) is expected
