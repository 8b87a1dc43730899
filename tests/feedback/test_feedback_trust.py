"""Which reports count (decisions D15): of our mail and its recipient, from a server or the reader, against no proof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.exchange import Delivery, Receipt
from router.feedback.answers import CONTRADICTED, SILENT, UNTOLD
from router.feedback.reports import Kind, Place
from router.sinks.mssante.mail import envid, message_id
from tests.feedback.feedback_samples import PSEUDONYMS, Station, an_order, dsn, letter, mdn
from tests.feedback.test_feedback_reports import KO, handled, receipt
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, patient_recipient

COLLEAGUE = "secretariat@test-ci-sis.mssante.fr"
DISPLAYED = "manual-action/MDN-sent-manually; displayed"
OPERATOR = "imap.operateur.mssante.fr"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sent(station: Station) -> Delivery:
    return station.sent()


def told(station: Station, raw: bytes, **rules: str) -> tuple[Place, list[str]]:
    found = handled(station, raw, **rules)
    return found.place, [one.code for one in found.receipts if one.code not in UNTOLD]


def failed(sent: Delivery, **changes: Any) -> bytes:
    return dsn(sent.id, "failed", status="5.1.1", diagnostic="smtp; 550 5.1.1 unknown", **changes)


# ------------------------------------------------------------------------------------------------------- recipient


def test_a_delivery_report_of_another_recipient_does_not_count(station: Station, sent: Delivery) -> None:
    """Whoever knows a Message-ID can name it; the mailbox that failed must be the one that we sent to."""
    assert told(station, failed(sent, recipient="autre@test-ci-sis.mssante.fr")) == (Place.QUARANTINE, [])


def test_the_recipient_is_compared_in_any_case_and_domain_form(station: Station, sent: Delivery) -> None:
    assert told(station, dsn(sent.id, recipient=DOCTOR.upper())) == (Place.DONE, ["MSS-250"])


def test_a_mail_redirected_in_qualification_is_reported_of_the_mailbox_it_went_to(station: Station) -> None:
    """`redirect_all_mail`: the row keeps a pseudonym of the address that the server was given."""
    sent = station.sent(evidence={"to": PSEUDONYMS.of("address", COLLEAGUE)})
    assert told(station, dsn(sent.id, recipient=COLLEAGUE)) == (Place.DONE, ["MSS-250"])


# ---------------------------------------------------------------------------------------------------------- server


@pytest.mark.parametrize("return_path", ["<x@ailleurs.fr>", None])
def test_a_delivery_report_from_a_person_does_not_count(
    station: Station, sent: Delivery, return_path: str | None
) -> None:
    """A report has the null return path; the topmost one, which our own operator wrote."""
    raw = failed(sent, return_path=return_path, top=["Return-Path: <>"] if return_path else [])
    assert told(station, raw) == (Place.QUARANTINE, [])


def test_an_operator_that_writes_no_return_path_is_believed_for_our_secret(station: Station, sent: Delivery) -> None:
    """Only servers that the mail passed through have seen its ENVID."""
    raw = dsn(envid(sent.id, PSEUDONYMS), return_path=None)
    assert told(station, raw) == (Place.DONE, ["MSS-250"])


def test_the_envid_can_not_be_made_from_the_message_id(station: Station, sent: Delivery) -> None:
    """The identifier that everybody sees, and a digest that needs the site's secret; a wrong digest is a forgery."""
    given = envid(sent.id, PSEUDONYMS)
    assert given.startswith(sent.id) and len(given) == 64
    assert told(station, dsn(given)) == (Place.DONE, ["MSS-250"])
    for forged in (sent.id + "0" * 32, sent.id * 2):
        assert told(station, dsn(forged)) == (Place.QUARANTINE, [])


def test_reports_on_mails_of_before_the_secret_still_count(station: Station) -> None:
    """Their ENVID is the bare id; a mail that was sent with a secret is not named by it any more."""
    old = station.sent()
    assert told(station, dsn(old.id, original=False)) == (Place.DONE, ["MSS-250"])
    new = station.sent(event_id="7" * 64, evidence={"envid": "f" * 64})
    assert told(station, dsn(new.id)) == (Place.QUARANTINE, [])


# ---------------------------------------------------------------------------------------------------------- reader


@pytest.mark.parametrize(
    "changes",
    [
        {"reader": COLLEAGUE, "sender": COLLEAGUE},
        {"sender": COLLEAGUE},
        {"sender": "Adam Hoda"},
        {"sender": f"{DOCTOR}, {COLLEAGUE}"},
        {"reader": "", "sender": DOCTOR},
    ],
    ids=["another reader", "another author", "author without an at sign", "two authors", "no reader"],
)
def test_a_read_receipt_of_another_mailbox_does_not_count(
    station: Station, sent: Delivery, changes: dict[str, Any]
) -> None:
    """All of the espace de confiance may write; only the recipient has read."""
    assert told(station, mdn(sent.id, KO, **changes)) == (Place.QUARANTINE, [])


def test_a_mailbox_that_the_recipient_forwarded_to_may_read_and_it_is_said(station: Station, sent: Delivery) -> None:
    """Original-Recipient names the recipient; the receipt says who read, and that it was forwarded."""
    found = receipt(station, mdn(sent.id, KO, reader=COLLEAGUE, sender=COLLEAGUE, original=DOCTOR))
    assert (found.code, found.evidence["reader"], found.evidence["forwarded"]) == ("MSS-READ", COLLEAGUE, "1")
    assert "transféré" in found.text


def test_nobody_but_the_patient_reads_a_patients_mail(station: Station) -> None:
    sent = station.sent(an_order(patient_recipient()), label="patient")
    raw = mdn(sent.id, KO, reader=COLLEAGUE, sender=COLLEAGUE, original=patient_recipient().address)
    assert told(station, raw) == (Place.QUARANTINE, [])


def test_a_courriel_standard_comes_from_the_recipient(station: Station, sent: Delivery) -> None:
    """Anybody can write a subject."""
    subject = "[KO Intégration système !][902] XDM/1.0/DDM+CR"
    for author, place in ((DOCTOR, Place.DONE), (COLLEAGUE, Place.QUARANTINE)):
        raw = letter(From=author, Subject=subject, In_Reply_To=message_id(sent.id, MAILBOX), body="902")
        assert handled(station, raw).place is place


# -------------------------------------------------------------------------------------------------- authentication


@pytest.mark.parametrize(
    ("results", "believed"),
    [
        (f"{OPERATOR}; dkim=pass header.d=mssante.fr; spf=none smtp.mailfrom=x", True),
        (f"{OPERATOR} 1; (checked) dmarc=pass (p=none) header.from=test-ci-sis.mssante.fr", True),
        (f"{OPERATOR}; spf=pass smtp.mailfrom={DOCTOR}", True),
        (f"{OPERATOR}; dkim=pass header.d=ailleurs.fr", False),
        (f"{OPERATOR}; dkim=pass header.d=fr", False),
        (f"{OPERATOR}; dkim=pass header.d=mssante.fr; dmarc=fail header.from=test-ci-sis.mssante.fr", False),
        (f'{OPERATOR}; spf=fail smtp.mailfrom="x; dkim=pass header.d=mssante.fr y"@evil.fr; dkim=none', False),
        (f'{OPERATOR}; dkim=fail header.i="@x; dkim=pass header.d=mssante.fr"', False),
        (f'{OPERATOR}; spf=fail smtp.mailfrom="x\\"; dkim=pass header.d=mssante.fr"@evil.fr', False),
        (f'{OPERATOR}; spf=fail smtp.mailfrom="x; dkim=pass header.d=mssante.fr', False),
        (f'{OPERATOR}; dkim=pass header.i="@mssante.fr"', True),
        (f"{OPERATOR}; none", False),
        ("mx.ailleurs.fr; dkim=pass header.d=test-ci-sis.mssante.fr", False),
        ("", False),
    ],
)
def test_where_the_operator_authenticates_a_read_receipt_needs_its_word(
    station: Station, sent: Delivery, results: str, *, believed: bool
) -> None:
    """`authserv_id`: the operator's own field, for the author's domain or one above it."""
    top = [f"Authentication-Results: {results}"] if results else []
    found = told(station, mdn(sent.id, KO, top=top), authserv_id=OPERATOR)
    assert found == ((Place.DONE, ["MSS-READ"]) if believed else (Place.QUARANTINE, []))


def test_only_the_topmost_word_of_the_operator_counts(station: Station, sent: Delivery) -> None:
    """What stands below may have been written by the sender."""
    found = ("dkim=fail header.d=x.fr", "dkim=pass header.d=mssante.fr")
    top = [f"Authentication-Results: {OPERATOR}; {result}" for result in found]
    assert told(station, mdn(sent.id, KO, top=top), authserv_id=OPERATOR) == (Place.QUARANTINE, [])


def test_a_delivery_report_that_failed_authentication_does_not_count(station: Station, sent: Delivery) -> None:
    """A server's report is rarely signed: no word is no doubt, a failure is."""
    failure = [f"Authentication-Results: {OPERATOR}; dmarc=fail header.from=relais.mssante.fr"]
    assert told(station, dsn(sent.id), authserv_id=OPERATOR) == (Place.DONE, ["MSS-250"])
    assert told(station, dsn(sent.id, top=failure), authserv_id=OPERATOR) == (Place.QUARANTINE, [])


# --------------------------------------------------------------------------------------------------- contradictions


@pytest.mark.parametrize("stronger", ["delivered", "read"])
def test_a_failure_after_a_stronger_proof_goes_to_a_person_with_both(
    station: Station, sent: Delivery, stronger: str
) -> None:
    """The sender is not told that what was delivered was not; `explain` shows both reports."""
    first = dsn(sent.id) if stronger == "delivered" else mdn(sent.id, DISPLAYED)
    proof = receipt(station, first)
    found = handled(station, failed(sent))
    (told_,) = found.receipts
    assert (found.place, found.why) == (Place.HUMAN, "it contradicts a stronger proof")
    assert (told_.code, told_.ok) == (CONTRADICTED, False)
    assert told_.evidence["against"] == proof.evidence["report"] != told_.evidence["report"]
    assert found.facts["delivery"] == sent.id and proof.evidence["report"] in found.facts["reason"]


@pytest.mark.parametrize("weaker", ["relayed", "expanded", "delayed"])
def test_a_failure_after_a_weaker_proof_is_told(station: Station, sent: Delivery, weaker: str) -> None:
    """A server that took the mail may fail to pass it on."""
    receipt(station, dsn(sent.id, weaker))
    assert told(station, failed(sent)) == (Place.DONE, ["MSS-550"])


def test_a_stronger_proof_after_a_failure_is_told(station: Station, sent: Delivery) -> None:
    """Failed, delivered, read: each is told; the same failure read again is a contradiction by then."""
    codes = [receipt(station, raw).code for raw in (failed(sent), dsn(sent.id), mdn(sent.id, DISPLAYED))]
    assert codes == ["MSS-550", "MSS-250", "MSS-READ"]
    assert told(station, failed(sent)) == (Place.HUMAN, [])


def test_the_same_report_read_again_gives_the_same_receipt(station: Station, sent: Delivery) -> None:
    """After a crash between the receipt and the moving of the mail."""
    for raw in (dsn(sent.id), mdn(sent.id, DISPLAYED)):
        assert receipt(station, raw) == receipt(station, raw)


def test_software_may_refuse_what_a_person_has_read(station: Station, sent: Delivery) -> None:
    """Case 22: displayed, then processed/error: Y then N; both are the recipient's own words."""
    receipt(station, mdn(sent.id, DISPLAYED))
    assert told(station, mdn(sent.id, f"{KO}/error", error="902^x")) == (Place.DONE, ["MSS-902"])


def test_a_mail_deleted_after_it_was_read_is_not_told_as_unread(station: Station, sent: Delivery) -> None:
    receipt(station, mdn(sent.id, DISPLAYED))
    assert receipt(station, mdn(sent.id, "manual-action/MDN-sent-manually; deleted")).code == SILENT


def test_a_report_that_says_two_things_of_one_recipient_does_not_count(station: Station, sent: Delivery) -> None:
    extra = ["", f"Final-Recipient: rfc822;{DOCTOR}", "Action: failed", "Status: 5.1.1"]
    assert told(station, dsn(sent.id, extra=extra)) == (Place.QUARANTINE, [])


def test_proofs_outlive_the_process(station: Station, sent: Delivery) -> None:
    """They stand in the ledger, and are of no sink: no worker takes them for deliveries."""
    proof: Receipt = receipt(station, dsn(sent.id))
    again = Station(station.folder)
    found = handled(again, failed(sent))
    again.close()
    assert found.place is Place.HUMAN and found.kind is Kind.DSN
    assert found.receipts[0].evidence["against"] == proof.evidence["report"]
    assert [row.delivery.id for row in station.ledger.unfinished(sent.sink, [0, 1])] == []
