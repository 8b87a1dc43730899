"""A CDA without HL7: the request in its headers gives the same model and the same rules (R06, R07, R32, R46…)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from router.cisis import profile
from router.cisis.findings import Verdict
from router.cisis.raw_cda import CDA_HEADERS
from router.cisis.settings import ProfileRules
from router.request import Action, Dialect
from tests.cisis.messages import CODES, DOCTOR, FINESS, INS, IPP_OID, PARENT, PATIENT, cda, told, warned

ASKED = {"request-id": "r1", "dmp": "Y", "mssante-ps": DOCTOR, "mssante-patient": "Y", "ins-status": "VALI"}
NO_INS = ((IPP_OID, "IPP1"),)


def check(document: bytes, headers: dict[str, str], **options: Any) -> Verdict:
    rules = ProfileRules(**{"environment": "qualification", **options})
    return profile.check_cda(document, headers, rules, CODES)


def test_the_request_is_that_of_a_message() -> None:
    """Destinations, recipients, sender and patient as an ORU would give them."""
    verdict = check(cda(), ASKED)
    request = verdict.request
    assert told(verdict) == [] and request is not None
    assert (request.dialect, request.action, request.control_id) == (Dialect.CDA, Action.INITIAL, "r1")
    assert (request.dmp, request.mss_professionals, request.mss_patient) == (True, True, True)
    assert [one.address for one in request.recipients] == [DOCTOR, PATIENT]
    assert request.patient.ins is not None and request.patient.ipp is not None
    assert request.sender is not None and request.sender.person is not None and request.sender.structure is not None
    assert (request.sender.person.family, request.sender.structure.finess) == ("CAMPARINI", FINESS)


def test_R46_without_a_validated_status_no_ins_leaves() -> None:
    """R46: no `ins-status`, or another one, and an INS in the CDA: AE at that header (D2)."""
    for status in ({}, {"ins-status": "PROV"}):
        headers = {key: value for key, value in ASKED.items() if key != "ins-status"} | status
        assert ("R46", "207", "ins-status", "906") in told(check(cda(), headers))


def test_without_an_ins_the_mail_to_professionals_leaves() -> None:
    """D2: X-MSS-INS: N, no patient mail; the patient is refused by name."""
    verdict = check(cda(ids=NO_INS), {"request-id": "r1", "mssante-ps": DOCTOR, "mssante-patient": "Y"})
    assert verdict.request is not None and not verdict.request.patient.qualified
    refused = [one.refusal[0] if one.refusal else "" for one in verdict.request.recipients]
    assert refused == ["", "510"]
    assert "R49" in warned(verdict)


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"request-id": ""}, ("R07", "101", "request-id", "")),
        ({"action": "move"}, ("R32", "103", "action", "")),
        ({"processing-id": "Z"}, ("R06", "202", "processing-id", "")),
        ({"dmp": "oui"}, ("R72", "103", "dmp", "")),
        ({"mssante-ps": "a b@c.fr"}, ("R84", "102", "mssante-ps", "")),
        ({"mssante-patient": "nobody"}, ("R84", "102", "mssante-patient", "")),
        ({"invisible-patient": "Y"}, ("R87", "207", "mssante-patient", "906")),
        ({"masque-ps": "Y"}, ("R89", "207", "mssante-ps", "906")),
        ({"structure-finess": "750100125"}, ("R65", "207", "structure-finess", "906")),
    ],
)
def test_a_fault_names_its_header(headers: dict[str, str], fault: tuple[str, str, str, str]) -> None:
    """ERR-2 of a raw CDA is the header that is wrong."""
    assert told(check(cda(), {**ASKED, **headers}, structures=[FINESS])) == [fault]


def test_R98_a_raw_cda_names_no_more_recipients_than_a_message() -> None:
    """R98: the addresses of `mssante-ps` and the patient's count together."""
    many = ",".join(f"a{number}@x.mssante.fr" for number in range(50))
    alone = {name: value for name, value in ASKED.items() if name != "mssante-patient"}
    assert told(check(cda(), {**alone, "mssante-ps": many})) == []
    assert told(check(cda(), {**ASKED, "mssante-ps": many})) == [("R98", "207", "mssante-ps", "906")]
    assert told(check(cda(), ASKED, **{"most-recipients": 1})) == [("R98", "207", "mssante-ps", "906")]


def test_R91_nothing_asked_for() -> None:
    """R91: a request that asks for nothing is refused at `dmp`."""
    assert told(check(cda(), {"request-id": "r1", "ins-status": "VALI"})) == [("R91", "207", "dmp", "906")]


def test_R62_a_replacement_needs_its_parent() -> None:
    """R62: as for a message, at the document."""
    assert told(check(cda(), {**ASKED, "action": "replace"})) == [("R62", "207", "CDA", "900")]
    verdict = check(cda(parents=(PARENT,)), {**ASKED, "action": "replace"})
    assert verdict.request is not None and verdict.request.replaces == PARENT


def test_a_document_that_is_none_is_refused_and_bodies_are_read() -> None:
    """R35 at `CDA`; a body that is no base64 is left out with a warning."""
    assert told(check(b"PDF", ASKED)) == [("R35", "207", "CDA", "906")]
    text = base64.b64encode("Bonjour Æ".encode()).decode()
    verdict = check(cda(), {**ASKED, "body-ps": text, "body-patient": "@@"})
    assert verdict.request is not None
    assert (verdict.request.body_professionals, verdict.request.body_patient) == ("Bonjour Æ", None)
    assert "R75" in warned(verdict)


def test_an_address_of_another_patient_is_never_written_to() -> None:
    """R86 applies to a raw CDA too."""
    verdict = check(cda(), {**ASKED, "mssante-patient": f"277076322082910@{PATIENT.partition('@')[2]}"})
    assert verdict.request is not None and verdict.request.recipients[1].refusal is not None
    assert INS not in verdict.request.recipients[1].address


def test_every_header_is_described_and_read() -> None:
    """The table is the interface: names are unique, forms and meanings are filled, the model's fields are reachable."""
    names = [one.name for one in CDA_HEADERS]
    assert len(names) == len(set(names)) and all(one.form and one.meaning and one.stands_for for one in CDA_HEADERS)
    sender = {**ASKED, "sender-id": "10101010101", "structure-finess": "750100125"}
    base = check(cda(), sender).request
    changed = {
        "sender-id": "10101010102",
        "sender-family": "NOM",
        "sender-given": "Prénom",
        "structure-finess": FINESS,
        "structure-name": "CHU Y",
        "reply-to": DOCTOR,
        "encounter-class": "O",
        "processing-id": "T",
        "sending-application": "GED",
        "sending-facility": "CHU",
        "ack-reception": "Y",
        "ack-lecture": "Y",
        "no-reply": "Y",
        "modif-conf-code": "Y",
        "connexion-secrete": "Y",
        "invisible-rep-legaux": "Y",
        "body-ps": "Qm9uam91cg==",
        "body-patient": "Qm9uam91cg==",
        "dmp": "N",
        "mssante-ps": "",
        "mssante-patient": "N",
        "request-id": "r2",
        "action": "delete",
    }
    not_accepted = {"ins-status", "masque-ps", "invisible-patient"}  # they turn this request into a fault, see above
    assert set(changed) == set(names) - not_accepted
    for name, value in changed.items():
        found = check(cda(), {**sender, name: value}).request
        assert found is not None and found != base, name


def test_no_header_brings_a_nul() -> None:
    """A file of headers may hold one; the request doesn't."""
    named = {**ASKED, "sender-id": "10101010101", "sender-family": "DU\x00RAND", "structure-finess": "750100125"}
    request = check(cda(), named).request
    assert request is not None and request.sender is not None and request.sender.person is not None
    assert request.sender.person.family == "DURAND"


def test_R38_a_raw_document_with_a_wrong_date_is_refused() -> None:
    """R38: AE 207/906 at the document."""
    wrong = cda(act="2026-01-05")
    verdict = check(wrong, ASKED)
    assert [(one.rule, one.err.code, one.err.location) for one in verdict.faults] == [("R38", "207", "CDA")]
