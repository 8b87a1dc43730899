"""Rules R40–R49: who the patient is, and what of his INS may leave (decisions D2, D3, D4, D9)."""

from __future__ import annotations

import pytest

from tests.cisis.messages import (
    INS,
    INS_NIR,
    INS_TEST,
    IPP_OID,
    OTHER_INS,
    PID,
    asked,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    told,
    warned,
)
from tests.typed import present

NO_INS = ((IPP_OID, "IPP1"),)
LOCAL = f"IPP1^^^CHU-X&{IPP_OID}&ISO^PI"
#: The message's destinations, all but one.
DMP_ALONE = {"DESTDMP": "Y", "DESTMSSANTEPS": "N", "DESTMSSANTEPAT": "N"}
MAIL_ALONE = {"DESTDMP": "N", "DESTMSSANTEPS": "Y", "DESTMSSANTEPAT": "N"}
DMP_AND_MAIL = {"DESTDMP": "Y", "DESTMSSANTEPS": "Y", "DESTMSSANTEPAT": "N"}


def provisional(*documents: bytes, **destinations: str) -> bytes:
    """A message whose PID-32 is PROV."""
    return edit(asked(oru(*documents), **destinations), {"PID-32": "PROV"})


def test_R40_identifier_and_name_are_required() -> None:
    """R40: AE 101 at PID-3 and PID-5."""
    assert told(check(edit(mdm(), {"PID-3": "", "PID-5": ""})))[:2] == [
        ("R40", "101", "PID^1^3", ""),
        ("R40", "101", "PID^1^5", ""),
    ]


@pytest.mark.parametrize("ids", [((INS_TEST, OTHER_INS),), ((INS_NIR, INS),)], ids=["matricule", "oid"])
def test_R41_both_ins_are_equal_in_number_and_authority(ids: tuple[tuple[str, str], ...]) -> None:
    """R41: another matricule, or the same under another OID, is AE 207/904."""
    assert told(check(oru(cda(ids=ids)))) == [("R41", "207", "PID^1^3", "904")]


def test_R41_without_two_ins_a_local_identifier_is_common_through_the_table() -> None:
    """R41: the feed's `autorites` say which OID an HL7 authority has; a different number there is AE 904."""
    pid = {"PID-3": "IPP1^^^CHU-X&000897406&N^PI"}
    document = cda(ids=NO_INS)
    message = edit(asked(oru(document), **MAIL_ALONE), pid)
    table = {"CHU-X&000897406&N": IPP_OID}
    assert "R41" in warned(check(message))
    assert "R41" not in warned(check(message, autorites=table))
    other = edit(message, {"PID-3": "IPP2^^^CHU-X&000897406&N^PI"})
    assert told(check(other, autorites=table)) == [("R41", "207", "PID^1^3", "904")]
    assert present(present(check(message, autorites=table).request).patient.ipp).authority == IPP_OID


@pytest.mark.parametrize(
    ("changes", "trait", "place"),
    [
        ({"PID-5.1": "DURAND"}, "nom de naissance", "PID^1^5"),
        ({"PID-7": "19790329"}, "date de naissance", "PID^1^7"),
        ({"PID-8": "M"}, "sexe", "PID^1^8"),
        ({"PID-5.2": "MARINE"}, "premier prénom", "PID^1^5"),
        ({"PID-11[2].9": "75056"}, "lieu de naissance", "PID^1^11"),
    ],
)
def test_R42_traits_are_always_compared(changes: dict[str, str], trait: str, place: str) -> None:
    """R42: a different trait is AE 207/904 at its field, with the same INS or without any; no option relaxes it."""
    verdict = check(edit(oru(), changes), dmp_inadmissible="volet")
    assert told(verdict) == [("R42", "207", place, "904")]
    assert trait in verdict.faults[0].text
    without_ins = edit(
        asked(oru(cda(ids=NO_INS)), **MAIL_ALONE), {"PID-3": "IPP1^^^&1.2.250.1.999.9&ISO^PI", **changes}
    )
    assert told(check(without_ins)) == [("R42", "207", place, "904")]


def test_R42_each_field_that_differs_has_its_place() -> None:
    """R42: two names are one field, the sex is another one."""
    verdict = check(edit(oru(), {"PID-5.1": "DURAND", "PID-5.2": "MARINE", "PID-8": "M"}))
    assert [one.err.location for one in verdict.faults] == ["PID^1^5", "PID^1^8"]
    assert "(nom de naissance, premier prénom)" in verdict.faults[0].text


@pytest.mark.parametrize(
    ("names", "changes", "ack"),
    [
        ("DOMINIQUE", {}, "AA"),
        ("NICOLE", {}, "AE"),
        ("NICOLE", {"PID-5.3": "DOMINIQUE NICOLE"}, "AA"),
        ("NICOLE", {"PID-5[2].1": "MARTIN", "PID-5[2].2": "Nicole", "PID-5[2].7": "D"}, "AA"),
    ],
)
def test_R42_a_cda_of_used_names_alone_is_compared_too(names: str, changes: dict[str, str], ack: str) -> None:
    """R42: the used given name has to be one of those that PID writes: a sister's is none of them (D10)."""
    head = b'<given qualifier="BR">DOMINIQUE</given>\n<given>DOMINIQUE</given>'
    document = cda(ids=NO_INS)
    assert head in document
    message = oru(document.replace(head, f'<given qualifier="CL">{names}</given>'.encode()), metadata=MAIL_ALONE)
    assert check(edit(message, changes)).ack_code == ack


@pytest.mark.parametrize(("family", "ack"), [("PAT-TROIS", "AA"), ("MARTIN", "AA"), ("DURAND", "AE")])
def test_R42_a_cda_of_a_used_family_name_alone_is_compared_too(family: str, ack: str) -> None:
    """R42: it has to be the name of birth or the used name of PID (D10)."""
    document = cda(ids=NO_INS).replace(
        b'<family qualifier="BR">PAT-TROIS</family>', f'<family qualifier="CL">{family}</family>'.encode()
    )
    used = {"PID-5[2].1": "MARTIN", "PID-5[2].2": "DOMINIQUE", "PID-5[2].7": "D"}
    assert check(edit(oru(document, metadata=MAIL_ALONE), used)).ack_code == ack


def test_R42_accents_hyphens_and_case_are_no_difference() -> None:
    """R42: traits are normalised first (hl7-input §5.3)."""
    assert told(check(edit(oru(cda(family="Pât Trois")), {"PID-5.1": "pat-trois"}))) == []


def test_R42_a_sister_of_the_same_list_is_refused() -> None:
    """R42: the first given name differs though the lists are the same: AE, whatever else agrees (D10)."""
    document = cda(given="ÉLODIE").replace(b"<given>\xc3\x89LODIE</given>", "<given>ÉLODIE GAËLLE</given>".encode())
    sister = edit(oru(document), {"PID-5.2": "GAELLE", "PID-5.3": "ELODIE GAELLE"})
    assert told(check(sister)) == [("R42", "207", "PID^1^5", "904")]
    assert check(edit(sister, {"PID-5.2": "Elodie"})).ack_code == "AA"


def test_R42_lists_of_given_names_only_warn() -> None:
    """R42: another list is told, and refuses nothing; a list that one side lacks is not even told (D10)."""
    other = check(edit(oru(), {"PID-5.3": "DOMINIQUE ANNE"}))
    assert other.ack_code == "AA" and "R42" in warned(other)
    absent = check(edit(oru(), {"PID-5.3": ""}))
    assert absent.ack_code == "AA" and "R42" not in warned(absent)


@pytest.mark.parametrize(
    ("names", "received", "ack"),
    [
        ("<given>JEAN</given><given>PAUL</given>", "JEAN", "AA"),
        ("<given>JEAN</given><given>PAUL</given>", "PAUL", "AE"),
        ("<given>JEAN PAUL MARIE</given>", "JEAN-PAUL", "AA"),
        ("<given>JEAN PAUL MARIE</given>", "MARIE", "AE"),
        ('<given>PAUL</given><given qualifier="BR">JEAN</given>', "PAUL", "AE"),
        ('<given qualifier="CL">PAUL</given><given>JEAN</given>', "PAUL", "AE"),
        ('<given qualifier="BR">JEAN</given><given qualifier="BR">PAUL</given>', "JEAN", "AA"),
        ('<given qualifier="BR">JEAN</given><given qualifier="BR">PAUL</given>', "PAUL", "AE"),
    ],
)
def test_R42_the_given_name_of_birth_is_the_one_that_counts(names: str, received: str, ack: str) -> None:
    """R42: BR where it is there, else the first of the unqualified ones; a used name never counts (D10)."""
    head = b'<given qualifier="BR">DOMINIQUE</given>\n<given>DOMINIQUE</given>'
    document = cda(ids=NO_INS)
    assert head in document
    message = oru(document.replace(head, names.encode()), metadata=MAIL_ALONE)
    verdict = check(edit(message, {"PID-5.2": received, "PID-5.3": ""}))
    assert verdict.ack_code == ack


def test_R43_the_dmp_wants_the_ins_in_the_cda() -> None:
    """R43: AE 207/903 when the DMP is the only destination; else the DMP leg alone stops (D4)."""
    document = cda(ids=NO_INS)
    assert told(check(asked(oru(document), **DMP_ALONE))) == [("R43", "207", "OBX^1^5^1^5", "903")]
    verdict = check(asked(oru(document), **DMP_AND_MAIL))
    assert verdict.request is not None and verdict.request.dmp_inadmissible is not None
    assert (verdict.ack_code, verdict.request.dmp_inadmissible[0]) == ("AA", "R43")


@pytest.mark.parametrize("item", ["county", "birthTime", "<given>DOMINIQUE", "administrativeGenderCode"])
def test_R44_the_dmp_wants_every_trait_beside_the_ins(item: str) -> None:
    """R44: AE 207/905 with the DMP alone, the DMP leg alone with a mail beside."""
    document = cda(drop=item)
    assert told(check(asked(oru(document), **DMP_ALONE))) == [("R44", "207", "OBX^1^5^1^5", "905")]
    assert check(asked(oru(document), **DMP_AND_MAIL)).ack_code == "AA"


def test_R45_the_dmp_wants_a_qualified_identity() -> None:
    """R45: at PID-32 without VALI, at PID-3 without an INS."""
    document = cda(ids=NO_INS)
    assert told(check(provisional(document, **DMP_ALONE))) == [("R45", "207", "PID^1^32", "903")]
    no_ins = edit(asked(oru(document), **DMP_ALONE), {"PID-3": f"IPP1^^^&{IPP_OID}&ISO^PI"})
    assert told(check(no_ins)) == [("R45", "207", "PID^1^3", "903")]


def test_R45_with_a_mail_beside_only_the_dmp_leg_stops() -> None:
    """R45 under D4: `volet` accepts and says why the DMP is not tried, `message` refuses all."""
    message = provisional(cda(ids=NO_INS), **DMP_AND_MAIL)
    verdict = check(message)
    assert verdict.request is not None
    assert verdict.request.dmp_inadmissible == ("R45", "Identité non qualifiée : dépôt au DMP impossible.")
    assert verdict.request.dmp and verdict.request.patient.ins is None
    assert told(check(message, dmp_inadmissible="message")) == [("R45", "207", "PID^1^32", "903")]


@pytest.mark.parametrize("mode", ["volet", "message"])
def test_R45_a_deletion_at_the_dmp_wants_the_identity_of_the_deposit(mode: str) -> None:
    """R45: PROV since the deposit, or no INS: the deletion is AE whatever D4 says, and a person hears of it (D1)."""
    document = cda(code="18748-4", ids=NO_INS)
    for changes in ({"PID-32": "PROV"}, {"PID-3": "IPP1^^^CHU-X^PI"}):
        verdict = check(edit(deletion(document), changes), dmp_inadmissible=mode)
        assert [one[0] for one in told(verdict)] == ["R45"] and verdict.alert == "deletion-downgraded"
    verdict = check(edit(asked(deletion(document), DESTDMP="N"), {"PID-32": "PROV"}))
    assert (verdict.ack_code, verdict.alert) == ("AA", "")
    verdict = check(edit(mdm(document), {"PID-32": "PROV"}))
    assert (verdict.ack_code, verdict.alert) == ("AA", "")
    named = check(edit(deletion(), {"PID-32": "PROV"}))
    assert {one[0] for one in told(named)} == {"R45", "R46"} and named.alert == "deletion-downgraded"


def test_R45_when_nothing_else_can_leave_the_message_is_refused() -> None:
    """R45: a mail to the patient, which is refused too, does not save the message."""
    message = provisional(cda(ids=NO_INS), DESTDMP="Y", DESTMSSANTEPS="N", DESTMSSANTEPAT="Y")
    assert told(check(message)) == [("R45", "207", "PID^1^32", "903")]


@pytest.mark.parametrize("destinations", [DMP_ALONE, MAIL_ALONE, DMP_AND_MAIL], ids=["dmp", "mail", "both"])
def test_R46_an_unqualified_ins_in_the_cda_leaves_by_no_road(destinations: dict[str, str]) -> None:
    """R46: AE 207/906, whatever the destinations and whatever D4 says."""
    faults = told(check(provisional(**destinations)))
    assert ("R46", "207", "OBX^1^5^1^5", "906") in faults


@pytest.mark.parametrize("status", ["VALI~FICT", "VALI~DOUT", "VALI~PROV", "", "COLV"])
def test_R46_fictitious_doubtful_or_absent_status_is_not_qualified(status: str) -> None:
    """R46: an attribute beside VALI disqualifies as the absence of VALI does."""
    message = edit(asked(oru(), **MAIL_ALONE), {"PID-32": status})
    assert told(check(message)) == [("R46", "207", "OBX^1^5^1^5", "906")]


def test_R46_vali_without_an_ins_qualifies_nothing() -> None:
    """R46: PID-32 = VALI, no INS in PID-3 (or one with a wrong key), one in the CDA: AE at intake, not at the sink."""
    for pid in (LOCAL, f"{INS[:-2]}11^^^NIR&{INS_TEST}&ISO^INS~{LOCAL}"):
        ids = ((INS_TEST, INS if pid.startswith("IPP") else INS[:-2] + "11"), (IPP_OID, "IPP1"))
        verdict = check(edit(asked(oru(cda(ids=ids)), **MAIL_ALONE), {"PID-3": pid}))
        assert told(verdict) == [("R46", "207", "OBX^1^5^1^5", "906")]
        assert "PID-3" in verdict.faults[0].text
    bare = edit(asked(oru(cda(ids=NO_INS)), **MAIL_ALONE), {"PID-3": LOCAL})
    assert told(check(bare)) == []


def test_R46_an_absent_status_is_noted() -> None:
    """R46: without PID-32 the identity is not qualified, and the operator sees why (E29)."""
    verdict = check(edit(asked(oru(cda(ids=NO_INS)), **MAIL_ALONE), {"PID-32": ""}))
    assert verdict.ack_code == "AA"
    assert [one.err.location for one in verdict.warnings if one.rule == "R46"] == ["PID^1^32"]
    assert "R46" not in warned(check(provisional(cda(ids=NO_INS), **MAIL_ALONE)))


def test_R46_a_fictitious_indicator_disqualifies() -> None:
    """R46: PID-31 = Y."""
    assert told(check(edit(asked(oru(), **MAIL_ALONE), {"PID-31": "Y"}))) == [("R46", "207", "OBX^1^5^1^5", "906")]


def test_R47_a_wrong_key_matters_to_the_dmp() -> None:
    """R47: AE 102 with the DMP, a warning without; such an INS is not carried on, nor the CDA that holds it (R46)."""
    wrong = INS[:-2] + "11"
    message = edit(oru(cda(ids=((INS_TEST, wrong),))), {"PID-3[1].1": wrong})
    assert ("R47", "102", "PID^1^3^1^1", "") in told(check(message))
    held = check(asked(message, **MAIL_ALONE))
    assert "R47" in warned(held) and [one[0] for one in told(held)] == ["R46"]
    verdict = check(edit(asked(oru(cda(ids=NO_INS)), **MAIL_ALONE), {"PID-3[1].1": wrong}))
    assert "R47" in warned(verdict) and verdict.request is not None
    assert verdict.request.patient.ins is None
    assert wrong not in verdict.request.patient.model_dump_json()


@pytest.mark.parametrize(("before", "place"), [("", 1), ("IPP1^^^CHU-X^PI~", 2), ("~A^^^CHU-X^PI~", 3)])
def test_R47_the_repetition_that_holds_the_key_is_named(before: str, place: int) -> None:
    """R47: ERR-2 points at the repetition of PID-3 that holds the INS, wherever it stands."""
    wrong = INS[:-2] + "11"
    pid = f"{before}{wrong}^^^INS-NIR&{INS_TEST}&ISO^INS"
    faults = told(check(edit(oru(cda(ids=((INS_TEST, wrong),))), {"PID-3": pid})))
    assert ("R47", "102", f"PID^1^3^{place}^1", "") in faults


def test_R48_a_test_ins_has_no_place_in_production() -> None:
    """R48: AE 207/906 there; a real one in qualification is a warning."""
    assert ("R48", "207", "PID^1^3", "906") in told(check(oru(), environment="production"))
    real = edit(oru(cda(ids=((INS_NIR, INS),))), {"PID-3[1].4.2": INS_NIR})
    assert told(check(real, environment="production")) == []
    assert "R48" in warned(check(real))


def test_R49_no_mail_to_a_patient_who_is_not_qualified() -> None:
    """R49: the patient is refused with 510, the professional is served, no INS is carried."""
    verdict = check(provisional(cda(ids=NO_INS), DESTDMP="N"))
    assert verdict.request is not None
    refusals = {one.kind.value: one.refusal for one in verdict.request.recipients}
    assert refusals["professional"] is None
    assert refusals["patient"] is not None and refusals["patient"][0] == "510"
    assert INS not in verdict.request.patient.model_dump_json()


def test_a_billing_number_is_no_ins_and_does_not_travel() -> None:
    """CX-5 = NH under the INS OID is the NIR de facturation (hl7-input §5.1)."""
    pid = PID.replace("^INS~", "^NH~")
    verdict = check(asked(oru(cda(ids=NO_INS), pid=pid), **MAIL_ALONE))
    assert verdict.request is not None
    assert verdict.request.patient.ins is None
    assert [one.kind for one in verdict.request.patient.identifiers] == ["PI"]


def test_the_nir_is_preferred_to_the_nia() -> None:
    """A patient with both is known by the NIR (PAM-FR §6.6.1)."""
    nia = f"{OTHER_INS}^^^INS-NIA&1.2.250.1.213.1.4.9&ISO^INS"
    nir = f"{INS}^^^INS-NIR&{INS_NIR}&ISO^INS"
    message = edit(oru(cda(ids=((INS_NIR, INS),))), {"PID-3": f"{nia}~{nir}"})
    verdict = check(message)
    assert verdict.request is not None and verdict.request.patient.ins is not None
    assert (verdict.request.patient.ins.value, verdict.request.patient.ins.authority) == (INS, INS_NIR)
