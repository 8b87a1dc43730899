"""The gateway's checks, joined to the national profile and the register."""

from __future__ import annotations

import time
from collections.abc import Mapping

from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.contracts import Header
from router.exchange import Pseudonyms
from router.gateway.received import FeedVerdict, Received
from router.request import Identifier
from router.runtime.checks import DocumentsCheck
from router.simulators.sender.maker import Maker

PSEUDONYMS = Pseudonyms(b"k")
HEADERS = {"request-id": "R1", "action": "initial", "dmp": "Y"}


def _check(says: bool, *, trusted: bool = False, headers: Mapping[str, str] | None = None) -> FeedVerdict:
    headers = headers or {}
    maker = Maker(5)
    document = maker.document("biology", maker.patient())
    asked: list[Identifier] = []

    def qualified(number: Identifier) -> bool:
        asked.append(number)
        return says

    rules = ProfileRules(feed="sil", environment="qualification", trust_ins_status=trusted)
    check = DocumentsCheck(rules, ValueSets.load(), PSEUDONYMS, None, qualified)
    received = Received(
        data=document.content, source="http", at=time.time(), kind="cda", headers={**HEADERS, **headers}
    )
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
    checked = _check(False, trusted=True, headers={"ins-status": "VALI"})
    assert checked.faults == () and checked.headers[Header.INS_STATUS] == "VALI"


def test_R46_nobody_else_qualifies_an_identity() -> None:
    """`ins-status: VALI` of any sender is ignored: the register alone can say it, and the operator is warned (D2)."""
    checked = _check(False, headers={"ins-status": "VALI"})
    assert "R46" in [fault.rule for fault in checked.faults]
    assert any("ins-status" in warning for warning in checked.warnings)
    assert _check(True, headers={"ins-status": "VALI"}).headers[Header.INS_STATUS] == "VALI"


def test_R46_a_sender_who_doubts_is_believed() -> None:
    """The register's older VALI does not overrule a request that says the identity is provisional."""
    assert "R46" in [fault.rule for fault in _check(True, headers={"ins-status": "PROV"}).faults]
