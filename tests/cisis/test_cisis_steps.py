"""The steps parse and validate: the same request from the same bytes, and nothing accepted is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from router.cisis.settings import ProfileRules
from router.cisis.verdict_codec import PROFILE
from router.contracts import Header
from router.errors import Invalid, Malformed, OperatorFault
from router.exchange import Event, Exchange
from router.payload import pack_request
from router.steps.parse import Parse, ParseStep
from router.steps.validate import Validate, ValidateStep
from tests.cisis.messages import CODES, DOCTOR, PATIENT, cda, check, deletion, edit, oru, schema_gate

CHECKED = {Header.CHECKED: PROFILE}


def parse(
    body: bytes, headers: dict[str, str] | None = None, config: ParseStep | None = None, **options: Any
) -> Exchange:
    rules = ProfileRules(**{"feed": "sil", "environment": "qualification", **options})
    step = Parse({"sil": rules, "adt": rules}, CODES, documents=frozenset({"sil"}), config=config)
    return step(Exchange(Event("1", "sil", "k", body, CHECKED if headers is None else headers)))


def test_parse_makes_the_request_of_the_gateway() -> None:
    """Message, documents and request, the warnings as lines of the story."""
    exchange = parse(oru(), feed="sil")
    verdict = check(oru(), feed="sil")
    assert exchange.request == verdict.request
    assert exchange.message.control_id == "015" and exchange.documents[0].raw == cda()
    assert {one.code for one in exchange.decisions} == {one.rule for one in verdict.warnings}


def test_parse_keeps_what_was_accepted_under_other_options() -> None:
    """An option that changed since makes a line of the story, or a dead letter when the pipeline says so."""
    exchange = parse(oru(), structures=["750100125"])
    assert exchange.request is not None
    assert "R65" in {one.code for one in exchange.decisions}
    with pytest.raises(Invalid, match="R65"):
        parse(oru(), config=ParseStep(changed_options="refuse"), structures=["750100125"])


def test_parse_refuses_what_nobody_checked() -> None:
    """Without the gateway's mark a fault is a fault."""
    with pytest.raises(Invalid) as fault:
        parse(edit(oru(), {"MSH-11": "Z"}), headers={})
    assert (fault.value.code, fault.value.place) == ("R06", "MSH^1^11")


def test_parse_refuses_what_gives_no_request() -> None:
    """Whatever the mark says, a message without readable document can't go on."""
    with pytest.raises(Invalid, match="R35"):
        parse(oru(b"nothing"))
    with pytest.raises(Malformed):
        parse(b"nothing")


def test_parse_reads_a_raw_cda_event() -> None:
    """The request stands in the event's body, before the document."""
    asked = {"request-id": "r1", "mssante-ps": DOCTOR, "ins-status": "VALI"}
    exchange = parse(pack_request(asked, cda()), {**CHECKED, Header.KIND: "cda"})
    assert exchange.message is None and exchange.request is not None
    assert exchange.request.control_id == "r1" and exchange.documents[0].raw == cda()


def test_parse_only_reads_the_messages_of_other_feeds() -> None:
    """A relayed or ADT message has no request."""
    rules = {"adt": ProfileRules()}
    step = Parse(rules, CODES, documents=frozenset())
    exchange = step(Exchange(Event("1", "adt", "k", edit(oru(), {"MSH-9": "ADT^A01"}))))
    assert exchange.request is None and exchange.message.event == "A01"


@pytest.mark.parametrize("mode", ["warn", "error"])
def test_validate_applies_the_schema_as_told(mode: Literal["warn", "error"], tmp_path: Path) -> None:
    """Off, a line of the story, or a refusal, whatever the gate's mode; a deletion is never refused (D1)."""
    exchange, gate = parse(oru()), schema_gate(tmp_path, mode)
    assert Validate(ValidateStep(), gate)(exchange) == exchange
    noted = Validate(ValidateStep.model_validate({"schema": "warn"}), gate)(exchange)
    assert noted.decisions[-1].code == "R36"
    with pytest.raises(Invalid, match="R36"):
        Validate(ValidateStep.model_validate({"schema": "error"}), gate)(exchange)
    strict = Validate(ValidateStep.model_validate({"schema": "error"}), gate)
    assert strict(parse(deletion())).decisions[-1].code == "R36"
    with pytest.raises(OperatorFault):
        Validate(ValidateStep.model_validate({"schema": "warn"}), None)


def test_validate_refuses_the_warnings_the_pipeline_names() -> None:
    """It narrows: a warning of the gateway may be a fault here."""
    exchange = parse(edit(oru(), {"PRT[3]-15.4": f"1{PATIENT}"}))
    with pytest.raises(Invalid, match="R86"):
        Validate(ValidateStep(refuse=("R86",)))(exchange)
    assert Validate(ValidateStep(refuse=("R90",)))(exchange) == exchange
    with pytest.raises(ValueError, match="no such rule"):
        ValidateStep(refuse=("R96",))
