"""Reports in the forms that standards allow and the field shows: comments, RFC 6533, encodings, HTML, auto-replies."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.exchange import Delivery
from router.feedback.addresses import author, final_address, original_addresses, without_comments
from router.feedback.answers import SILENT
from router.feedback.reports import Kind, Place
from router.sinks.mssante.mail import message_id
from tests.feedback.feedback_samples import Station, an_order, dsn, letter, mdn
from tests.feedback.test_feedback_reports import KO, handled, receipt
from tests.sinks.mssante_samples import DOCTOR, MAILBOX, doctor


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sent(station: Station) -> Delivery:
    return station.sent()


@pytest.mark.parametrize(
    "action", ["delivered (to mailbox)", "DELIVERED ;", "(a (nested) one) delivered;", '"" delivered']
)
def test_an_action_may_bear_comments_and_a_semicolon(station: Station, sent: Delivery, action: str) -> None:
    """RFC 3464 §2.1.1; what is then no action makes the report unreadable, never a proof."""
    found = handled(station, dsn(sent.id, action))
    assert [one.code for one in found.receipts] == ([] if '"' in action else ["MSS-250"])


@pytest.mark.parametrize(
    ("disposition", "error", "ok", "code"),
    [
        ("automatic-action/MDN-sent-automatically (by rule); processed (imported);", "", True, "MSS-READ"),
        ("automatic-action / MDN-sent-automatically ;processed/error (bad);", "", False, "MSS-906"),
        (KO, "902^Identifiant patient inconnu^applicationErrorCondition| E^Error^errorSeverity", False, "MSS-902"),
        (KO, "texte libre", False, "MSS-906"),
        ("manual-action/MDN-sent-manually; displayed", "904^INS", False, "MSS-904"),
        (f"{KO}/failure", "", False, "MSS-906"),
        (f"{KO}/expired", "", True, SILENT),
        (f"{KO}/warning", "", True, "MSS-READ"),
    ],
)
def test_an_error_is_never_a_reading(
    station: Station, sent: Delivery, *, disposition: str, error: str, ok: bool, code: str
) -> None:
    """A modifier or an Error field is a failure; a modifier of another kind says nothing (RFC 8098 §3.2.6, §3.2.7)."""
    found = receipt(station, mdn(sent.id, disposition, error=error))
    assert (found.ok, found.code) == (ok, code)


@pytest.mark.parametrize(
    "disposition", ["displayed", "processed", "manual-action; displayed", "a/b; displayed extra", f"{KO} (never ends"]
)
def test_a_disposition_that_is_none_is_no_proof(station: Station, sent: Delivery, disposition: str) -> None:
    assert handled(station, mdn(sent.id, disposition)).place is Place.QUARANTINE


def test_a_lost_fold_hides_no_refusal(station: Station, sent: Delivery) -> None:
    """Some software breaks a long Disposition without the blank that says so."""
    assert not receipt(station, mdn(sent.id, f"{KO}\r\n/error")).ok


def test_a_subject_that_says_the_contrary_is_for_a_person(station: Station, sent: Delivery) -> None:
    """`processed`, and "KO Intégration" above it: neither is believed."""
    subject = "[KO Intégration système !][902] XDM".encode().decode("latin-1")
    assert handled(station, mdn(sent.id, KO, subject=subject)).place is Place.QUARANTINE


def test_the_report_counts_and_not_its_subject(station: Station, sent: Delivery) -> None:
    raw = dsn(sent.id).replace(b"Successful Mail Delivery Report", b"Undelivered Mail Returned to Sender")
    assert receipt(station, raw).code == "MSS-250"


def test_a_code_in_the_subject_comes_before_a_number_in_the_text(station: Station, sent: Delivery) -> None:
    """The text of a courriel standard may hold a street, a telephone, a year."""
    raw = letter(
        From=DOCTOR, Subject="[KO Integration][904] XDM", In_Reply_To=message_id(sent.id, MAILBOX), body="Poste 901"
    )
    assert receipt(station, raw).code == "MSS-904"


# ------------------------------------------------------------------------------------------------------ RFC 6533


def test_an_internationalised_delivery_report_is_read(station: Station, sent: Delivery) -> None:
    """message/global-delivery-status, utf-8 addresses, message/global-headers."""
    raw = dsn(sent.id, "failed", status="5.1.1", envid=False)
    raw = raw.replace(b"message/delivery-status", b"message/global-delivery-status")
    raw = raw.replace(b"text/rfc822-headers", b"message/global-headers").replace(b"rfc822;", b"utf-8;")
    raw = raw.replace(
        b"Diagnostic-Code: smtp; 250 2.0.0 Ok", "Diagnostic-Code: smtp; 550 5.1.1 boîte inconnue".encode()
    )
    assert receipt(station, raw).code == "MSS-550"


def test_an_internationalised_read_receipt_is_read(station: Station, sent: Delivery) -> None:
    raw = mdn(sent.id, KO).replace(b"message/disposition-notification", b"message/global-disposition-notification")
    assert receipt(station, raw.replace(b"rfc822;", b"UTF-8 ;").replace(b"message/rfc822", b"message/global")).ok


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; a+b@x.fr", "a+b@x.fr"),
        ("rfc822;a+2Bb@x.fr", "a+2Bb@x.fr"),
        ("rfc822; <a@x.fr> (the mailbox)", "a@x.fr"),
        (r"utf-8; \x{E9}lise@x.fr", "élise@x.fr"),
        (r"utf-8; \x{D800}@x.fr", r"\x{D800}@x.fr"),
        ("a@x.fr", "a@x.fr"),
        ("rfc822;", ""),
        ("", ""),
    ],
)
def test_a_final_address_stands_as_it_is(value: str, address: str) -> None:
    """A `+` is a letter of the address; embedded characters are those of RFC 6533 §3."""
    assert final_address(value) == address


def test_an_original_address_may_be_xtext() -> None:
    """Some servers decode ORCPT and some do not: both are looked at (RFC 3461 §4)."""
    assert original_addresses("rfc822;a+2Bb@x.fr") == ("a+2Bb@x.fr", "a+b@x.fr")
    assert original_addresses("rfc822;+FF@x.fr") == ("+FF@x.fr",)


@pytest.mark.parametrize("address", ["adam+labo@test-ci-sis.mssante.fr", "adam+2Blabo@test-ci-sis.mssante.fr"])
def test_a_recipient_with_a_plus_is_found(station: Station, address: str) -> None:
    sent = station.sent(an_order(doctor(address)))
    assert receipt(station, dsn(sent.id, recipient=address).replace(b"Original-Recipient", b"X-None")).ok
    assert receipt(station, mdn(sent.id, KO, reader=address, sender=address)).ok


@pytest.mark.parametrize("original", ["Original-Recipient: rfc822;", "Original-Recipient:", "X-None: x"])
def test_an_empty_original_recipient_leaves_the_final_one(station: Station, sent: Delivery, original: str) -> None:
    raw = dsn(sent.id)
    start = raw.index(b"Original-Recipient")
    raw = raw[:start] + original.encode() + raw[raw.index(b"\r\n", start) :]
    assert receipt(station, raw).ok


def test_comments_nest_and_one_that_never_ends_is_none() -> None:
    """RFC 5322 §3.2.2."""
    assert without_comments(r'a (b (c) \) d) e "(f)"') == 'a   e "(f)"'
    assert without_comments("a (b") == "a (b"


@pytest.mark.parametrize("value", ["", "Adam", "a@x.fr, b@x.fr", "<a@x.fr> <b@x.fr>", "a@b@c.fr"])
def test_an_author_is_exactly_one_address(value: str) -> None:
    assert author(value) == ""
    assert author(f"{DOCTOR} (Dr Hoda)") == author(f"Dr Hoda <{DOCTOR}>") == DOCTOR


# ------------------------------------------------------------------------------------------------------ encodings


def _encoded(raw: bytes, kind: bytes, name: str, encode: Callable[[bytes], bytes]) -> bytes:
    """The report part in a transfer encoding, which its media type forbids and servers use all the same."""
    head = b"Content-Type: " + kind + b"\r\n\r\n"
    start = raw.index(head) + len(head)
    end = raw.index(b"\r\n--B\r\n", start)
    changed = head[:-2] + f"Content-Transfer-Encoding: {name}\r\n\r\n".encode() + encode(raw[start:end])
    return raw[: start - len(head)] + changed + raw[end:]


@pytest.mark.parametrize(
    ("name", "encode"), [("base64", base64.encodebytes), ("Quoted-Printable", quopri.encodestring)]
)
def test_an_encoded_report_part_is_read(
    station: Station, sent: Delivery, name: str, encode: Callable[[bytes], bytes]
) -> None:
    assert receipt(station, _encoded(dsn(sent.id), b"message/delivery-status", name, encode)).code == "MSS-250"
    raw = _encoded(mdn(sent.id, f"{KO}/error", error="902^x"), b"message/disposition-notification", name, encode)
    assert receipt(station, raw).code == "MSS-902"


# ---------------------------------------------------------------------------------------------- bounces, auto-replies


def _bounce(sent: Delivery, body: str, kind: str = "text/plain", **headers: str) -> bytes:
    names = {"Return_Path": "<>", "From": "MAILER-DAEMON@mes.fr", "Subject": "Message", "In_Reply_To":
             message_id(sent.id, MAILBOX), **headers}  # fmt: skip
    return letter(**names, body=body).replace(b"Content-Type: text/plain", f"Content-Type: {kind}".encode())


def test_a_bounce_in_html_alone_is_read(station: Station, sent: Delivery) -> None:
    """Tags are passed over, entities are letters."""
    body = f"<html><body><p>Message non distribu&eacute; &agrave; <b>{DOCTOR}</b></p></body></html>"
    found = receipt(station, _bounce(sent, body, "text/html"))
    assert (found.ok, found.code) == (False, "MSS-554")


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied (vacation)", "From": DOCTOR},
        {"Subject": "Réponse automatique : XDM/1.0/DDM+CR"},
        {"Subject": "Out of office: undeliverable"},
        {"Subject": "Absence du cabinet", "From": DOCTOR},
    ],
)
def test_an_automatic_reply_is_no_failure(station: Station, sent: Delivery, headers: dict[str, str]) -> None:
    """ "I am away; what is urgent may stay undelivered": a person reads it, the sender is told nothing."""
    found = handled(station, _bounce(sent, f"Je suis absent ; delivery may fail, {DOCTOR}", **headers))
    assert (found.kind, found.place, found.receipts) == (Kind.AUTOMATIC, Place.HUMAN, ())


def test_a_bounce_of_another_recipient_is_no_failure(station: Station, sent: Delivery) -> None:
    assert handled(station, _bounce(sent, "Message non distribué à x@y.fr")).place is Place.QUARANTINE
