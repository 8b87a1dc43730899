"""Which messages that no pipeline takes are dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from router.config.site_models import FeedConfig
from router.contracts import Header, SystemClock
from router.engine.pipeline.compiled import NO_PIPELINE
from router.errors import Refused
from router.exchange import Event, Exchange, Origin, Pseudonyms
from router.feedback.answers import Endpoint, answers
from router.hl7.message import Message
from router.runtime.describe import Unserved
from router.runtime.unmatched import Unmatched
from tests.cisis.messages import oru
from tests.feedback.feedback_samples import HL7, ORIGIN
from tests.sinks.mssante_samples import doctor, order

ENDPOINTS = {"sil": Endpoint(HL7)}

ADT = b"MSH|^~\\&|GAM|CHU|PFI|CHU|20260101||ADT^A01^ADT_A01|1|P|2.5\rPID|||1\r"
ORDER = b"MSH|^~\\&|GAM|CHU|PFI|CHU|20260101||ORM^O01|1|P|2.5\rPID|||1\r"
CDA = b"<ClinicalDocument/>"


@pytest.mark.parametrize(
    ("feed", "body", "lost"),
    [
        ({}, oru(), True),
        ({"unmatched": "ignore"}, oru(), False),
        ({"kind": "adt"}, ADT, False),
        ({"kind": "adt", "unmatched": "dead-letter"}, ADT, True),
        ({"kind": "relay"}, ORDER, False),
        ({"kind": "relay"}, oru(), True),
        ({"kind": "relay", "unmatched": "ignore"}, oru(), False),
        ({"kind": "relay", "unmatched": "dead-letter"}, ORDER, True),
    ],
)
def test_a_document_is_never_left_without_a_word(feed: dict[str, Any], body: bytes, lost: bool) -> None:
    """By default a document is a dead letter, and other messages are not; the feed may say it otherwise."""
    unmatched = Unmatched({"sil": FeedConfig.model_validate(feed)})
    assert unmatched(Event("id", "sil", "k", body, {})) is lost


def test_a_raw_cda_is_a_document_and_an_unknown_feed_loses_nothing() -> None:
    """What is no HL7 is a document itself; a feed that the site file no longer names keeps its events."""
    unmatched = Unmatched({"sil": FeedConfig.model_validate({"kind": "relay"})})
    assert unmatched(Event("id", "sil", "k", CDA, {Header.KIND: "cda"}))
    assert unmatched(Event("id", "gone", "k", ADT, {}))


def test_the_sender_is_told_of_every_destination_that_nobody_serves() -> None:
    """The DMP by a Z01 `N`, each mail by a Z02 `N`: with the code of the dead letter (D5)."""
    asked = order(dmp=True, recipients=(doctor(),))
    event = Event("e" * 32, "sil", "k", b"", {}, Origin("in.sil", 0, 1))
    nobody = Refused(NO_PIPELINE, "sil", "aucun circuit ne prend ce message")
    unserved = Unserved(Pseudonyms(b"test"), SystemClock(), lambda exchange: exchange)
    receipts = unserved(Exchange(event, request=asked.request), [], [], [nobody])
    assert {one.sink for one in receipts} == {"dmp", "mssante"}
    answers_made = [one for receipt in receipts for one in answers(receipt, ENDPOINTS, origin=ORIGIN, now=0.0)]
    messages = [Message.parse(one.payload) for one in answers_made]
    told = {(one.text("MSH-9.2"), one.text("OBX[1]-5"), one.text("ERR-5.1"), one.text("ERR-8")) for one in messages}
    text = "aucun circuit ne prend ce message"
    assert told == {("Z01", "N", "NO-PIPELINE", text), ("Z02", "N", "554", text)}
