"""Rules R80–R99: who sends, to whom a mail may leave, and what is not decided at the intake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from router.cisis import profile
from router.cisis.findings import Verdict
from router.cisis.profile import outage
from router.cisis.rules import TABLE
from router.cisis.settings import ProfileRules
from router.hl7.message import Message
from tests.cisis.messages import (
    CODES,
    DOCTOR,
    INS,
    PATIENT,
    RCT,
    RCT_PATIENT,
    SB,
    asked,
    before,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    replacement,
    told,
    warned,
)
from tests.typed import present

MINOR: dict[str, Any] = {"birth": "20150328"}
RECEIVED = datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()


def addresses(verdict: Verdict) -> list[tuple[str, str]]:
    """(address, refusal code) of every recipient."""
    return [(one.address, one.refusal[0] if one.refusal else "") for one in present(verdict.request).recipients]


def test_R80_the_dmp_wants_a_sender_with_a_structure() -> None:
    """R80: no SB, nobody in it, no structure, or two of them."""
    assert told(check(mdm(parts=(RCT,)))) == [("R80", "101", "PRT", "")]
    assert told(check(edit(mdm(), {"PRT[1]-5": ""}))) == [("R80", "101", "PRT^1^5", "")]
    assert told(check(edit(mdm(), {"PRT[1]-8": ""}))) == [("R80", "101", "PRT^1^8^1^10", "")]
    assert told(check(mdm(parts=(SB, SB, RCT)))) == [("R80", "198", "PRT^2^4", "")]
    assert told(check(asked(mdm(parts=(RCT,)), DESTDMP="N"))) == []
    device = edit(mdm(), {"PRT[1]-5": "", "PRT[1]-10": "LOGICIEL-1"})
    assert told(check(device)) == []


def test_R81_professionals_are_named_with_their_address() -> None:
    """R81: nobody, no address, or an address one field too far; a directory may stand in when the site says so."""
    assert told(check(mdm(parts=(SB,)))) == [("R81", "101", "PRT", "")]
    silent = edit(mdm(), {"PRT[2]-15": ""})
    assert told(check(silent)) == [("R81", "101", "PRT^2^15^1^4", "")]
    assert told(check(edit(silent, {"PRT[2]-16": f"^^X.400^{DOCTOR}"}))) == [("R81", "101", "PRT^2^15^1^4", "")]
    verdict = check(silent, resolution_annuaire="si-absente")
    assert addresses(verdict) == [("", "")]
    assert told(check(edit(silent, {"PRT[2]-5": ""}), resolution_annuaire="si-absente")) != []


def test_R82_the_patient_is_named_or_his_address_is_built() -> None:
    """R82: AE 101 without a patient RCT; by option the address is made of the qualified INS."""
    message = oru(parts=(SB, RCT))
    assert told(check(message)) == [("R82", "101", "PRT", "")]
    assert addresses(check(message, build_patient_address=True)) == [(DOCTOR, ""), (PATIENT, "")]
    silent = edit(oru(), {"PRT[3]-15": ""})
    assert told(check(silent)) == [("R82", "101", "PRT^3^15^1^4", "")]
    assert addresses(check(silent, build_patient_address=True)) == [(DOCTOR, ""), (PATIENT, "")]


def test_R83_a_recipient_who_was_not_asked_for_gets_nothing() -> None:
    """R83: AA and a warning; he is not in the request."""
    verdict = check(asked(oru(), DESTMSSANTEPS="N"))
    assert verdict.ack_code == "AA" and "R83" in warned(verdict)
    assert addresses(verdict) == [(PATIENT, "")]
    assert addresses(check(asked(oru(), DESTMSSANTEPAT="N"))) == [(DOCTOR, "")]


@pytest.mark.parametrize(
    "address",
    [
        "adam.hoda",
        "adam hoda@a.fr",
        "a@b.fr, c@d.fr",
        "Adam <a@b.fr>",
        "a@b..fr",
        "a@localhost",
        "a@[127.0.0.1]",
        "a@b.fr\\X0D0A\\Bcc:c@d.fr",
        "x" * 300 + "@b.fr",
        "a@b.fr&c@d.fr",
        "a@b.fr^^~^^X.400^c@d.fr",
        '"a b"@c.fr',
        "a%b.fr@c.fr",
    ],
)
def test_R84_an_address_is_one_plain_address(address: str) -> None:
    """R84: anything else is AE 102, and no second recipient ever comes of it."""
    verdict = check(edit(mdm(), {"PRT[2]-15.4": address}))
    assert told(verdict) == [("R84", "102", "PRT^2^15^1^4", "")]


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("mailto:a.b@Exemple.MSSante.fr", "a.b@exemple.mssante.fr"),
        ("<a.b@exemple.mssante.fr>", "a.b@exemple.mssante.fr"),
        ("\u00a0a@hôpital.mssante.fr ", "a@xn--hpital-ixa.mssante.fr"),
    ],
)
def test_R84_harmless_wrapping_is_removed(written: str, clean: str) -> None:
    """R84: blanks, one mailto:, one pair of brackets; the domain becomes lower-case A-labels."""
    assert addresses(check(edit(mdm(), {"PRT[2]-15.4": written}))) == [(clean, "")]


def test_R85_the_liste_blanche_is_not_asked_at_the_intake() -> None:
    """R85: the list is outside and changes: AA, the sink decides; the table says so."""
    verdict = check(edit(mdm(), {"PRT[2]-15.4": "dr@gmail.com"}))
    assert verdict.ack_code == "AA" and TABLE["R85"].stage == "sink"


def test_R86_a_patient_address_is_his_own_ins() -> None:
    """R86: another local part is never written to: skipped with 510 by default, AE 207/904 by option."""
    message = edit(oru(), {"PRT[3]-15.4": f"27707{PATIENT}"})
    assert addresses(check(message)) == [(DOCTOR, ""), (f"27707{PATIENT}", "510")]
    assert told(check(message, r86="refuse")) == [("R86", "207", "PRT^3^15^1^4", "904")]


@pytest.mark.parametrize("mask", ["INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE"])
def test_R88_a_minor_s_hidden_document_is_not_mailed_to_him(mask: str) -> None:
    """R88: his parents may read that mailbox (D6): 550, as for an unknown age; an adult is served."""
    minor = edit(oru(cda(**MINOR)), {"PID-7": "20150328"})
    assert addresses(check(asked(minor, **{mask: "Y"})))[1] == (PATIENT, "550")
    unknown = edit(oru(cda(birth="")), {"PID-7": ""})
    unknown_verdict = check(asked(unknown, DESTDMP="N", **{mask: "Y"}))
    assert addresses(unknown_verdict)[1] == (PATIENT, "550")
    assert addresses(check(asked(minor, **{mask: "N"})))[1] == (PATIENT, "")
    assert addresses(check(asked(oru(), **{mask: "Y"})))[1] == (PATIENT, "")


@pytest.mark.parametrize("mask", ["INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE", "INVISIBLE_PATIENT"])
def test_R88_a_mask_never_holds_back_a_deletion(mask: str) -> None:
    """R88: a deletion reaches the mailbox of a minor, or of one the document is hidden from, with a warning (D1)."""
    removed = edit(oru(cda(birth="20150101"), status="D", order="CA"), {"PID-7": "20150101", f"OBX[{mask}]-5.1": "Y"})
    verdict = check(removed)
    assert told(verdict) == [] and verdict.request is not None
    assert [one.refusal for one in verdict.request.recipients] == [None, None]
    assert ("R87" if mask == "INVISIBLE_PATIENT" else "R88") in warned(verdict)


def test_R88_the_age_is_that_of_the_day_of_the_act() -> None:
    """R88: eighteen on the day itself."""
    for birth, refusal in (("20080105", ""), ("20080106", "550")):
        message = edit(oru(cda(birth=birth, act="20260105")), {"PID-7": birth})
        assert addresses(check(asked(message, CONNEXION_SECRETE="Y")))[1] == (PATIENT, refusal)


def test_R88_an_act_in_the_future_makes_nobody_an_adult() -> None:
    """R88: the sender writes the date of the act; one after tomorrow leaves a minor a minor, and is warned of (R38)."""
    message = edit(oru(cda(birth="20110101", act="20350105")), {"PID-7": "20110101"})
    for mask in ("INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE"):
        verdict = check(asked(message, **{mask: "Y"}))
        assert addresses(verdict)[1] == (PATIENT, "550")
        assert {"R38", "R88"} <= warned(verdict)


def test_R88_the_day_of_reception_bounds_the_age() -> None:
    """R88: read again when he has come of age, the message has the verdict of the day it was received."""
    message = asked(edit(oru(cda(birth="20080106", act="20260106")), {"PID-7": "20080106"}), CONNEXION_SECRETE="Y")
    assert addresses(check(message, at=RECEIVED))[1] == (PATIENT, "550")
    assert addresses(check(message, at=RECEIVED + 86400))[1] == (PATIENT, "")


@pytest.mark.parametrize("level", ["R", "V"])
def test_R90_a_restricted_document_for_the_dmp(level: str) -> None:
    """R90: warned, held back or refused as the site says; a deletion is only warned."""
    document = cda(confidentiality=level)
    assert "R90" in warned(check(oru(document)))
    held = check(oru(document), r90="hold")
    assert held.request is not None and held.request.dmp_inadmissible is not None
    assert held.request.dmp_inadmissible[0] == "R90"
    assert told(check(oru(document), r90="refuse")) == [("R90", "207", "OBX^1^5^1^5", "906")]
    gone = check(deletion(cda(code="18748-4", confidentiality=level)), r90="refuse")
    assert gone.ack_code == "AA" and "R90" in warned(gone)


def test_R92_a_document_never_seen_may_be_replaced_or_deleted() -> None:
    """R92: its history may be elsewhere; the profile has no memory, so AA."""
    assert check(replacement()).ack_code == check(deletion()).ack_code == "AA"
    assert TABLE["R92"].stage == "dmp"


def test_R93_a_document_submitted_again_is_accepted() -> None:
    """R93: another MSH-10 with the same document id: AA, the DMP answers."""
    assert check(mdm()).ack_code == check(edit(mdm(), {"MSH-10": "016"})).ack_code == "AA"
    assert TABLE["R93"].stage == "dmp"


@pytest.mark.parametrize(
    ("part", "address"), [(3, DOCTOR), (2, PATIENT)], ids=["INS and a doctor's mailbox", "doctor and a patient's"]
)
def test_R95_identity_and_mailbox_agree(part: int, address: str) -> None:
    """R95: the wrong person might read it: AE 207/906."""
    verdict = check(edit(oru(), {f"PRT[{part}]-15.4": address}))
    assert ("R95", "207", f"PRT^{part}^15^1^4", "906") in told(verdict)


@pytest.mark.parametrize(("part", "address", "kind"), [(3, DOCTOR, "DESTMSSANTEPAT"), (2, PATIENT, "DESTMSSANTEPAT")])
def test_R95_is_seen_whatever_was_asked_for(part: int, address: str, kind: str) -> None:
    """R95: an INS with a doctor's mailbox, or the reverse, is AE also where that kind gets no mail (R83)."""
    parts = (SB, RCT) if part == 2 else (SB, RCT, RCT_PATIENT)
    message = asked(edit(oru(parts=parts), {f"PRT[{part}]-15.4": address}), **{kind: "N"})
    assert ("R95", "207", f"PRT^{part}^15^1^4", "906") in told(check(message))


def test_R97_an_address_is_written_to_once() -> None:
    """R97: the first who bears it stands for both, whatever the case."""
    verdict = check(mdm(parts=(SB, RCT, RCT.replace(DOCTOR, DOCTOR.title()))))
    assert addresses(verdict) == [(DOCTOR, "")] and "R97" in warned(verdict)


def test_R98_a_message_names_no_more_recipients_than_the_feed_allows() -> None:
    """R98: AE 207/906 at the first PRT beyond `most_recipients`; 50 by default, patient and repeated ones included."""
    doctors = tuple(RCT.replace(DOCTOR, f"a{number}@x.mssante.fr") for number in range(51))
    assert check(mdm(parts=(SB, *doctors[:50]))).ack_code == "AA"
    assert told(check(mdm(parts=(SB, *doctors)))) == [("R98", "207", "PRT^52", "906")]
    assert told(check(mdm(parts=(SB, *doctors[:3])), most_recipients=2)) == [("R98", "207", "PRT^4", "906")]
    assert told(check(mdm(parts=(SB, RCT, RCT, RCT)), most_recipients=2)) == [("R98", "207", "PRT^4", "906")]
    assert told(check(oru(parts=(SB, RCT, RCT_PATIENT)), most_recipients=1)) == [("R98", "207", "PRT^3", "906")]


def test_R98_participants_of_no_use_are_bounded_too() -> None:
    """R98: PRT that are no recipient cost as much to read: twenty beside the recipients, refused before they are."""
    others = tuple(RCT.replace("RCT^^", "RT^^") for _ in range(19))
    assert check(mdm(parts=(SB, RCT, *others)), most_recipients=1).ack_code == "AA"
    assert told(check(mdm(parts=(SB, RCT, *others, SB)), most_recipients=1)) == [("R98", "207", "PRT^22", "906")]


def test_R98_what_was_accepted_with_more_recipients_keeps_them_all() -> None:
    """A message accepted before the limit, read again by the pipeline: every recipient is still in its request."""
    doctors = tuple(RCT.replace(DOCTOR, f"a{number}@x.mssante.fr") for number in range(80))
    rules = ProfileRules(environment="qualification")
    verdict = profile.check(Message.parse(mdm(parts=(SB, *doctors))), rules, CODES, keep=True)
    assert verdict.request is not None and len(verdict.request.recipients) == 80


def test_R99_an_outage_is_ar_and_may_be_sent_again() -> None:
    """R99: ERR-3 207, ERR-5 906, no place."""
    found = outage()
    assert (found.rule, found.err.code, found.err.location) == ("R99", "207", "")
    assert found.err.application is not None and found.err.application[0] == "906"


def test_recipients_are_classified_by_what_names_them() -> None:
    """mssante §4.1: organisation, application and bare address beside professional and patient."""
    service = f"PRT||UC||RCT^^participation||||Urologie^^^^^120456789^UF^^^3435|||||||^^X.400^{DOCTOR}"
    machine = "PRT||UC||RCT^^participation||||||12|||||^^X.400^app@chu.mssante.fr"
    bare = "PRT||UC||RCT^^participation|||||||||||^^X.400^b@chu.mssante.fr"
    verdict = check(mdm(parts=(SB, service, machine, bare)))
    assert verdict.request is not None
    assert [(one.kind.value, one.owner) for one in verdict.request.recipients] == [
        ("organisation", "120456789"),
        ("application", ""),
        ("address", ""),
    ]


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        ("10101010101", "RPPS", ("810101010101", "IDNPS")),
        ("801234567866", "RPPS", ("801234567866", "IDNPS")),
        ("751234567", "ADELI", ("0751234567", "IDNPS")),
        ("3750100125/42", "IDNPS", ("3750100125/42", "EI")),
        ("101234567897", "RPPS", ("101234567897", "RPPS")),
    ],
)
def test_numbers_of_professionals_become_ps_id_nat(number: str, kind: str, expected: tuple[str, str]) -> None:
    """hl7-input §5.5: prefix what is bare, leave what carries its prefix."""
    verdict = check(edit(mdm(), {"PRT[1]-5.1": number, "PRT[1]-5.13": kind}))
    assert verdict.request is not None and verdict.request.sender is not None
    assert verdict.request.sender.person is not None
    assert (verdict.request.sender.person.id, verdict.request.sender.person.kind) == expected


def test_the_reply_address_is_read_and_a_wrong_one_left_out() -> None:
    """PRT REPLY gives Reply-To; a wrong one stops nothing."""
    reply = f"PRT||UC||REPLY^^participation|||||||||||^^X.400^{DOCTOR}"
    assert present(check(mdm(parts=(SB, RCT, reply))).request).reply_to == DOCTOR
    verdict = check(mdm(parts=(SB, RCT, reply.replace(DOCTOR, "nobody"))))
    assert verdict.request is not None and verdict.request.reply_to == "" and "R84" in warned(verdict)


def test_a_patient_recipient_carries_no_professional() -> None:
    """The patient's RCT names him by his INS, never as somebody who has a PS_IdNat."""
    verdict = check(oru(parts=(SB, RCT, RCT_PATIENT)))
    assert verdict.request is not None
    patient = verdict.request.recipients[1]
    assert (patient.kind.value, patient.person, patient.id) == ("patient", None, INS)


def test_nte_4_fin_closes_the_answer() -> None:
    """NTE-4 = FIN right behind DESTMSSANTEPAT; elsewhere it says nothing."""
    assert present(check(before(oru(), "OBX", "NTE|1|||FIN|", 10)).request).no_reply is True
    assert present(check(before(oru(), "OBX", "NTE|1|||FIN|", 5)).request).no_reply is False
