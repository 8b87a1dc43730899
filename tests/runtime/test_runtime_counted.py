"""Documents are counted by type, each once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from router.cisis import profile
from router.cisis.settings import ProfileRules
from router.cisis.valuesets import ValueSets
from router.contracts import Header, Unobserved
from router.exchange import Event, Exchange, Pseudonyms
from router.hl7.message import Message
from router.runtime.counted import Counted
from router.runtime.describe import Describe

SAMPLES = Path(__file__).resolve().parents[2] / "pipelines" / "samples"


class Seen(Unobserved):
    """An observer that keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[dict[str, str]] = []

    def count(self, measure: str, amount: float = 1, **labels: str) -> None:
        assert measure == "documents_total"
        self.counted.append(labels)


@pytest.fixture
def exchange() -> Exchange:
    """A biology report as the pipelines have read it."""
    data = (SAMPLES / "biologie-ok.hl7").read_bytes()
    rules = ProfileRules(
        environment="qualification",
        structures=("750100125",),
        autorites={"HOPITAL-A&1.2.250.1.213.1.4.99.1&ISO": "1.2.3"},
    )
    verdict = profile.check(Message.parse(data), rules, ValueSets.load())
    assert verdict.request is not None, verdict.faults
    event = Event(id="1" * 32, feed="sil", body=data, key="k", headers={})
    return replace(Exchange(event), request=verdict.request)


def test_a_document_is_counted_by_its_type(exchange: Exchange) -> None:
    """Feed, LOINC type and action; an order to decide again brings no new document, a message without one neither."""
    seen = Seen()
    counted = Counted(Describe(Pseudonyms(b"k" * 32)), seen)
    assert counted(exchange.event, exchange)["feed"] == "sil"
    assert seen.counted == [{"feed": "sil", "type": "11502-2", "action": "initial"}]
    again = replace(exchange.event, headers={Header.COMMAND: "DECIDE-AGAIN"})
    counted(again, replace(exchange, event=again))
    counted(exchange.event, Exchange(exchange.event))
    assert len(seen.counted) == 1
