"""Who is told what: from receipts to ZAM (hl7-input §4.2, mssante §8, decisions D5)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from router.contracts import EVENT_FORMAT
from router.errors import Unavailable
from router.exchange import Delivery, Disposition, Event, Receipt, ReceiptKind
from router.feedback.answers import DELAYED, OVERDUE, SILENT, Endpoint, answers, untold
from router.feedback.recipients import Recipients
from router.hl7.message import Message
from router.request import Dialect
from router.wire import event_record
from tests.feedback.feedback_samples import HL7, NOW, ORIGIN, Station, an_order, receipt
from tests.sinks.mssante_samples import DOCTOR, PATIENT, delivery, order, patient_recipient

ENDPOINTS = {"sil": Endpoint(HL7)}


def told(given: Receipt, endpoints: Any = ENDPOINTS, **more: Any) -> list[Delivery]:
    return list(answers(given, endpoints, origin=ORIGIN, now=NOW, **more))


def zam(given: Receipt, **more: Any) -> Message:
    (made,) = told(given, **more)
    assert made.sink == HL7
    return Message.parse(made.payload)


def from_dmp(**changes: Any) -> Receipt:
    """A receipt of the DMP leg."""
    base = delivery(order())
    context = {"control_id": "015", "dialect": "2.1", "leg": "dmp", "ack_reception": "1"}
    return receipt(base, sink="dmp.chu", **{"context": context | changes.pop("more", {}), **changes})


def test_times_are_those_of_france_whatever_zone_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container runs in UTC: its ZAM would tell of what comes an hour before it was sent (hl7-input §4)."""
    monkeypatch.setenv("TZ", "America/Cayenne")
    time.tzset()
    try:
        message = zam(receipt(delivery(), kind=ReceiptKind.DSN, code="MSS-250", disposition=None))
    finally:
        monkeypatch.undo()
        time.tzset()
    here = datetime.fromtimestamp(NOW, ZoneInfo("Europe/Paris")).strftime("%Y%m%d%H%M%S")
    assert (message.text("MSH-7"), message.text("EVN-2")) == (here, here)


def test_a_submission_alone_says_nothing() -> None:
    """A 250 is our operator's acceptance, not reception: the DSN will tell (mssante §8.2)."""
    assert told(receipt(delivery())) == []


def test_a_submission_is_the_proof_when_the_site_says_so() -> None:
    """`z02_sans_dsn: soumission` at an operator without DSN."""
    assert zam(receipt(delivery(), evidence={"dsn": "0", "proof": "soumission"})).text("OBX[1]-5") == "Y"


def test_a_dsn_is_a_z02_with_the_senders_own_words() -> None:
    """MSH-10 of the sender, recipient as received, coding systems of the volet."""
    message = zam(receipt(delivery(), kind=ReceiptKind.DSN, code="MSS-250", disposition=None))
    assert message.text("MSH-9.2") == "Z02"
    assert (message.text("OBX[1]-4"), message.text("OBX[1]-5")) == ("015", "Y")
    assert (message.text("OBX[2]-4"), message.text("OBX[2]-5.4")) == ("801234567897", DOCTOR)
    assert (message.text("MSH-5"), message.text("MSH-6")) == ("SIL", "LABO")
    assert "ERR" not in message


def test_a_failed_dsn_after_the_submission_is_a_z02_n() -> None:
    """The code and the label of the table, our own sentence in ERR-8."""
    given = receipt(
        delivery(), kind=ReceiptKind.DSN, ok=False, code="MSS-550", text="non remis (5.1.1)", disposition=None
    )
    message = zam(given)
    assert (message.text("OBX[1]-5"), message.text("ERR-5.1"), message.text("ERR-5.3")) == ("N", "550", "SMTPERRORCODE")
    assert message.text("ERR-8") == "non remis (5.1.1)"


def test_a_failure_before_the_dsn_is_told_at_once() -> None:
    """Refused at RCPT, outside the liste blanche, given up: Z02 N; a code outside the table becomes 554."""
    for code, expected in (("MSS-510", "510"), ("BUG-KeyError", "554"), ("MSS-523", "523")):
        given = receipt(delivery(), ok=False, disposition=Disposition.DEAD_LETTERED, code=code)
        assert zam(given).text("ERR-5.1") == expected


def test_a_superseded_mail_is_answered_too() -> None:
    """Case 13: the initial that was overtaken still gets its Z02."""
    assert zam(receipt(delivery(), disposition=Disposition.SUPERSEDED)).text("OBX[1]-5") == "N"


def test_a_superseded_delivery_does_not_blame_what_it_waited_for() -> None:
    """The DMP was away when the deletion came: the deletion ended it, and that is what the sender reads."""
    message = zam(from_dmp(disposition=Disposition.SUPERSEDED, code="DMP-CONNECT", text="serveur du DMP injoignable"))
    assert [message.text(f"ERR-5.{part}") for part in (1, 3)] == ["SUPERSEDED", "99PFI"]
    assert message.text("ERR-8") == "version remplacée ou supprimée par un message suivant"


def test_a_refusal_that_a_later_version_supersedes_is_told_once_as_what_it_is() -> None:
    """D1: the receipt of the refusal comes first; that of the supersession is the same answer, made already."""
    refused = receipt(delivery(), ok=False, disposition=Disposition.DEAD_LETTERED, code="MSS-550", text="non remis")
    after = replace(refused, disposition=Disposition.SUPERSEDED)
    assert told(refused)[0].id == told(after)[0].id
    assert (zam(refused).text("ERR-5.1"), zam(refused).text("ERR-8")) == ("550", "non remis")


def test_the_dmp_answers_by_z01() -> None:
    """Y, and N with the DMP's code in the coding system this sender wants."""
    assert zam(from_dmp()).text("MSH-9.2") == "Z01"
    refused = from_dmp(ok=False, disposition=Disposition.DEAD_LETTERED, code="DMP-DMPClosed", text="DMP fermé")
    message = zam(refused, endpoints={"sil": Endpoint(HL7, dmp_error_system="DMPERRORCODE")})
    assert [message.text(f"ERR-5.{part}") for part in (1, 2, 3)] == ["DMPClosed", "DMP fermé", "DMPERRORCODE"]
    assert [segment.name for segment in message] == ["MSH", "EVN", "OBX", "ERR"]


def test_a_destination_refused_by_a_rule_is_told() -> None:
    """D5: filtered by the pipeline is an N."""
    message = zam(from_dmp(ok=False, disposition=Disposition.FILTERED, code="R45", text="INS non qualifiée"))
    assert (message.text("OBX[1]-5"), message.text("ERR-5.1")) == ("N", "R45")


@pytest.mark.parametrize(
    ("code", "told", "system"),
    [
        ("DMP-DMPClosed", "DMPClosed", "DMP_ERROR_CODE"),
        ("DMP-XDSRegistryMetadataError", "XDSRegistryMetadataError", "DMP_ERROR_CODE"),
        ("DMP-QuelqueChoseDeNouveau", "QuelqueChoseDeNouveau", "DMP_ERROR_CODE"),
        ("R45", "R45", "99PFI"),
        ("PFI-INS", "PFI-INS", "99PFI"),
        ("DMP-TIMEOUT", "DMP-TIMEOUT", "99PFI"),
        ("DMP-HTTP-413", "DMP-HTTP-413", "99PFI"),
        ("DMP-NF", "DMP-NF", "99PFI"),
        ("NO-PIPELINE", "NO-PIPELINE", "99PFI"),
        ("", "906", "99PFI"),
    ],
)
def test_only_the_dmps_own_codes_stand_under_its_coding_system(code: str, told: str, system: str) -> None:
    """D16: a code of ours has a local coding system, and is the one that operators see."""
    refused = from_dmp(ok=False, disposition=Disposition.DEAD_LETTERED, code=code, text="motif")
    message = zam(refused)
    assert [message.text(f"ERR-5.{part}") for part in (1, 2, 3)] == [told, "motif", system]


def test_the_dmps_own_words_stand_in_err_8() -> None:
    """D16: the label of ERR-5 is ours, ERR-8 adds what the DMP says."""
    text = "Une métadonnée du document est refusée par le DMP — le DMP dit : typeCode inconnu"
    refused = from_dmp(ok=False, disposition=Disposition.DEAD_LETTERED, code="DMP-XDSRegistryMetadataError", text=text)
    message = zam(refused)
    assert message.text("ERR-5.2") == "Une métadonnée du document est refusée par le DMP"
    assert message.text("ERR-8") == text


def test_a_reading_is_a_z03_only_for_who_asked_for_it() -> None:
    """ACK_LECTURE_MSS; the reader's mailbox, and the recipient's identifier only when it is his."""
    given = receipt(delivery(), kind=ReceiptKind.MDN, disposition=None, evidence={"reader": DOCTOR})
    assert told(given) == []
    asked = {"more": {"ack_lecture": "1"}, "kind": ReceiptKind.MDN, "disposition": None}
    own = zam(receipt(delivery(), evidence={"reader": DOCTOR.upper()}, **asked))
    other = zam(receipt(delivery(), evidence={"reader": "secretariat@chu.fr"}, **asked))
    assert (own.text("MSH-9.2"), own.text("OBX[2]-4"), other.text("OBX[2]-4")) == ("Z03", "801234567897", "")
    assert other.text("OBX[2]-5.4") == "secretariat@chu.fr"


def test_an_integration_error_is_a_z03_n() -> None:
    """applicationErrorCondition 900 to 906; anything else is 906."""
    asked = {"more": {"ack_lecture": "1"}, "kind": ReceiptKind.MDN, "disposition": None, "ok": False}
    message = zam(receipt(delivery(), code="MSS-902", **asked))
    assert (message.text("ERR-5.1"), message.text("ERR-5.3")) == ("902", "applicationErrorCondition")
    assert zam(receipt(delivery(), code="MSS-77", **asked)).text("ERR-5.1") == "906"


@pytest.mark.parametrize("dialect", [Dialect.V1_2, ""])
def test_who_knows_no_zam_gets_none(dialect: str) -> None:
    """A sender of volet 1.2; a receipt whose delivery is gone from the bus."""
    given = receipt(delivery(), more={"dialect": dialect}, ok=False, disposition=Disposition.DEAD_LETTERED)
    assert told(given) == []
    assert untold(given, ENDPOINTS)


def test_a_sender_of_2_0_is_answered_in_its_coding_systems() -> None:
    """MSH-21, OBX-5.3, ERR-3.3 of that generation."""
    given = receipt(
        delivery(), more={"dialect": "2.0"}, ok=False, disposition=Disposition.DEAD_LETTERED, code="MSS-550"
    )
    message = zam(given)
    assert message.text("MSH-21").startswith("2.0")
    assert (message.text("OBX[1]-5.3"), message.text("ERR-3.3")) == ("HL70136", "HL70357")


@pytest.mark.parametrize("code", [DELAYED, OVERDUE, SILENT])
def test_what_is_for_operators_only_says_nothing_to_the_sender(code: str) -> None:
    """A delay, a mail without news, a relay that the site does not count."""
    given = receipt(delivery(), kind=ReceiptKind.DSN, ok=False, code=code, disposition=None)
    assert told(given) == [] and not untold(given, ENDPOINTS)


def test_attempts_say_nothing() -> None:
    """A delivery that waits has not ended."""
    assert told(receipt(delivery(), kind=ReceiptKind.ATTEMPT, ok=False, disposition=None)) == []


def test_the_same_report_is_the_same_answer_and_another_outcome_is_not() -> None:
    """Case 21: one ZAM for a repeated DSN; success then failure give both, in that order of the lane."""
    yes = receipt(delivery(), kind=ReceiptKind.DSN, disposition=None)
    later = receipt(delivery(), kind=ReceiptKind.DSN, disposition=None, at=NOW + 60)
    no = receipt(delivery(), kind=ReceiptKind.DSN, ok=False, code="MSS-550", disposition=None)
    (first,), (again,), (failed,) = told(yes), told(later), told(no)
    assert first.id == again.id != failed.id
    assert first.lane == failed.lane == f"{yes.key}:{HL7}"


def test_a_failure_nobody_will_hear_of_is_seen() -> None:
    """D5: no acknowledgement asked, or no way back to the sender: an alert instead."""
    failed = {"ok": False, "disposition": Disposition.DEAD_LETTERED, "code": "MSS-550"}
    assert untold(receipt(delivery(), more={"ack_reception": ""}, **failed), ENDPOINTS)
    assert untold(receipt(delivery(), **failed), {})
    assert not untold(receipt(delivery(), **failed), ENDPOINTS)
    assert not untold(receipt(delivery()), ENDPOINTS)


def test_a_patients_address_is_read_again_where_it_stands(tmp_path: Path) -> None:
    """It is in no receipt, and yet in the Z02 as the sender wrote it."""
    station = Station(tmp_path)
    sent = station.sent(an_order(patient_recipient()))
    given = receipt(sent, kind=ReceiptKind.DSN, disposition=None)
    assert PATIENT not in str(given)
    message = zam(given, who=Recipients(station.bus, station.ledger))
    assert message.text("OBX[2]-5.4") == PATIENT
    station.close()


def test_nobody_is_named_from_a_record_that_has_taken_the_place_of_ours(tmp_path: Path) -> None:
    """A topic that was made anew gives old places to new records: another patient's address is not told."""
    station = Station(tmp_path)
    sent, other = (station.sent(an_order(patient_recipient()), id=digit * 32) for digit in "01")
    rows = station.ledger.get([sent.id, other.id])
    station.ledger.save([replace(rows[sent.id], bytes_at=rows[other.id].bytes_at)])
    ask = Recipients(station.bus, station.ledger)
    assert ask(receipt(other, kind=ReceiptKind.DSN))[1] == PATIENT
    assert ask(receipt(sent, kind=ReceiptKind.DSN))[1] == ""
    station.close()


@pytest.mark.parametrize("mine", [True, False], ids=["its own event", "another event at its place"])
def test_a_patient_refused_before_any_delivery_is_named_from_the_event(tmp_path: Path, mine: bool) -> None:
    """The address of a recipient refused by a rule is read in the accepted message, at its PRT."""
    station = Station(tmp_path)
    body = (
        b"MSH|^~\\&|SIL|LABO|PFI|CHU|20261123||ORU^R01^ORU_R01|015|P|2.5\r"
        b"PRT||UC||SB^^participation|1^A\rPRT||UC||RCT^^participation|27707^X||||||||||^^X.400^27707@patient.mssante.fr\r"
    )
    named = delivery().event_id if mine else "another event"
    event = Event(named, "sil", "k", body, verdict=b'{"request": "what the gateway made of it"}')
    (origin,) = station.bus.producer("test").publish([event_record(event)])
    context = {
        "control_id": "015",
        "dialect": "2.1",
        "leg": "mss",
        "ack_reception": "1",
        "rank": "2",
        "origin": str(origin),
    }
    given = receipt(delivery(), ok=False, disposition=Disposition.FILTERED, code="MSS-510", context=context)
    message = zam(given, who=Recipients(station.bus, station.ledger))
    told = ("27707", "27707@patient.mssante.fr") if mine else ("", "")
    assert (message.text("OBX[2]-4"), message.text("OBX[2]-5.4")) == told
    station.close()


def test_feedback_waits_for_a_newer_process_to_read_a_newer_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an upgrade an older feedback process neither ends nor answers without the recipient: it waits."""
    station = Station(tmp_path)
    event = Event(delivery().event_id, "sil", "k", b"MSH|")
    monkeypatch.setattr("router.wire.EVENT_FORMAT", EVENT_FORMAT + 1)
    (origin,) = station.bus.producer("test").publish([event_record(event)])
    monkeypatch.undo()
    context = {"control_id": "015", "leg": "mss", "rank": "2", "origin": str(origin)}
    given = receipt(delivery(), ok=False, disposition=Disposition.FILTERED, code="MSS-510", context=context)
    with pytest.raises(Unavailable, match="EVENT-FORMAT"):
        Recipients(station.bus, station.ledger)(given)
    station.close()
