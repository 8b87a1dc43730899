"""What never leaves, whatever the pipeline asked (promise 6; decisions D2, D5, D6; cases 6, 8, 10, 25)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from router.errors import Refused
from router.payload import DocumentOrder
from router.request import Action, Identifier, Masks, Recipient
from router.sinks.mssante.guards import check
from tests.cda.cda_samples import cda
from tests.sinks.mssante_samples import INS, doctor, order, patient, patient_recipient

TODAY = date(2026, 3, 1)
NO_INS = (('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', ""),)


def refused(given: DocumentOrder, recipient: Recipient, environment: Any = "qualification") -> tuple[str, str] | None:
    try:
        check(given, recipient, environment=environment, patient_domains=("patient.mssante.fr",), today=TODAY)
    except Refused as fault:
        return fault.code, fault.place
    return None


def test_a_doctor_and_the_patient_himself_pass() -> None:
    """The nominal case, for both kinds."""
    assert refused(order(), doctor()) is None
    assert refused(order(), patient_recipient()) is None


@pytest.mark.parametrize(
    "address",
    ["27707279035121518989@patient.mssante.fr", "177022A03220829@patient.mssante.fr", f"{INS.value}@test.mssante.fr"],
)
def test_a_patient_address_that_is_not_the_patients_own_is_refused(address: str) -> None:
    """Case 6: 20 digits, another person's INS, another domain."""
    assert refused(order(), patient_recipient(address)) == ("MSS-510", "R86")


def test_a_patients_mailbox_is_recognised_by_its_domain_whatever_the_sender_says() -> None:
    """A recipient declared a professional with somebody else's patient address stays here."""
    assert refused(order(), doctor("177022A03220829@patient.mssante.fr")) == ("MSS-510", "R86")


def test_a_corsican_ins_is_compared_without_regard_to_case() -> None:
    """2A and 2a are one department."""
    corsican = Identifier(value="1770 22A03220829".replace(" ", ""), authority=INS.authority, kind="INS")
    given = order((cda(change=NO_INS),), patient=patient().model_copy(update={"ins": corsican}))
    assert refused(given, patient_recipient("177022a03220829@patient.mssante.fr")) is None


def test_no_mail_to_a_patient_whose_identity_is_not_qualified() -> None:
    """ECO.2.2.6: refused for him, allowed for his doctor when the document holds no INS."""
    given = order((cda(change=NO_INS),), patient=patient(qualified=False))
    assert refused(given, patient_recipient()) == ("MSS-510", "PID-32")
    assert refused(given, doctor()) is None


def test_an_unqualified_ins_inside_the_document_stops_everything() -> None:
    """D2: the CDA that holds it may not be transmitted."""
    assert refused(order(patient=patient(qualified=False)), doctor()) == ("MSS-554", "R46")


def test_a_document_of_two_patients_is_mailed_to_nobody() -> None:
    """R39: refused again at the moment of sending; the notice of its deletion leaves."""
    two = cda(change=(("<author>", "<recordTarget><patientRole/></recordTarget><author>"),))
    assert refused(order((two,)), doctor()) == ("MSS-554", "R39")
    assert refused(order((two,), action=Action.DELETE), doctor()) is None


def test_a_test_ins_never_leaves_production() -> None:
    """D9: by the message's INS, or by the document's alone."""
    assert refused(order(), doctor(), "production") == ("MSS-554", "INS")


def test_a_recipient_refused_by_a_rule_is_refused_with_its_code() -> None:
    """What `cisis` or `look_up` decided is told with its own code and words."""
    assert refused(order(), doctor(refusal=("510", "2 boîtes aux lettres pour ce RPPS"))) == ("MSS-510", "RCT")


def test_what_the_sender_did_not_ask_for_is_not_sent() -> None:
    """Case 10, D5: a pipeline can't widen the request."""
    assert refused(order(mss_professionals=False), doctor()) == ("MSS-554", "RCT")
    assert refused(order(mss_patient=False), patient_recipient()) == ("MSS-554", "RCT")


def test_a_document_hidden_from_the_patient_is_not_sent_to_him() -> None:
    """R87, again at the moment of sending."""
    given = order(masks=Masks(invisible_patient=True))
    assert refused(given, patient_recipient()) == ("MSS-550", "R87")
    assert refused(given, doctor()) is None


@pytest.mark.parametrize("masks", [Masks(invisible_rep_legaux=True), Masks(connexion_secrete=True)])
@pytest.mark.parametrize(("born", "passes"), [("20080104", True), ("20080105", False), ("", False), ("2010", False)])
def test_a_minors_hidden_document_is_not_sent_to_the_mailbox_his_parents_read(
    masks: Masks, born: str, passes: bool
) -> None:
    """D6: under 18 at the date of the act (4 January 2026), or of unknown age."""
    document = cda(change=(('<birthTime value="19790328"/>', f'<birthTime value="{born}"/>' if born else ""),))
    given = order((document,), masks=masks, patient=patient(birth_date=born))
    assert refused(given, patient_recipient()) == (None if passes else ("MSS-550", "D6"))
    assert refused(order((document,), patient=patient(birth_date=born)), patient_recipient()) is None


@pytest.mark.parametrize("masks", [Masks(invisible_rep_legaux=True), Masks(connexion_secrete=True)])
def test_an_act_in_the_future_makes_nobody_an_adult(masks: Masks) -> None:
    """D6: the sender writes the date of the act; one after tomorrow gives no known age, whatever the birth date."""
    change = (
        ('<birthTime value="19790328"/>', '<birthTime value="20110101"/>'),
        ('<low value="20260104092200+0100"', '<low value="20350104092200+0100"'),
    )
    given = order((cda(change=change),), masks=masks, patient=patient(birth_date="20110101"))
    assert refused(given, patient_recipient()) == ("MSS-550", "D6")


@pytest.mark.parametrize(
    "masks", [Masks(invisible_patient=True), Masks(invisible_rep_legaux=True), Masks(connexion_secrete=True)]
)
def test_masks_never_hold_back_a_deletion(masks: Masks) -> None:
    """D1: from anybody; who the patient is counts all the same."""
    minor: dict[str, Any] = {"action": Action.DELETE, "masks": masks, "patient": patient(birth_date="20150101")}
    assert refused(order(**minor), patient_recipient()) is None
    assert refused(order(**minor), patient_recipient("177022A03220829@patient.mssante.fr")) == ("MSS-510", "R86")


@pytest.mark.parametrize(
    "address", ["a@x.fr, b@y.fr", "<a@x.fr>", "a@x.fr\r\nBcc: b@y.fr", "mailto:a@x.fr", "a@@x.fr", ""]
)
def test_an_address_that_is_not_one_plain_address_is_refused(address: str) -> None:
    """Case 25: never a second recipient, whatever got through before."""
    assert refused(order(), doctor(address)) == ("MSS-510", "RCT")


@pytest.mark.parametrize("masks", [Masks(invisible_patient=True), Masks(invisible_rep_legaux=True)])
def test_no_mask_holds_back_a_deletion(masks: Masks) -> None:
    """D1: who was sent a document must learn that it was a mistake."""
    given = order((cda(),), masks=masks, patient=patient(birth_date="20200101"), action=Action.DELETE)
    assert refused(given, patient_recipient()) is None
