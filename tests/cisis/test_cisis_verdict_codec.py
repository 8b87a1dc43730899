"""The gateway's verdict travels with the event, and counts only where it would be reached again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.cisis import profile
from router.cisis.findings import Verdict
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import Concept, ValueSet, ValueSets
from router.cisis.verdict_codec import PROFILE, VerdictCodec
from router.contracts import Header, Record
from router.exchange import Event, Exchange
from router.payload import pack_request
from router.steps.parse import Parse
from router.wire import event_record, read_event
from tests.cisis.messages import DOCTOR, cda, check_bytes, oru, pair

RULES = ProfileRules(feed="sil", environment="qualification")
SETS = ValueSets.load()
HEADERS = {Header.CHECKED: PROFILE}


def verdict(data: bytes) -> Verdict:
    found = check_bytes(data, RULES, SETS)
    assert not found.faults
    return found


def decided(event: Event, rules: ProfileRules = RULES, sets: ValueSets = SETS, *, carry: bool = True) -> Exchange:
    """What the pipelines make of the event, read from the bus; without `carry`, from its bytes alone."""
    sent = event_record(event)
    read = read_event(Record(sent.topic, 0, 7, sent.key, sent.value, sent.headers, 0.0))
    codecs = {"sil": VerdictCodec(rules, sets)} if carry else {}
    return Parse({"sil": rules}, sets, documents=frozenset({"sil"}), codecs=codecs)(Exchange(read))


def event(data: bytes, carried: bytes, **headers: str) -> Event:
    return Event("1", "sil", "k", data, HEADERS | headers, verdict=carried)


@pytest.fixture
def nothing_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*_: Any, **__: Any) -> Verdict:
        raise AssertionError("the profile ran again")

    monkeypatch.setattr(profile, "check", again)
    monkeypatch.setattr(profile, "check_cda", again)


@pytest.mark.parametrize("data", [oru(), pair()], ids=["one", "pair"])
def test_the_pipelines_have_what_the_gateway_reached(data: bytes) -> None:
    """The same request, documents and story as from the bytes."""
    carried = VerdictCodec(RULES, SETS).pack(verdict(data))
    one, other = decided(event(data, carried)), decided(event(data, carried), carry=False)
    assert one.request == other.request is not None
    assert [(d.header, d.raw) for d in one.documents] == [(d.header, d.raw) for d in other.documents]
    assert one.decisions == other.decisions
    assert one.event.body == data


@pytest.mark.usefixtures("nothing_checked_again")
def test_the_profile_runs_once() -> None:
    carried = VerdictCodec(RULES, SETS).pack(verdict(oru()))
    assert decided(event(oru(), carried)).request is not None
    with pytest.raises(AssertionError, match="ran again"):
        decided(event(oru(), b""))


def test_a_raw_cda_too() -> None:
    asked = {"request-id": "r1", "mssante-ps": DOCTOR, "ins-status": "VALI"}
    found = profile.check_cda(cda(), asked, RULES, SETS)
    carried = VerdictCodec(RULES, SETS).pack(found)
    exchange = decided(event(pack_request(asked, cda()), carried, **{Header.KIND: "cda"}))
    assert exchange.request == found.request and exchange.documents[0].raw == cda()


@pytest.mark.parametrize(
    ("rules", "sets"),
    [
        (RULES.model_copy(update={"r90": "hold"}), SETS),
        (RULES, ValueSets({**SETS.sets, "JDV_J07": ValueSet("JDV_J07", concepts=(Concept("1", "2", "3"),))})),
    ],
    ids=["options", "value sets"],
)
def test_a_verdict_reached_otherwise_does_not_count(rules: ProfileRules, sets: ValueSets) -> None:
    carried = VerdictCodec(RULES, SETS).pack(verdict(oru()))
    marked = carried.replace(b'"control_id":"015"', b'"control_id":"999"')
    assert marked != carried
    trusted, read = decided(event(oru(), marked)), decided(event(oru(), marked), rules, sets)
    assert trusted.request is not None and trusted.request.control_id == "999"
    assert read.request is not None and read.request.control_id == "015"


@pytest.mark.parametrize("carried", [b"{}", b"\xff", b'{"mark":1}'])
def test_what_is_no_verdict_is_passed_over(carried: bytes) -> None:
    assert decided(event(oru(), carried)).request is not None


def test_a_verdict_of_other_documents_does_not_count() -> None:
    """A size that differs: the bytes win."""
    carried = VerdictCodec(RULES, SETS).pack(verdict(oru()))
    longer = oru(cda().replace(b"<title>", b"<title>X"))
    exchange = decided(event(longer, carried))
    assert exchange.documents[0].header.size == len(exchange.documents[0].raw) == len(cda()) + 1


def test_an_event_decided_again_is_read_from_its_bytes() -> None:
    """What a person sends through again goes by today's router, whatever was found then."""
    carried = VerdictCodec(RULES, SETS).pack(verdict(oru())).replace(b'"control_id":"015"', b'"control_id":"999"')
    exchange = decided(event(oru(), carried, **{Header.COMMAND: "replay"}))
    assert exchange.request is not None and exchange.request.control_id == "015"


def test_only_what_was_accepted_travels() -> None:
    with pytest.raises(ValueError, match="accepted"):
        VerdictCodec(RULES, SETS).pack(replace(verdict(oru()), request=None))


@pytest.mark.parametrize("length", ["-1", "1000000", "x"])
def test_a_length_that_can_not_be_is_refused(length: str) -> None:
    """As any record of ours whose headers are broken."""
    sent = event_record(event(oru(), b"{}"))
    headers = {**sent.headers, Header.VERDICT: length}
    with pytest.raises(ValueError):
        read_event(Record(sent.topic, 0, 7, sent.key, sent.value, headers, 0.0))
