"""Those who keep a version that a message replaced or deleted without naming them (decisions D19)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from router.contracts import Header, Row, SystemClock, Unobserved, out_topic
from router.exchange import Delivery, Disposition, Event, Exchange, Origin, Pseudonyms, Routed, State
from router.feedback.answers import Endpoint, answers, untold
from router.payload import NOTICE, unpack
from router.request import Action
from router.runtime.earlier_recipients import EarlierRecipients
from router.runtime.withdraw import Withdrawals
from router.sinks.mssante.settings import AWAITS, KEEPS, MssanteConfig
from router.wire import delivery_record
from tests.cda.cda_samples import cda
from tests.engine.memory import MemoryBus, MemoryLedger
from tests.feedback.feedback_samples import HL7
from tests.sinks.mssante_samples import delivery, destination_of, doctor, order, patient_recipient

SINK = "mssante.chu"
PSEUDONYMS = Pseudonyms(b"test")
OTHER = "eve.autre@test-ci-sis.mssante.fr"
NOW = 1_795_000_000.0


class Past:
    """A bus and a ledger with what was sent before, and who is asked about it."""

    def __init__(self, mode: str = "lister") -> None:
        self.bus, self.ledger = MemoryBus(), MemoryLedger()
        config = MssanteConfig.model_validate({"host": "h", "mode": "plain", "anciens_destinataires": mode})
        self.earlier = EarlierRecipients(self.bus, self.ledger, {SINK: config}, PSEUDONYMS, SystemClock(), Unobserved())

    def sent(
        self,
        number: int,
        *,
        state: State = State.DONE,
        kept: bool = True,
        opened: bool = True,
        unknown: bool = False,
        **changes: Any,
    ) -> Delivery:
        """A delivery of the family, made before; its bytes are on the bus when `kept`."""
        recipient = changes.pop("recipient", doctor())
        given = order((cda(),), recipient=recipient, body_professionals="Cher confrère", ack_reception=True)
        facts = {"lineage": "family", "document": f"doc-{number}", "label": recipient.address or "patient"}
        if recipient.address.endswith("@patient.mssante.fr"):
            facts["label"] = "patient"
        made = delivery(
            given, (cda(),), **facts | {"event_id": f"{number:064d}", "created": NOW + number, "sink": SINK} | changes
        )
        at = Origin(out_topic(SINK), 0, 999)
        if kept:
            self.bus.producer("test").publish([delivery_record(made)])
            at = list(self.bus.scan(out_topic(SINK)))[-1].origin
        if not opened:
            return made
        row = Row(
            delivery=replace(made, payload=b""), partition=at.partition, sequence=number, bytes_at=at, state=state,
            outcome_unknown=unknown,
        )  # fmt: skip
        self.ledger.open([row])
        return made

    def ask(self, action: Action, *named: str, speaks_for: str = "") -> Routed:
        """A message of the family, a hundred seconds after the first one, to these addresses."""
        request = order((cda(),), action=action).request.model_copy(update={"speaks_for": speaks_for})
        event = Event("f" * 64, "sil", "k", b"", {Header.RECEIVED: str(NOW + 100)}, Origin("in.sil", 0, 9))
        made = [delivery(order((cda(),), recipient=doctor(one)), (cda(),)) for one in named]
        return self.earlier(Exchange(event, request=request), made, [])


@pytest.fixture(autouse=True)
def _family(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document of the samples is the second version of `family`."""
    monkeypatch.setattr("router.runtime.earlier_recipients.lineage", lambda *_: "family")
    monkeypatch.setattr("router.runtime.earlier_recipients.document_pseudonym", lambda *_: "doc-50")


@pytest.mark.parametrize("action", [Action.REPLACE, Action.DELETE])
def test_who_had_the_version_before_and_is_not_named_now_is_listed(action: Action) -> None:
    """The former recipient stands in the story of the event, with a code to search by; who is named is not."""
    past = Past()
    past.sent(1)
    past.sent(2, recipient=doctor(OTHER))
    found = past.ask(action, OTHER)
    assert list(found.deliveries) == []
    (listed,) = found.receipts
    assert (listed.label, listed.code, listed.disposition) == (doctor().address, KEEPS, Disposition.FILTERED)
    assert (listed.event_id, listed.destination) == ("f" * 64, destination_of(doctor().address))
    endpoints = {"sil": Endpoint(HL7)}
    assert list(answers(listed, endpoints, origin=Origin("r", 0, 0), now=NOW)) == [] and not untold(listed, endpoints)


@pytest.mark.parametrize(
    ("action", "state", "listed"),
    [
        (Action.REPLACE, State.WAITING, True),  # it will be sent after the replacement
        (Action.DELETE, State.WAITING, False),  # the deletion supersedes it (D1)
        (Action.DELETE, State.UNKNOWN, True),
        (Action.REPLACE, State.DEAD, False),
        (Action.REPLACE, State.SUPERSEDED, False),
    ],
)
def test_whoever_may_have_it_is_listed_and_nobody_else(action: Action, state: State, listed: bool) -> None:
    """What was never sent is nobody's; an unknown outcome counts as sent."""
    past = Past()
    past.sent(1, state=state)
    assert bool(past.ask(action).receipts) is listed


@pytest.mark.parametrize(
    "since",
    [
        {"action": "delete", "document": "doc-1"},
        {"pipeline": NOTICE, "action": "replace", "document": "doc-1"},
        {"document": "doc-50"},
        {"document": "doc-60", "created": NOW + 500},
    ],
    ids=["told to delete it", "told that it was replaced", "has this very version", "has a later one"],
)
def test_who_was_told_since_is_not_listed_again(since: dict[str, Any]) -> None:
    """The last thing that a mailbox got decides."""
    past = Past()
    past.sent(1)
    past.sent(2, **since)
    assert list(past.ask(Action.REPLACE).receipts) == []


def test_a_deletion_is_told_also_to_who_was_told_of_a_replacement() -> None:
    """He holds the document still, and now it must be destroyed."""
    past = Past()
    past.sent(1)
    past.sent(2, pipeline=NOTICE, action="replace", document="doc-1")
    assert len(past.ask(Action.DELETE).receipts) == 1
    assert past.ask(Action.INITIAL).receipts == ()


def test_the_notice_speaks_of_the_version_he_had_and_carries_nothing() -> None:
    """In his lane, by his own address, of the old document; no bytes, no acknowledgement, no text of the sender's."""
    past = Past("prevenir")
    old = past.sent(1)
    found = past.ask(Action.DELETE, OTHER)
    (made,) = found.deliveries
    assert list(found.receipts) == []
    assert (made.pipeline, made.action, made.lane, made.destination, made.document) == (
        NOTICE,
        "delete",
        old.lane,
        old.destination,
        "doc-1",
    )
    told, documents = unpack(made.payload)
    assert documents == [] and told.options == {NOTICE: True}
    assert told.recipient is not None and told.recipient.address == doctor().address
    request = told.request
    assert (request.action, request.ack_reception, request.body_professionals) == (Action.DELETE, False, None)
    again = past.ask(Action.DELETE, OTHER).deliveries
    assert [one.id for one in again] == [made.id] != [old.id]


@pytest.mark.parametrize("why", ["patient", "expired"])
def test_who_cannot_be_told_is_listed_instead(why: str) -> None:
    """A patient gets no mail that the sender did not ask for; of bytes that are gone nobody knows the address."""
    past = Past("prevenir")
    if why == "patient":
        past.sent(1, recipient=patient_recipient())
    else:
        past.sent(1, kept=False)
    found = past.ask(Action.REPLACE)
    assert list(found.deliveries) == []
    assert [one.label for one in found.receipts] == ["patient" if why == "patient" else doctor().address]


def test_what_a_sink_has_not_read_yet_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server is away: what waits on its topic is sent after the replacement, but not after the deletion (D1)."""
    past = Past()
    waiting = past.sent(1, opened=False)
    past.bus.producer("test").publish([delivery_record(replace(waiting, id="x", lineage="other", document="o"))])
    (listed,) = past.ask(Action.REPLACE).receipts
    assert listed.label == doctor().address
    assert list(past.ask(Action.REPLACE, doctor().address).receipts) == []
    assert list(past.ask(Action.DELETE).receipts) == []
    monkeypatch.setattr("router.runtime.earlier_recipients.MOST_UNREAD", 1)
    (unsure,) = past.ask(Action.REPLACE).receipts
    assert (unsure.code, unsure.label) == (KEEPS, "") and "retard" in unsure.text
    past.ledger.marks |= dict(past.bus.ends(out_topic(SINK)))
    assert list(past.ask(Action.REPLACE).receipts) == []


def test_a_line_says_by_which_mails_somebody_has_a_version() -> None:
    """When all of them are refused the line is taken back; a deletion or a notice brings no version."""
    past = Past()
    first, second = past.sent(1), past.sent(2, state=State.WAITING)
    past.sent(3, pipeline=NOTICE, action="replace")
    (listed,) = past.ask(Action.DELETE).receipts
    assert listed.evidence[AWAITS] == first.id
    again = Past()
    again.sent(1)
    again.sent(2, state=State.WAITING)
    (listed,) = again.ask(Action.REPLACE).receipts
    assert listed.evidence[AWAITS].split() == [first.id, second.id]


def test_an_unknown_outcome_that_a_deletion_superseded_counts_as_sent() -> None:
    """He may have it, whatever the state of its row."""
    past = Past()
    past.sent(1, state=State.DEAD, unknown=True)
    assert len(past.ask(Action.DELETE).receipts) == 1


def test_a_withdrawal_names_who_had_the_document_and_not_who_got_a_notice() -> None:
    """Two people can't both be asked to destroy what one of them never had."""
    past = Past()
    asked = past.sent(1)
    past.sent(2, recipient=doctor(OTHER), pipeline=NOTICE, action="replace")
    services: Any = SimpleNamespace(config=SimpleNamespace(sinks=past.earlier.sinks))
    received = Withdrawals(services, past.ledger)._received(asked)
    assert [one.label for one in received] == [doctor().address]


def test_who_had_another_hospitals_document_of_the_same_id_is_neither_listed_nor_told() -> None:
    """Two hospitals may give two documents one id, or one setId, in a sink that both use."""
    past = Past("prevenir")
    own = "690000001"
    past.sent(1, structure="750000999")
    past.sent(2, structure=own, recipient=doctor(OTHER))
    found = past.ask(Action.DELETE, speaks_for=own)
    assert [(one.label, one.structure) for one in found.deliveries] == [(OTHER, own)] and not found.receipts
