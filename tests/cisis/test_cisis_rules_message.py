"""Rules R01–R38: frame, header, structure, action, document bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from router.cisis import profile
from router.cisis.rules import TABLE
from router.cisis.settings import ProfileRules
from router.hl7.message import Message
from router.xds.metadata import document_entry
from tests.cisis.messages import (
    CODES,
    PATIENT,
    RCT,
    asked,
    b64,
    before,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    pair,
    replacement,
    schema_gate,
    told,
    warned,
    without,
)


@pytest.mark.parametrize(
    "message", [oru(), mdm(), replacement(), deletion(), pair()], ids=["oru", "mdm", "replace", "delete", "pair"]
)
def test_the_base_messages_are_accepted(message: bytes) -> None:
    """Every other test changes one thing in a message that is right."""
    verdict = check(message)
    assert (verdict.ack_code, told(verdict)) == ("AA", [])
    assert verdict.request is not None and len(verdict.documents) == len(verdict.request.documents)


@pytest.mark.parametrize("frame", [b"", b"PID|1", b"MSH|^~\\&|A", b"MSH|^^^^|A|B|C|D|1||ORU^R01|1|P|2.5"])
def test_R01_a_frame_without_readable_msh_is_refused(frame: bytes) -> None:
    """R01: nothing readable gives AE 100."""
    assert [one[:2] for one in told(check(frame))] == [("R01", "100")]


@pytest.mark.parametrize("kind", ["ADT^A01^ADT_A01", "OUL^R22^OUL_R22", ""])
def test_R02_only_oru_and_mdm_are_taken(kind: str) -> None:
    """R02: AE 200, and no other reproach."""
    assert told(check(edit(oru(), {"MSH-9": kind}))) == [("R02", "200", "MSH^1^9^1^1", "")]


def test_R03_only_the_events_of_the_volet_are_taken() -> None:
    """R03: AE 201."""
    assert told(check(edit(oru(), {"MSH-9": "ORU^R32"}))) == [("R03", "201", "MSH^1^9^1^2", "")]
    assert told(check(mdm(event="T08"))) == [("R03", "201", "MSH^1^9^1^2", "")]


def test_R04_a_wrong_structure_is_refused_and_an_absent_one_noted() -> None:
    """R04: AE 200 at MSH-9.3; absent warns."""
    assert told(check(edit(oru(), {"MSH-9.3": "MDM_T02"}))) == [("R04", "200", "MSH^1^9^1^3", "")]
    verdict = check(edit(oru(), {"MSH-9.3": ""}))
    assert verdict.ack_code == "AA" and "R04" in warned(verdict)


def test_R05_the_version_is_that_of_the_message_type() -> None:
    """R05: AE 203; 2.5.1 is accepted with a warning unless the site refuses it; VID.1 alone counts."""
    assert told(check(edit(mdm(), {"MSH-12": "2.5"}))) == [("R05", "203", "MSH^1^12", "")]
    assert told(check(edit(oru(), {"MSH-12": "2.5^FRA^2.11"}))) == []
    assert "R05" in warned(check(edit(oru(), {"MSH-12": "2.5.1"})))
    assert told(check(edit(oru(), {"MSH-12": "2.5.1"}), accept_2_5_1=False)) == [("R05", "203", "MSH^1^12", "")]


def test_R06_the_processing_id_must_be_allowed_here() -> None:
    """R06: T on a production instance is AE 202, in qualification it is taken."""
    test = edit(oru(), {"MSH-11": "T"})
    assert ("R06", "202", "MSH^1^11", "") in told(check(test, environment="production"))
    assert told(check(test)) == []
    assert told(check(test, processing_ids=["P"])) == [("R06", "202", "MSH^1^11", "")]


def test_R07_the_control_id_is_required() -> None:
    """R07: AE 101."""
    assert told(check(edit(oru(), {"MSH-10": ""}))) == [("R07", "101", "MSH^1^10", "")]


def test_R08_parties_and_date_are_required_and_the_sender_known() -> None:
    """R08: one AE 101 per absent field; a sender the feed doesn't know is 207/906."""
    assert told(check(edit(oru(), {"MSH-3": "", "MSH-7": ""}))) == [
        ("R08", "101", "MSH^1^3", ""),
        ("R08", "101", "MSH^1^7", ""),
    ]
    assert told(check(oru(), senders=["AUTRE"])) == [("R08", "207", "MSH^1^3", "906")]
    assert told(check(oru(), senders=["SIL-Y|labo"])) == []


def test_R08_a_party_may_have_a_number_and_no_name() -> None:
    """R08: an HD whose first component is empty is there all the same."""
    assert told(check(edit(oru(), {"MSH-3": "^1.2.3^ISO"}))) == []
    assert told(check(edit(oru(), {"MSH-4": "^^ISO", "MSH-5": '""'}))) == [("R08", "101", "MSH^1^5", "")]


def test_R09_another_country_is_only_noted() -> None:
    """R09: a warning."""
    verdict = check(edit(oru(), {"MSH-17": "BEL"}))
    assert verdict.ack_code == "AA" and "R09" in warned(verdict)


def test_R10_the_character_set_is_known_and_respected() -> None:
    """R10: unknown is 103, foreign bytes are 102, unless the feed has a fall-back."""
    assert told(check(oru().replace(b"UNICODE UTF-8", b"KOI8"))) == [("R10", "103", "MSH^1^18", "")]
    latin = oru().replace(b"Eric", "Éric".encode("latin-1"))
    assert told(check(latin)) == [("R10", "102", "MSH^1^18", "")]
    assert "R10" in warned(check(latin, charset_fallback="iso-8859-15"))


def test_R11_the_profile_is_one_of_the_volet() -> None:
    """R11: the output volet's profile is AE 103; an absent MSH-21 is inferred with a warning."""
    assert told(check(oru(version="1.0^CISIS_CDA_HL7_LPS"))) == [("R11", "103", "MSH^1^21", "")]
    assert told(check(oru(version="3.0^CISIS_CDA_HL7_V2"))) == [("R11", "103", "MSH^1^21", "")]
    verdict = check(oru(version=""))
    assert verdict.ack_code == "AA" and "R11" in warned(verdict)


def test_R12_a_message_in_pieces_is_refused() -> None:
    """R12: MSH-14 or a DSC segment is AE 199."""
    assert told(check(edit(oru(), {"MSH-14": "1"}))) == [("R12", "199", "MSH^1^14", "")]
    assert told(check(oru() + b"DSC|1\r")) == [("R12", "199", "MSH^1^14", "")]


def test_R13_the_gateway_applies_the_rule_on_reused_control_ids() -> None:
    """R13: the table gives the answer; the profile itself, which has no memory, accepts."""
    rule = TABLE["R13"]
    assert (rule.stage, rule.option, rule.cases[0].location) == ("gateway", "same_control_id_other_content", "MSH^1^10")
    assert told(check(oru())) == told(check(edit(oru(), {"PV1-2": "O"}))) == []


@pytest.mark.parametrize("name", ["EVN", "PID", "PV1", "ORC", "OBR", "TXA"])
def test_R20_a_missing_segment_is_named(name: str) -> None:
    """R20: AE 100 `SEG^1`."""
    assert ("R20", "100", f"{name}^1", "") in told(check(without(mdm(), name)))


def test_R20_pv1_may_be_absent_from_an_oru() -> None:
    """R20: PATIENT_VISIT is RE there: a warning."""
    verdict = check(without(oru(), "PV1"))
    assert verdict.ack_code == "AA" and "R20" in warned(verdict)


def test_R21_segments_stand_in_order() -> None:
    """R21: an OBR before its ORC, and a PRT behind a metadata, are AE 100."""
    swapped = before(without(oru(), "ORC"), "OBX", "ORC|NW")
    assert ("R21", "100", "OBR^1", "") in told(check(swapped)) or ("R21", "100", "ORC^1", "") in told(check(swapped))
    assert told(check(oru() + f"{RCT}\r".encode())) == [("R21", "100", "PRT^4", "")]


def test_R22_the_number_of_documents_is_limited() -> None:
    """R22: two in an MDM, three in an ORU, or two orders, are AE 198."""
    assert told(check(mdm(cda(code="18748-4"), cda(code="18748-4", uid="1.2.9")))) == [("R22", "198", "OBX^2^3", "")]
    assert ("R22", "198", "OBX^3^3", "") in told(check(oru(cda(), cda(level=3, uid="1.2.9"), cda(uid="1.2.8"))))
    assert ("R22", "198", "ORC^2", "") in told(check(oru() + b"ORC|NW\r"))


def test_R23_a_pair_shares_action_and_patient_but_neither_id_nor_level() -> None:
    """R23: AE 207/906 for each way to break it."""
    assert ("R23", "207", "OBX^2^11", "906") in told(check(edit(pair(), {"OBX[2]-11": "D"})))
    one = cda()
    assert told(check(oru(one, one))) == [("R23", "207", "OBX^2^5^1^5", "906")] * 2
    stranger = cda(level=3, uid="1.2.9", ids=(("1.2.250.1.999.5", "X"),))
    assert ("R23", "207", "OBX^2^5^1^5", "906") in told(check(oru(cda(), stranger)))


def test_R23_is_told_where_the_second_document_stands() -> None:
    """R23: ERR-2 counts the OBX of the message, also when another one stands between the two documents."""
    apart = before(pair(), "OBX", "OBX|9|ST|TRUC^x^MetaDMPMSS||x||||||F", 2)
    assert told(check(edit(apart, {"OBX[3]-11": "D"}))) == [("R23", "207", "OBX^3^11", "906")]
    same = before(oru(cda(), cda()), "OBX", "OBX|9|ST|TRUC^x^MetaDMPMSS||x||||||F", 2)
    assert set(told(check(same))) == {("R23", "207", "OBX^3^5^1^5", "906")}


def test_R24_a_message_is_about_one_patient() -> None:
    """R24: a second PID is AE 198."""
    assert told(check(before(oru(), "PV1", "PID|||1||X"))) == [("R24", "198", "PID^2", "")]


@pytest.mark.parametrize(
    ("event", "order", "status"), [("T10", "NW", "F"), ("T02", "RO", "C"), ("T02", "XX", "F"), ("T04", "CA", "F")]
)
def test_R30_event_order_and_status_agree(event: str, order: str, status: str) -> None:
    """R30: since 2.1, AE 207/906 at ORC-1."""
    assert ("R30", "207", "ORC^1^1", "906") in told(check(mdm(event=event, order=order, status=status)))


def test_R31_an_old_sender_is_judged_by_obx_11_and_the_event() -> None:
    """R31: before 2.1, ORC-1 = SC is ignored; the event must still agree."""
    old = "2.0^CISIS_CDA_HL7_V2"
    assert told(check(mdm(order="SC", version=old))) == []
    assert told(check(mdm(order="SC", version=old, status="D"))) == [("R31", "207", "OBX^1^11", "906")]


def test_R32_the_status_of_a_document_is_f_c_or_d() -> None:
    """R32: AE 103."""
    assert told(check(oru(status="P"))) == [("R32", "103", "OBX^1^11", "")]


def test_R33_the_document_is_ed_in_base64_and_there() -> None:
    """R33: each missing thing has its place."""
    assert told(check(edit(oru(), {"OBX[1]-2": "TX"}))) == [("R33", "102", "OBX^1^2", "")]
    assert told(check(edit(oru(), {"OBX[1]-5.4": "A"}))) == [("R33", "102", "OBX^1^5^1^4", "")]
    assert told(check(edit(oru(), {"OBX[1]-5.5": ""}))) == [("R33", "101", "OBX^1^5^1^5", "")]
    assert told(check(edit(oru(), {"OBX[1]-5.4": "BASE64", "OBX[1]-5.2": "text"}))) == []


def test_R34_the_base64_decodes() -> None:
    """R34: foreign characters and a truncated group are AE 102."""
    assert told(check(edit(oru(), {"OBX[1]-5.5": b64(cda())[:-2] + "-_"}))) == [("R34", "102", "OBX^1^5^1^5", "")]
    assert told(check(edit(oru(), {"OBX[1]-5.5": "QUJDR"}))) == [("R34", "102", "OBX^1^5^1^5", "")]


@pytest.mark.parametrize(
    "document",
    [b"Document medical", b"<a>", b"<ClinicalDocument/>", cda(head="<!DOCTYPE a>"), b'<html xmlns="urn:hl7-org:v3"/>'],
)
def test_R35_the_document_is_a_cda(document: bytes) -> None:
    """R35: AE 207/906 whatever it is instead."""
    assert told(check(oru(document))) == [("R35", "207", "OBX^1^5^1^5", "906")]


def test_R35_sizes_are_limited() -> None:
    """R35: a message or a document over its limit is AE 207/906."""
    assert told(check(oru(), max_cda=1000)) == [("R35", "207", "OBX^1^5^1^5", "906")]
    verdict = check(oru(), max_message=1000)
    assert told(verdict) == [("R35", "207", "", "906")]
    assert verdict.message is not None and verdict.message.control_id == "015"


def test_R36_the_schema_is_applied_when_the_site_gives_one(tmp_path: Path) -> None:
    """R36: AE 207/906 by default, a warning or nothing by option; for a deletion always a warning."""

    def with_schema(data: bytes, mode: Literal["off", "warn", "error"] = "error", **severities: str) -> profile.Verdict:
        rules = ProfileRules.model_validate({"environment": "qualification", "severities": severities})
        return profile.check(Message.parse(data), rules, CODES, schema=schema_gate(tmp_path, mode))

    assert told(with_schema(oru())) == [("R36", "207", "OBX^1^5^1^5", "906")]
    assert "R36" in warned(with_schema(oru(), "warn"))
    assert "R36" in warned(with_schema(oru(), R36="warn"))
    assert "R36" not in warned(with_schema(oru(), R36="off"))
    assert with_schema(deletion()).ack_code == "AA"


@pytest.mark.parametrize("item", ["<title>", "<effectiveTime value", "healthCareFacility", "legalAuthenticator"])
def test_R37_what_the_sinks_need_of_the_header_is_there(item: str) -> None:
    """R37: AE 207/906, the sentence names what is missing."""
    verdict = check(oru(cda(drop=item)))
    assert told(verdict) == [("R37", "207", "OBX^1^5^1^5", "906")]
    assert verdict.faults[0].text.startswith("Élément obligatoire de l'en-tête CDA absent : ")


def test_R35_a_self_presenting_document_is_taken_by_option_only() -> None:
    """R35: AE 207/906 with its own sentence; taken, the bytes stay and the MIME type says it (D14)."""
    inside = cda().partition(b"?>")[2]
    whole = (
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        + inside
        + b"</xsl:stylesheet>"
    )
    refused = check(oru(whole))
    assert told(refused) == [("R35", "207", "OBX^1^5^1^5", "906")]
    assert "auto-présentable" in refused.faults[0].text
    taken = check(oru(whole), auto_presentable="accept")
    assert taken.request is not None and taken.documents[0].raw == whole
    assert document_entry(taken.request.principal, taken.request).mime_type == "application/xslt+xml"
    plain = check(oru(), auto_presentable="accept").request
    assert plain is not None and document_entry(plain.principal, plain).mime_type == "text/xml"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('<effectiveTime value="20260105101530+0100"/>', '<effectiveTime value="2026-01-05T10:15:30Z"/>', "création"),
        ('<low value="20260105101500+0100"/>', '<low value="20260230"/>', "début de l'acte"),
        ('<author><time value="20260105101500+0100"/>', '<author><time value="20260105101500+01:00"/>', "auteur"),
        ('<legalAuthenticator><time value="20260105"/>', '<legalAuthenticator><time value="5/1/2026"/>', "signature"),
    ],
    ids=["iso", "february", "colon", "slashes"],
)
def test_R38_a_date_that_is_no_ts_is_told_at_intake(old: str, new: str, what: str) -> None:
    """R38: AE 207/906 that names the date; a deletion passes, with a warning (D1)."""
    document = cda().replace(old.encode(), new.encode())
    assert document != cda()
    verdict = check(oru(document))
    assert told(verdict) == [("R38", "207", "OBX^1^5^1^5", "906")] and what in verdict.faults[0].text
    removed = check(oru(document, status="D", order="CA"))
    assert removed.ack_code == "AA" and "R38" in warned(removed)


def test_every_fault_is_told_at_once_in_order_up_to_twenty() -> None:
    """A sender learns all that is wrong with one ACK."""
    wrong = edit(asked(oru(), DESTDMP="X", MASQUE_PS="O"), {"MSH-10": "", "MSH-17": "", "PID-5": "", "PID-3": ""})
    rules = [one[0] for one in told(check(wrong))]
    assert rules == sorted(rules)
    assert {"R07", "R40", "R72"} <= set(rules)
    many = edit(wrong, {f"MSH-{n}": "" for n in (3, 4, 5, 6, 7)})
    for name in ("INVISIBLE_PATIENT", "INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE", "DESTMSSANTEPS", "MODIF_CONF_CODE"):
        many = edit(many, {f"OBX[{name}]-5.1": "?"})
    many = without(without(without(many, "ORC"), "OBR"), "PV1")
    many = edit(many, {"MSH-11": "Z", "MSH-12": "2.3", "MSH-14": "1", "MSH-9.3": "X", "OBX[1]-11": "?"})
    assert len(check(many).faults) == 20


def test_no_value_of_the_message_is_in_a_fault_or_a_warning() -> None:
    """Sentences name places, never a patient (the INS stands in two wrong places here)."""
    verdict = check(edit(oru(cda(family="AUTRE")), {"PRT[3]-15.4": f"x{PATIENT}"}), r86="refuse")
    text = " ".join(f"{one.text} {one.err}" for one in (*verdict.faults, *verdict.warnings))
    assert verdict.faults
    assert not any(value in text for value in ("279035121518989", "PAT-TROIS", "DOMINIQUE", "19790328", "IPP1"))
