"""Reading what comes back: DSN, bounces, three dialects of MDN, letters (mssante §8.3 to §8.5; cases 21 to 23)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies

from router.exchange import Delivery, Receipt, ReceiptKind
from router.feedback.answers import DELAYED, SILENT
from router.feedback.correlate import delivery_of
from router.feedback.dsn import read_bounce, read_dsn
from router.feedback.mdn import read_mdn, read_standard_mail
from router.feedback.mime import parse
from router.feedback.proofs import Proofs
from router.feedback.reports import Handled, Kind, Place, Reports
from router.sinks.mssante.mail import message_id
from router.sinks.mssante.settings import FeedbackRules
from tests.feedback.feedback_samples import NOW, SINK, Station, an_order, dsn, letter, mdn
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, patient_recipient

KO = "automatic-action/MDN-sent-automatically; processed"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sent(station: Station) -> Delivery:
    return station.sent()


def handled(station: Station, raw: bytes, sinks: Collection[str] = (SINK,), **rules: str) -> Handled:
    reports = Reports(
        station.correlator(sinks),
        Proofs(station.ledger),
        dict.fromkeys(sinks, FeedbackRules()) | {SINK: FeedbackRules.model_validate(rules)},
        admits=lambda domain: domain.endswith(".mssante.fr"),
    )
    found = reports.handle(raw, NOW)
    reports.remember(found, NOW)
    return found


def receipt(station: Station, raw: bytes, **rules: str) -> Receipt:
    found = handled(station, raw, **rules)
    assert found.place is Place.DONE
    (one,) = found.receipts
    return one


def test_a_delivered_dsn_is_the_proof_of_reception(station: Station, sent: Delivery) -> None:
    """By ENVID; dated by the server's last attempt; with the context to answer the sender."""
    found = receipt(station, dsn(sent.id))
    assert (found.delivery_id, found.kind, found.ok) == (sent.id, ReceiptKind.DSN, True)
    assert found.context["control_id"] == "015"
    assert found.evidence["action"] == "delivered"
    assert found.at < NOW


@pytest.mark.parametrize(
    ("action", "rules", "ok", "code"),
    [
        ("relayed", {}, True, "MSS-250"),
        ("relayed", {"relayed": "silence"}, True, SILENT),
        ("expanded", {}, True, "MSS-250"),
        ("delayed", {}, True, DELAYED),
        ("failed", {}, False, "MSS-550"),
    ],
)
def test_each_action_has_its_meaning(
    station: Station, sent: Delivery, *, action: str, rules: dict[str, str], ok: bool, code: str
) -> None:
    """Case 21: relayed is Y (or silence), delayed is nothing, failed is N with its code."""
    found = receipt(station, dsn(sent.id, action, status="5.1.1" if action == "failed" else "2.0.0"), **rules)
    assert (found.ok, found.code) == (ok, code)


@pytest.mark.parametrize(
    ("status", "diagnostic", "code"),
    [
        ("5.2.2", "smtp; 552 5.2.2 over quota", "MSS-552"),
        ("4.4.7", "smtp; 451 expired", "MSS-441"),
        ("5.7.1", "smtp; 554 5.7.1 spam detected", "MSS-541"),
        ("5.0.0", "smtp; 553 bad mailbox name", "MSS-553"),
        ("5.0.0", "x-unix; crashed", "MSS-554"),
        ("5.3.4", "", "MSS-523"),
    ],
)
def test_a_failure_is_coded_by_the_table(
    station: Station, sent: Delivery, status: str, diagnostic: str, code: str
) -> None:
    """Enhanced status, then the reply of the diagnostic, then the family (mssante §8.3)."""
    assert receipt(station, dsn(sent.id, "failed", status=status, diagnostic=diagnostic)).code == code


def test_a_dsn_without_envid_is_recognised_by_the_returned_message_id(station: Station, sent: Delivery) -> None:
    """Case 21."""
    assert receipt(station, dsn(sent.id, envid=False)).delivery_id == sent.id


def test_a_dsn_about_nothing_of_ours_is_quarantined(station: Station, sent: Delivery) -> None:
    """Case 21: unknown id, or no id at all; never guessed from the subject."""
    for raw in (dsn("0" * 32), dsn(sent.id, envid=False, original=False)):
        assert handled(station, raw) == Handled(Kind.DSN, Place.QUARANTINE, why="about no delivery of ours")


def test_another_sinks_delivery_is_not_ours(station: Station) -> None:
    """A mailbox answers for the sinks that send from it."""
    other = station.sent(sink="mssante.autre", event_id="9" * 64)
    assert handled(station, dsn(other.id)).place is Place.QUARANTINE
    assert handled(station, dsn(other.id), [SINK, other.sink]).place is Place.DONE  # they share the mailbox


def test_a_receipt_names_no_patient(station: Station) -> None:
    """The report quotes the patient's address; the receipt doesn't."""
    sent = station.sent(an_order(patient_recipient()))
    address = patient_recipient().address
    for raw in (
        dsn(sent.id, "failed", status="5.1.1", diagnostic=f"smtp; 550 5.1.1 <{address}> unknown", recipient=address),
        mdn(sent.id, f"{KO}", reader=address, sender=address),
    ):
        assert "279035121518989" not in str(receipt(station, raw))


@pytest.mark.parametrize(
    ("disposition", "error", "subject"),
    [
        (f"{KO}/Error: 902^Identifiant de patient inconnu^messageErrorCondition| E^Error^errorSeverity", "", "x"),
        (f"{KO}/Error: 902^Identifiant", "902^Identifiant^applicationErrorCondition| E^Error^errorSeverity", "x"),
        (f"{KO}/error", "902^Identifiant^applicationErrorCondition| E^Error^errorSeverity", "x"),
        (f"{KO}/error", "", "[KO Intégration système !][902] XDM/1.0/DDM+CR".encode().decode("latin-1")),
        (f"{KO}/Error,warning", "902^Identifiant", "x"),
    ],
    ids=["a", "b", "c", "subject", "modifiers"],
)
@pytest.mark.parametrize("blank", [True, False], ids=["valid MIME", "as in the national example"])
def test_an_integration_error_is_read_in_every_dialect(
    station: Station, sent: Delivery, *, disposition: str, error: str, subject: str, blank: bool
) -> None:
    """Case 22: 902 whatever the dialect, even when the report part is not valid MIME."""
    found = receipt(station, mdn(sent.id, disposition, error=error, subject=subject, blank=blank))
    assert (found.kind, found.ok, found.code) == (ReceiptKind.MDN, False, "MSS-902")
    assert found.evidence["reader"] == DOCTOR


@pytest.mark.parametrize(
    ("disposition", "ok", "code"),
    [
        (KO, True, "MSS-READ"),
        ("manual-action/MDN-sent-manually; displayed", True, "MSS-READ"),
        ("automatic-action/MDN-sent-automatically;dispatched", True, "MSS-READ"),
        (f"{KO}/warning", True, "MSS-READ"),
        ("manual-action/MDN-sent-manually; deleted", False, "MSS-906"),
        ("manual-action/MDN-sent-manually; denied", True, SILENT),
        ("automatic-action/MDN-sent-automatically; failed", False, "MSS-906"),
    ],
)
def test_each_disposition_has_its_meaning(
    station: Station, sent: Delivery, disposition: str, ok: bool, code: str
) -> None:
    """The table of mssante §8.4."""
    found = receipt(station, mdn(sent.id, disposition))
    assert (found.ok, found.code) == (ok, code)


def test_a_mail_deleted_unread_may_be_passed_over_in_silence(station: Station, sent: Delivery) -> None:
    """Option `deleted: silence`."""
    assert receipt(station, mdn(sent.id, "manual-action/MDN-sent-manually; deleted"), deleted="silence").code == SILENT


def test_sinks_that_share_a_mailbox_keep_their_own_rules(station: Station, sent: Delivery) -> None:
    raw = mdn(sent.id, "manual-action/MDN-sent-manually; deleted")
    (one,) = handled(station, raw, ("mssante.first", SINK), deleted="silence").receipts
    assert one.code == SILENT


@pytest.mark.parametrize(
    "changes",
    [{"about": ""}, {"about": "<1@ailleurs.fr>"}, {"reader": "x@gmail.com"}, {"sender": "x@gmail.com"}],
    ids=["no message id", "not ours", "foreign reader", "foreign author"],
)
def test_an_mdn_that_can_not_be_trusted_is_quarantined(
    station: Station, sent: Delivery, changes: dict[str, Any]
) -> None:
    """Case 23: forged, foreign, or about nothing."""
    assert handled(station, mdn(sent.id, KO, **changes)).place is Place.QUARANTINE


def test_the_courriel_standard_is_an_integration_error(station: Station, sent: Delivery) -> None:
    """Subject and quotation only; the code from the text or the subject."""
    subject = "[Erreur d’intégration !][902] XDM/1.0/DDM+CR"
    raw = letter(From=DOCTOR, Subject=subject, In_Reply_To=message_id(sent.id, MAILBOX), body="Patient inconnu")
    found = receipt(station, raw)
    assert (found.kind, found.ok, found.code) == (ReceiptKind.MDN, False, "MSS-902")


def test_a_bounce_of_no_standard_is_a_failure(station: Station, sent: Delivery) -> None:
    """Mon espace santé's own words; 523 when it speaks of size."""
    quoted = f"Message non distribué à {DOCTOR}.\r\n\r\nMessage-ID: {message_id(sent.id, MAILBOX)}"
    raw = letter(Return_Path="<>", From="MAILER-DAEMON@mes.fr", Subject="Message non distribué", body=quoted)
    found = receipt(station, raw)
    assert (found.kind, found.ok, found.code) == (ReceiptKind.DSN, False, "MSS-554")
    assert found.evidence["form"] == "bounce non standard"
    assert receipt(station, raw + b"La taille du message depasse la limite\r\n").code == "MSS-523"


def test_people_are_not_reports(station: Station, sent: Delivery) -> None:
    """A reply of a doctor or a patient goes where somebody reads it, even if it quotes our mail."""
    raw = letter(From=DOCTOR, Subject="Re: XDM/1.0/DDM+CR", In_Reply_To=message_id(sent.id, MAILBOX), body="Merci")
    assert handled(station, raw) == Handled(Kind.HUMAN, Place.HUMAN, why="written by a person")


def test_reports_that_can_not_be_read_are_kept_aside(station: Station) -> None:
    """A report without a report; a server's mail of no known form."""
    broken = b'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\r\n\r\n--B--\r\n'
    postmaster = letter(From="postmaster@relais.fr", Subject="Maintenance")
    assert {handled(station, raw).place for raw in (broken, postmaster)} == {Place.QUARANTINE}


def test_the_delivery_is_in_its_message_id() -> None:
    """No table is needed to find a mail again."""
    assert delivery_of(message_id("0193f0d27f1e7c3a9d0b5b1c2f9e6a01", MAILBOX)) == "0193f0d27f1e7c3a9d0b5b1c2f9e6a01"
    assert delivery_of("<1234@x>") == ""


@hypothesis_settings(max_examples=200, deadline=None)
@hypothesis_given(
    strategies.integers(0, 1),
    strategies.lists(strategies.tuples(strategies.integers(0, 2000), strategies.binary(max_size=3)), max_size=6),
)
def test_no_mail_makes_the_readers_fail(which: int, wounds: list[tuple[int, bytes]]) -> None:
    """Reports damaged anywhere are read or not, but nothing is raised."""
    raw = bytearray(dsn("0" * 32, "failed") if which else mdn("0" * 32, f"{KO}/error", error="902^x"))
    for place, bytes_ in wounds:
        raw[place % len(raw) : place % len(raw)] = bytes_
    mail = parse(bytes(raw))
    read_dsn(mail), read_mdn(mail), read_standard_mail(mail), read_bounce(mail)
